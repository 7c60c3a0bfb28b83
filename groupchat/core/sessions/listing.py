"""The list of who is here, which may come in several answers.

What lives here: the names so far. What must not: when they are asked for.
"""

from typing import Final

from groupchat.core.sessions.happenings import WhoIsHere
from groupchat.core.sessions.replies import Answer

__all__ = ["MAX_NAMES", "Listing"]

MAX_NAMES: Final = 100_000
"""Names that are kept of those who are here. A server that tells more is not believed."""


class Listing:
    """One list, while it is being fetched."""

    def __init__(self) -> None:
        self.before = 0
        """Those are wanted next who joined before this position; 0 for the first. To be read."""
        self._names: list[str] = []

    def take(self, answer: Answer) -> WhoIsHere | None:
        """Take the names in *answer*; return the whole list when that was the last of it."""
        if answer.who is None:
            return WhoIsHere((), member=False)
        self._names += answer.names
        before = answer.who.before
        goes_on = not self.before or before < self.before
        if before > 0 and goes_on and len(self._names) <= MAX_NAMES:
            self.before = before
            return None
        return WhoIsHere(tuple(self._names))
