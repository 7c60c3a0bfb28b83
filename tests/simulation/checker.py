"""The checker: what must hold, after every step.

What lives here: who asked for what, what came of it, and the comparison with the truth. What must
not: anything that changes what happens.

Theory. Each request of the plain protocol's language that somebody submits is counted for him:
how often it may be in the log, how often it is, and how often he was told that it is done. It may
be there as often as he submitted it, less the times that he was told that it was refused or
not stored. So nothing is invented, nothing is doubled, and what was reported as not stored does not
come back; and each ``done`` must find one in the log, further in front than the log's end at the
moment when the server said so. What members are told is compared by their readers.
"""

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

from attrs import define, field

from groupchat.core.group import Member
from groupchat.core.pages import Page
from groupchat.core.sessions.replies import DONE
from groupchat.journal import DurableJournal
from groupchat.journal.storage import Row
from tests.simulation.readers import SessionReader
from tests.simulation.truth import SERVER, Truth
from tests.simulation.wishes import ILLEGAL
from tests.simulation.world import SECOND, Violation, World

__all__ = ["Account", "Checker"]

NOTHING: Final = frozenset({"5"})
"""Requests that leave nothing in the log."""

NEVER: Final = frozenset({"not-a-request", "illegal-name", "illegal-text", "group-is-full"})
"""What nobody is told of a request that is legal. There is always room in the group."""

TICK_SECONDS: Final = 1
"""Silence is measured in ticks."""


@define(eq=False)
class Account:
    """What one client has asked for, and what came of it."""

    who: str
    wild: bool = False
    """Whether it may do as it likes."""
    allowed: Counter[str] = field(factory=Counter)
    """How often a request may be in the log."""
    done: Counter[str] = field(factory=Counter)
    """How often he was told that it is done."""
    places: dict[str, list[int]] = field(factory=lambda: defaultdict(list))
    """The positions at which it is."""

    def submit(self, request: str) -> None:
        """He asks for *request*."""
        self.allowed[request] += 1

    def result(self, request: str, word: str, horizon: int) -> None:
        """He was told *word* of *request* when the truth ended at *horizon*."""
        if request in NOTHING:
            return
        places = self.places.get(request, [])
        if word == DONE:
            self.done[request] += 1
            if bisect_left(places, horizon) < self.done[request]:
                raise Violation(
                    f"{self.who} was told that {request!r} is done {self.done[request]} times; "
                    f"in the log it is at {places}, and that ended at {horizon}"
                )
            return
        if word in NEVER and request != ILLEGAL:
            raise Violation(f"{self.who} was told {word!r} of {request!r}, which is legal")
        self.allowed[request] -= 1
        if len(places) > self.allowed[request]:
            raise Violation(f"{self.who} was told {word!r} of {request!r}, which is at {places}")

    def forgotten(self) -> None:
        """The server has forgotten his session, as it may when its member has left long ago (by its
        clock), and before he has heard that anything was done by it. He asks for all of it again;
        so it may be there once more."""
        for request, places in self.places.items():
            self.allowed[request] += len(places)

    def stored(self, request: str, position: int) -> None:
        """*request* is in the log."""
        if self.wild:
            return
        self.places[request].append(position)
        if len(self.places[request]) > self.allowed[request]:
            raise Violation(
                f"{request!r} of {self.who} is in the log at {self.places[request]}, "
                f"and may be there {self.allowed[request]} times"
            )


