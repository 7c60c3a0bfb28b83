"""What a member has been told, compared with the truth.

What lives here: how far each member has come, by what he was told. What must not: what members
asked for, which is the checker's.

Theory. A member by sessions is told the position of everything, so there is one event that he may
be told next: the first that is not his own and that he has not had. A member by the plain
protocol is told lines alone, and after the server was killed some of them again; so he stands at
one of several places, and each reply leaves those that it fits.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from groupchat.core.sessions.happenings import Told
from tests.simulation.truth import Stay, Truth
from tests.simulation.world import Violation

__all__ = ["PlainReader", "SessionReader"]

_REMOVED: Final = re.compile(rb"\(([0-9]+) older events are not kept on this server\)")


class SessionReader:
    """How far a session has come.

    Args:
        truth: what there is to be told.
        who: the member's name, to complain by.
        sender: the session's, in the log.
    """

    def __init__(self, truth: Truth, who: str, sender: str) -> None:
        self.sender = sender
        self.mark = 0
        """Its client's position."""
        self.next: int | None = None
        """All before this has been told; None: it is not a member."""
        self._truth = truth
        self._who = who
        self._stay = Stay(0)

    def joined(self, horizon: int) -> None:
        """Its join is done, as it was when the truth ended at *horizon*."""
        stays = [s for s in self._truth.stays.get(self.sender, []) if s.joined < horizon]
        if not stays:
            raise Violation(f"{self._who} was told of a join that is not in the log")
        self._stay = stays[-1]
        if self._stay.left is not None and self._stay.left < horizon:
            self.next = None  # and was sent away again
            return
        self.next = self._stay.joined + 1

    def left(self) -> None:
        """Its leave is done."""
        self.next = None

    def outside(self, horizon: int) -> None:
        """It was told that it was not in the group, when the truth ended at *horizon*."""
        for stay in self._truth.stays[self.sender]:
            if stay.joined < horizon and (stay.left is None or stay.left >= horizon):
                raise Violation(f"{self._who} was in the group, and was told that it was not")
        self.next = None

    def told(self, event: Told, horizon: int) -> None:
        """Take what it was told when the truth ended at *horizon*."""
        if self.next is None:
            raise Violation(f"{self._who} is no member, and was told {event}")
        if event.position >= horizon:
            raise Violation(f"{self._who} was told what was not in the log: {event}")
        if event.kind == "x":
            self._removed(event)
            return
        position = self.upcoming(self.next)
        if event.position != position:
            raise Violation(f"{self._who} was to be told event {position}, and was told {event}")
        if self._stay.left is not None and position > self._stay.left:
            raise Violation(f"{self._who} had left, and was told {event}")
        happened = self._truth.happened[position]
        if (event.line, event.kind, event.time) != (happened.line, happened.kind, happened.time):
            raise Violation(f"{self._who} was told {event}, and it was {happened}")
        self.next = position + 1

    def upcoming(self, position: int) -> int:
        """Return the first position from *position* on whose event is somebody else's."""
        happened = self._truth.happened
        while position < len(happened) and happened[position].author == self.sender:
            position += 1
        return position

    def come_to(self, mark: int, horizon: int) -> None:
        """Take that its client's position is *mark* now."""
        if mark < self.mark and self.next is not None:
            raise Violation(f"the mark of {self._who} went back from {self.mark} to {mark}")
        if mark > self.mark and mark > max(horizon, self.mark):
            raise Violation(f"{self._who} is at {mark}, and the log ended at {horizon}")
        if self.next is not None and mark > self.next and self.upcoming(self.next) < mark:
            raise Violation(
                f"{self._who} is at {mark}, and was not told event {self.upcoming(self.next)}"
            )
        self.mark = mark

    @property
    def has_all(self) -> bool:
        """Whether it is a member, and has been told everything."""
        return self.next is not None and self.upcoming(self.next) == self._truth.end

    def _removed(self, event: Told) -> None:
        count = _REMOVED.fullmatch(event.line)
        assert self.next is not None
        if count is None:
            raise Violation(f"{self._who} was told {event}")
        stop = event.position + 1
        start = stop - int(count[1])
        if stop > self._truth.dropped:
            raise Violation(f"{self._who} was told {event}; all from {self._truth.dropped} is kept")
        # On a connection, some of them can have been told while he was asking.
        if start > self.upcoming(self.next) or stop <= self.next:
            raise Violation(f"{self._who} was told {event}, and had been told all to {self.next}")
        self.next = stop


class PlainReader:
    """How far a member by the plain protocol has come.

    Args:
        truth: what there is to be told.
        sender: the member's, in the log.
    """

    def __init__(self, truth: Truth, sender: str) -> None:
        self.sender = sender
        self.places: Sequence[int] = ()
        """Where he can be: all before it has been told."""
        self._truth = truth
        self._joined = 0

    def joined(self) -> None:
        """He has joined."""
        self._joined = self._truth.stays[self.sender][-1].joined + 1
        self.places = (self._joined,)

    def server_gone(self, *, unanswered: bool) -> None:
        """The server is gone. What he had read may be forgotten; if he was *unanswered*, what
        that reply would have told may be lost."""
        last = self._truth.end if unanswered else max(self.places, default=self._joined)
        self.places = range(self._joined, last + 1)

    def told(self, lines: list[bytes], horizon: int) -> None:
        """Take the lines that he was told when the truth ended at *horizon*."""
        places: set[int] = set()
        for place in self.places:
            places.update(self._after(place, lines, horizon))
        if not places:
            raise Violation(f"{self.sender} stood at {list(self.places)}, and was told {lines}")
        self.places = sorted(places)

    @property
    def has_all(self) -> bool:
        """Whether he can have been told everything."""
        return any(self._upcoming(place) == self._truth.end for place in self.places)

    def _after(self, place: int, lines: list[bytes], horizon: int) -> Iterator[int]:
        """Yield where he can stand after *lines* if he stood at *place*."""
        removed = _REMOVED.fullmatch(lines[0]) if lines else None
        if removed is None:
            yield from self._follow(place, lines, horizon)
            return
        for start in range(place, self._upcoming(place) + 1):  # his own are passed, or not yet
            if start + int(removed[1]) <= self._truth.dropped:
                yield from self._follow(start + int(removed[1]), lines[1:], horizon)

    def _follow(self, place: int, lines: list[bytes], horizon: int) -> Iterator[int]:
        for line in lines:
            place = self._upcoming(place)
            if place >= horizon or self._truth.happened[place].line != line:
                return
            place += 1
        yield place

    def _upcoming(self, position: int) -> int:
        happened = self._truth.happened
        while position < len(happened) and happened[position].author == self.sender:
            position += 1
        return position
