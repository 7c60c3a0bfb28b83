"""For how long an answer has been owed, and whom to tell when.

What lives here: the time since something was asked or heard. What must not: what to do about it.
Time is in milliseconds from any beginning.
"""

from typing import Final

from attrs import frozen

__all__ = ["HOLD_SECONDS", "SILENT_MILLISECONDS", "Patience", "Silent"]

SILENT_MILLISECONDS: Final = 2_000
"""How long there must be no answer before anybody is told, and then every second."""

HOLD_SECONDS: Final = 60
"""For how long a server is asked to hold an answer until there is news."""


@frozen
class Silent:
    """There has been no answer for so long. It goes on trying."""

    seconds: float
    why: str = ""
    """What the network says, if anything."""


class Patience:
    """Keeps the time."""

    def __init__(self) -> None:
        self.heard: int | None = None
        """When anything was heard; None for never. To be read."""
        self._asked: int | None = None
        self._next = 0

    def hear(self, now: int) -> None:
        """Take note that something was heard."""
        self.heard = now

    def since(self, now: int, *, owed: bool, held: bool) -> int | None:
        """Return since when an answer has been owed; None if none is. It can be in the future.

        Args:
            now: the time.
            owed: whether something was asked that is to be answered at once.
            held: if not, whether something was asked that may be held until there is news.
        """
        if owed:
            if self._asked is None:
                self._asked = now
            return max(self._asked, self.heard or 0)
        self._asked = None
        return self.heard + HOLD_SECONDS * 1_000 if held and self.heard is not None else None

    def silent(self, now: int, since: int | None, why: str) -> Silent | None:
        """Return what somebody is to be told now, if anything."""
        if since is None or now < self.next_silent(since):
            return None
        self._next = now + 1_000
        return Silent((now - since) / 1_000, why)

    def next_silent(self, since: int) -> int:
        """Return when somebody is to be told if an answer has been owed for so long."""
        return max(self._next, since + SILENT_MILLISECONDS)
