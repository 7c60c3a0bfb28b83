"""What a client knows of its own place in the group.

What lives here: whether it is a member, and what it has said. What must not: what else a request or
an answer is about.
"""

from collections.abc import Sequence

from groupchat.core.sessions.outbox import Part
from groupchat.core.sessions.replies import DONE, Answer

__all__ = ["Presence"]

_SAID = (b"2 ", b"+")


class Presence:
    """The place of one session in its group.

    Args:
        joined: whether it has ever been a member.
        said: all that it has said lies before this position; 0: nothing was.
    """

    def __init__(self, joined: bool = False, said: int = 0) -> None:
        self.joined = joined
        """Whether it has ever been a member. To be read."""
        self.said = said
        """All that it has said lies before this position; 0: nothing was. To be read."""
        self._inside = joined  # as far as we know

    def note(self, under_way: Sequence[Part], answer: Answer) -> bool:
        """Take note of what came of what was *under way*, and return whether that was to join."""
        joined = False
        for part, word in zip(under_way, answer.results, strict=True):
            if word == DONE and part.last:
                if part.command.startswith(b"1 "):
                    joined = self.joined = self._inside = True
                elif part.command == b"4":
                    self._inside = False
                elif part.command.startswith(_SAID):
                    self.said = answer.end
        return joined

    def ends(self, answer: Answer) -> bool:
        """Return whether *answer* tells that it is no member any more, and nobody has known."""
        ended = answer.outside and self._inside
        self._inside = self._inside and not answer.outside
        return ended

    @staticmethod
    def own(under_way: Sequence[Part], answer: Answer) -> int:
        """Return how many of the events before the end that *answer* tells are its own."""
        return sum(
            word == DONE and part.last and part.command.startswith((*_SAID, b"3 "))
            for part, word in zip(under_way, answer.results, strict=True)
        )
