"""A log that is written to seldom, whatever happens: bad input must not fill a disk.

What lives here: how often a line is written. What must not: what it says.
"""

import logging
from collections.abc import Callable
from typing import Final

__all__ = ["LOG_MILLISECONDS", "Quiet"]

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
