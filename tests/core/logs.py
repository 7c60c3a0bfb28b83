"""Logs for the tests, written as a server writes them: judged, recorded, carried out.

A *step* is what somebody does; not all of it leaves a record. What members read in between, a
log does not hold, and need not.
"""

from typing import TypeAlias

from attrs import define, field, frozen
from hypothesis import strategies as st

from groupchat.core import Command, Group, Leave, Refused, Update, encode
from groupchat.core.chat import FORGET_MILLISECONDS, Chat
from groupchat.core.group import Draft
from groupchat.core.pages import Page
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.timeline import Timeline
from tests.core.strategies import commands

__all__ = [
    "PAGE_BYTES",
    "Asks",
    "Drops",
    "Reads",
    "Requests",
    "SendsAway",
    "Step",
    "Waits",
    "Writer",
    "new_chat",
    "steps",
]

PAGE_BYTES = 60
"""So few that a short conversation fills some pages."""


@frozen
class Asks:
    """A plain request."""

    sender: str
    command: Command
    budget: int | None = None


@frozen
class Requests:
    """A session's request, which acknowledges so many more events."""

    sender: str
    commands: tuple[Command, ...]
    acknowledged: int = 0


@frozen
class Reads:
    """A plain member updates so many times, or a session acknowledges so many events."""

    sender: str
    count: int


@frozen
class SendsAway:
    """The server has a silent member leave."""

    sender: str


@frozen
class Drops:
    """The server lets go of what is old."""

    before: int


@frozen
class Waits:
    """Time passes."""

    milliseconds: int


Step: TypeAlias = Asks | Requests | Reads | SendsAway | Drops | Waits

_PLAIN = st.sampled_from(["udp 1", "udp 2", "tcp 3 #1"])
_SESSIONS = st.sampled_from(["session a", "session b", "session c"])
_COUNTS = st.integers(0, 6)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Asks, _PLAIN, commands, st.none() | st.integers(-1, 60)),
    st.builds(Requests, _SESSIONS, st.lists(commands, max_size=3).map(tuple), _COUNTS),
    st.builds(Reads, _PLAIN | _SESSIONS, _COUNTS),
    st.builds(SendsAway, _PLAIN | _SESSIONS),
    st.builds(Drops, st.integers(0, 60)),
    st.builds(Waits, st.sampled_from([1, FORGET_MILLISECONDS // 2, FORGET_MILLISECONDS])),
)


def new_chat() -> Chat:
    """Return a new chat whose pages are soon full."""
    return Chat(Group(Timeline(PAGE_BYTES)))


@define
class Writer:
    """Carries out steps, and keeps the records that they leave."""

    chat: Chat = field(factory=new_chat)
    records: list[Record] = field(factory=list)
    replies: list[bytes | None] = field(factory=list)
    """What the senders of the records were told; None for sessions."""
    pages: dict[int, Page] = field(factory=dict)
    """All pages that there have been."""
    now: int = 1_000
    numbers: dict[str, int] = field(factory=dict)
    """Of the last request of each session."""

    def take(self, step: Step) -> None:
        """Carry out *step*."""
        match step:
            case Asks():
                self._plain(step.sender, step.command, step.budget)
            case Requests():
                self._session(step)
            case Reads():
                self._read(step.sender, step.count)
            case SendsAway():
                self._plain(step.sender, Leave(), None)
            case Drops():
                self._append(Record(self.now, SERVER, 0, (Drop(step.before),)))
            case Waits():
                self.now += step.milliseconds

    def mark(self, sender: str, more: int) -> int:
        """Return the position that acknowledges *more* events to the session *sender*."""
        group = self.chat.group
        if sender not in group:
            return 0
        return min(group.members[sender].cursor.position + more, group.timeline.end)

    def _read(self, sender: str, count: int) -> None:
        group = self.chat.group
        if sender in group and sender.startswith("session"):
            group.stand(sender, self.mark(sender, count))
        elif sender in group:
            for _ in range(count):
                group.reply(Update(), sender, 0)

    def _plain(self, sender: str, command: Command, budget: int | None) -> None:
        group = self.chat.group
        verdict = Draft(group).accept(command, sender)
        if not isinstance(verdict, Refused | Update):
            standing = group.standing(sender) if sender in group else 0
            self._append(Record(self.now, sender, standing, (verdict,), budget))

    def _session(self, step: Requests) -> None:
        number = self.numbers[step.sender] = self.numbers.get(step.sender, 0) + 1
        draft = Draft(self.chat.group)
        verdicts = [draft.accept(command, step.sender) for command in step.commands]
        accepted = tuple(v for v in verdicts if not isinstance(v, Refused | Update))
        if accepted:
            mark = self.mark(step.sender, step.acknowledged)
            words = ",".join("no" if isinstance(v, Refused) else "done" for v in verdicts)
            self._append(Record(self.now, step.sender, mark, accepted, None, number, words))

    def _append(self, record: Record) -> None:
        reply = self.chat.apply(record)
        self.records.append(record)
        self.replies.append(None if reply is None else b"".join(encode(reply)))
        self.pages |= {page.first: page.load() for page in self.chat.group.timeline.pages}
