"""What the server logs when something is refused, or goes wrong: seldom, whatever happens.

What lives here: how often a line is written. Bad input and a broken disk must not fill a disk.
"""

import logging
from collections.abc import Callable
from typing import Final

from groupchat.journal.storage import Damaged

__all__ = ["LOG_MILLISECONDS", "Quiet", "Trouble"]

log = logging.getLogger("groupchat")

LOG_MILLISECONDS: Final = 1_000
"""Milliseconds between two log lines about refusals: bad input must not fill a disk."""


class Quiet:
    """Writes to the log, but no more than one line a second.

    Args:
        time: returns the time, in milliseconds.
    """

    def __init__(self, time: Callable[[], int]) -> None:
        self._time = time
        self._said = 0
        self._unsaid = 0

    def say(self, line: str, level: int = logging.INFO) -> bool:
        """Write *line*, or count it. Return whether it is written."""
        now = self._time()
        if 0 <= now - self._said < LOG_MILLISECONDS:  # clocks are set back, too
            self._unsaid += 1
            return False
        more = f"; {self._unsaid:,} more before" if self._unsaid else ""
        log.log(level, "%s%s", line, more)
        self._said, self._unsaid = now, 0
        return True


class Trouble:
    """Tells the log what goes wrong with the journal. It does not share its line a second with
    refusals, among which it could be lost.

    Args:
        time: returns the time, in milliseconds.
    """

    def __init__(self, time: Callable[[], int]) -> None:
        self._writes = Quiet(time)
        self._reads = Quiet(time)
        self._told = False  # that nothing can be stored

    def stored(self, error: OSError | None) -> None:
        """Tell how it went to store something."""
        if error is not None:
            self._told |= self._writes.say(f"nothing was stored: {error}", logging.ERROR)
        elif self._told:
            log.info("the journal works again")
            self._told = False

    def unreadable(self, sender: str, error: Damaged) -> None:
        """Tell that what *sender* needs cannot be read back."""
        self._reads.say(
            f"what {sender} has missed cannot be read: {error}. It may still be in the log: "
            "stop the server, and run 'groupchat journal check'",
            logging.ERROR,
        )