class Checker:
    """Sees everything.

    Args:
        world: for the counts.
        recent_pages: how many full pages of the timeline may stay in memory.
        idle: after how many seconds of silence members are sent away; None for never.
    """

    def __init__(self, world: World, recent_pages: int, idle: int | None) -> None:
        self.world = world
        self.truth = Truth(self._request_stored)
        self.accounts: dict[str, Account] = {}
        """By sender."""
        self.readers: dict[str, SessionReader] = {}
        """Of the sessions, by sender."""
        self.names: set[str] = set()
        """All that anybody has ever asked to be called."""
        self.heard: dict[bytes, int] = {}
        """When the server has last heard a member, by token or by sender."""
        self._recent_pages = recent_pages
        self._idle = idle
        self._heard_before: dict[bytes, int] = {}  # the batch that is being written
        self._begun_at = 0  # that batch
        self._started_at = 0  # the server
        self._tokens: dict[str, str] = {}
        self._journal: DurableJournal | None = None
        self._cursors: dict[str, int] = {}
        self._end_before: int | None = None  # the last batch of this server

    def account(self, who: str, sender: str, *, wild: bool = False) -> Account:
        """Return a new account."""
        made = self.accounts[sender] = Account(who, wild)
        return made

    def sender_of(self, token: str) -> str:
        """Return who a session is in the log."""
        sender = f"session {hashlib.sha256(token.encode()).hexdigest()[:32]}"
        self._tokens[sender] = token
        return sender

    def started(self, journal: DurableJournal) -> None:
        """A server has found its state again; compare it with the truth."""
        self._journal, self._cursors, self._end_before = journal, {}, None
        self._started_at = self.world.now
        truth, group = self.truth, journal.chat.group
        if group.timeline.end != truth.end:
            raise Violation(f"{truth.end} events are stored; found were {group.timeline.end}")
        found = {str(sender): member.name for sender, member in group.members.items()}
        if list(found.items()) != list(truth.members.items()):
            raise Violation(f"the members are {truth.members}; found were {found}")
        for sender, member in group.members.items():
            if member.joined != truth.stays[str(sender)][-1].joined:
                raise Violation(f"{sender} did not join at {member.joined}")
        for place in group.timeline.pages:
            if isinstance(place.page, Page):
                self._compare(place.page)

    def batch_begun(self) -> None:
        """A batch is about to be written. Who is to be sent away by it, is."""
        self._heard_before, self._begun_at = dict(self.heard), self.world.now

    def batch_stored(self, row: Row) -> None:
        """A batch is on the disk."""
        if self._journal is not None:
            self._check_memory(self._journal)
        self._end_before = self.truth.end if self._journal is not None else None
        self.truth.store(row)

    def gone(self) -> None:
        """There is no server any more."""
        self._journal = self._end_before = None

    def step(self) -> None:
        """Check what can be checked after every step."""
        journal = self._journal
        if journal is None:
            return
        cursors = self._cursors
        for sender, member in journal.chat.group.members.items():
            position = member.cursor.position
            if position != cursors.get(sender):  # type: ignore[call-overload]
                self._check_cursor(str(sender), member)
                cursors[str(sender)] = position

    def seen(self, position: int, reader: SessionReader, horizon: int) -> None:
        """A member was told that everybody else has come to *position*, when the truth ended at
        *horizon*."""
        truth = self.truth
        if position > horizon:
            raise Violation(f"all have seen {position}, and the log ended at {horizon}")
        for sender in truth.members:
            other, joined = self.readers.get(sender), truth.stays[sender][-1].joined
            if other is None or other is reader or joined >= horizon:
                continue
            mark = max(other.mark, joined + 1)
            if mark < position and other.upcoming(mark) < position:
                raise Violation(f"all have seen {position}, and {sender} is at {mark}")

    def who_is_here(self, names: tuple[str, ...], reader: SessionReader, *, now: bool) -> None:
        """A member was told the names of the others, perhaps as they are *now*."""
        truth = self.truth
        if now and list(names) != truth.roster(reader.sender, truth.end):
            raise Violation(f"here are {truth.members}; somebody was told {names}")
        if not self.names.issuperset(names):
            raise Violation(f"nobody has ever been called like one of {names}")

    def _check_cursor(self, sender: str, member: Member) -> None:
        position, joined = member.cursor.position, member.joined + 1
        before = self._cursors.get(sender, 0)
        if position < before:
            raise Violation(f"the cursor of {sender} went back from {before} to {position}")
        reader = self.readers.get(sender)
        if reader is None:
            return
        mark = max(reader.mark, joined)
        if position > mark and reader.upcoming(mark) < position:
            raise Violation(f"the cursor of {sender} is at {position}, and he is at {mark}")

    def _check_memory(self, journal: DurableJournal) -> None:
        """The batch before, and with it all that had to leave memory, was written and applied."""
        if self._end_before is None:
            return
        full = [
            place
            for place in journal.chat.group.timeline.held[:-1]
            if isinstance(place.page, Page) and place.stop <= self._end_before
        ]
        if len(full) > self._recent_pages:
            raise Violation(f"{len(full)} full pages are in memory")

    def _sent_away(self, sender: str) -> None:
        """Somebody was sent away; was he silent for so long?"""
        self.world.counts["sent away"] += 1
        who = self._tokens.get(sender, sender).encode()
        silence = (self._begun_at - self._heard_before.get(who, self._started_at)) / SECOND
        if self._idle is not None and silence < self._idle - TICK_SECONDS:
            raise Violation(f"{sender} was sent away, and had been silent for {silence} s")

    def _compare(self, page: Page) -> None:
        truth = self.truth
        for index, line in enumerate(bytes(page.lines).split(b"\n")[:-1]):
            position = page.first + index
            event = truth.happened[position]
            found = (line, chr(page.kinds[index]), page.times[index])
            if found != (event.line, event.kind, event.time):
                raise Violation(f"found {found} at {position}, and it was {event}")
            author = page.authors[index]
            if (author < 0) is not (event.author == ""):
                raise Violation(f"found the author {author} at {position}, and it was {event}")

    def _request_stored(self, sender: str, mode: str, request: str, position: int) -> None:
        if sender == SERVER:
            return
        if request == "4" and mode == "-":  # the server's own doing
            if "#" not in sender:
                self._sent_away(sender)
            return
        account = self.accounts.get(sender)
        if request[0] in "13":
            self.names.add(request[2:])
        if account is None:
            raise Violation(f"the log has {request!r} of {sender}, whoever that is")
        self.world.counts["events stored"] += 1
        account.stored(request, position)
