"""Taking turns: what is told before what, for those who are told things as the plain protocol does.

What lives here: which results wait until news has been fetched. What must not: how it is fetched.

Theory. By the plain protocol each command is answered before the next is asked. News comes with the
answer to a ``2``, ``3`` or ``5`` that was carried out, all that waited; with all others there comes
none. Of several commands that have travelled together, the first that brings news is told, then all
the news, and only then what came of the rest.
"""

from collections.abc import Sequence
from typing import Final

from groupchat.core.sessions.happenings import Result
from groupchat.core.sessions.replies import DONE

__all__ = ["Turns"]

_BRINGS_NEWS: Final = (b"2", b"3", b"5")


class Turns:
    """Whose turn it is."""

    def __init__(self) -> None:
        self.fetch_to: int | None = None
        """All before this position is told before anything else; None for no news now. To be
        read."""
        self._later: list[Result] = []

    def take(self, results: Sequence[Result], end: int) -> list[Result]:
        """Return those of *results* that are told before the news up to *end*, which comes with the
        last of them; put the rest aside."""
        for index, result in enumerate(results):
            if result.word == DONE and result.command[:1] in _BRINGS_NEWS:
                self.fetch_to = end
                self._later = list(results[index + 1 :])
                return list(results[: index + 1])
        return list(results)

    def told(self, position: int, end: int) -> list[Result] | None:
        """All before *position* has been told, of a log that ends at *end*. Return what is told
        next; None if there is more news to fetch before."""
        if self.fetch_to is not None and position < min(self.fetch_to, end):
            return None
        later, self._later, self.fetch_to = self._later, [], None
        return later
