"""What goes wrong with the journal, told to the log: that nothing can be stored, or be read back.

What lives here: the words. What must not: who else is told, which is for whoever answers him.
"""

import logging
from collections.abc import Callable

from groupchat.journal.storage import Damaged
from groupchat.server.quiet import Quiet

__all__ = ["Trouble"]

log = logging.getLogger("groupchat")


class Trouble:
    """Tells the log what goes wrong with the journal. It does not share its line a second with
    refusals, among which it could be lost.

    Args:
        monotonic: returns the time, in milliseconds; it never goes back.
    """

    def __init__(self, monotonic: Callable[[], int]) -> None:
        self._writes = Quiet(monotonic)
        self._reads = Quiet(monotonic)
        self._told = False  # that nothing can be stored

    def stored(self, error: OSError | None) -> None:
        """Tell how it went to store something."""
        if error is not None:
            self._told |= self._writes.say(f"nothing was stored: {error}", logging.ERROR)
        elif self._told:
            log.info("the journal works again")
            self._told = False

    def unreadable(self, sender: str, error: Damaged | OSError) -> None:
        """Tell that what *sender* needs cannot be read back."""
        self._reads.say(
            f"what {sender} has missed cannot be read: {error}. It may still be in the log: "
            "stop the server, and run 'groupchat journal check'",
            logging.ERROR,
        )
