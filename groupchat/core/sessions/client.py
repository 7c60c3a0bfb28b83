"""The client's half of sessions: what to send, when to send it again, and what came of it.

What lives here: the state of one session as its client knows it. What must not: a clock, a socket,
a screen. Time comes in as data, in milliseconds from any beginning.

Theory. There is one request under way at a time. What is submitted meanwhile waits, and travels
together in the next. A request is sent again until its reply is there, for as long as it
takes; the server carries it out once. A request that only waits for news is given up as soon as
there is something to ask.

News is taken when it begins where we are: at our *mark*. If it begins before, what we know is
left out; if it begins after, there is a gap, so all of it is left out, and asked for again. So
whoever writes down the mark after he has shown the news, and before he sends the next request,
misses nothing and shows nothing twice. That, and what was under way, is :class:`Saved`: enough to
go on by in another process, from another address, by another transport.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Final, TypeAlias

from attrs import evolve, frozen

from groupchat.core.plain import ILLEGAL_REQUEST, decode
from groupchat.core.replies import Refused
from groupchat.core.sessions.messages import (
    DATAGRAM_BYTES,
    DONE,
    Answer,
    Ask,
    Mark,
    Open,
    Opened,
    Prove,
    Unknown,
    decode_reply,
)
from groupchat.core.sessions.server import INCOMPLETE, MAX_COMMANDS
from groupchat.core.sessions.timer import Timer

__all__ = [
    "LISTEN_MILLISECONDS",
    "PLAIN_REFUSALS",
    "Happening",
    "Lost",
    "NoSessions",
    "Ready",
    "Result",
    "Saved",
    "Seen",
    "SessionClient",
    "Told",
    "WhoIsHere",
]

LISTEN_MILLISECONDS: Final = 3_000
"""How long a request that waits for news is left alone before it is sent again."""

PLAIN_REFUSALS: Final = 3
"""So many times a server must have refused a session before it is taken to know none."""

_HEAD_BYTES: Final = 160  # a request is never more than this longer than its commands
_ROOM: Final = DATAGRAM_BYTES - _HEAD_BYTES
_STREAM_ROOM: Final = 32_768


@frozen
class Told:
    """An event."""

    position: int
    time: int
    kind: str
    line: bytes


@frozen
class Result:
    """What came of a command: :data:`~groupchat.core.sessions.messages.DONE`, or why not."""

    command: bytes
    word: str


@frozen
class WhoIsHere:
    """The names of everybody else, the newest first."""

    names: tuple[str, ...]


@frozen
class Seen:
    """Everybody else has come to this position."""

    position: int


@frozen
class Ready:
    """There is a session. *resumed*: it is the one that was saved."""

    resumed: bool


@frozen
class NoSessions:
    """The server knows no sessions, or does not give us one. *why* may be empty."""

    why: str = ""


@frozen
class Lost:
    """The server does not know the session any more, and nobody knows what came of *commands*."""

    commands: tuple[bytes, ...]


Happening: TypeAlias = Told | Result | WhoIsHere | Seen | Ready | NoSessions | Lost


@frozen
class _Unit:
    """What travels as one: a command, or a part of one that is too long for a datagram."""

    request: bytes
    command: bytes
    last: bool = True


@frozen
class Saved:
    """A session, to go on by."""

    token: str
    number: int
    """Of the last request."""
    position: int
    """All before this has been told."""
    joined: bool
    """Whether it has ever been a member."""
    group: str = "main"
    commands: tuple[bytes, ...] = ()
    """Those of the last request, if it is still under way."""


class _Phase(Enum):
    OPENING = "opening"
    READY = "ready"
    OVER = "over"


class SessionClient:
    """One session.

    Args:
        datagram: whether messages can get lost and must be short; else this is a connection.
        saved: the session to go on with; None for a new one.
        group: which group a new session is for.
    """

    def __init__(self, datagram: bool, saved: Saved | None = None, group: str = "main") -> None:
        self._datagram = datagram
        self._group = saved.group if saved else group
        self._token = saved.token if saved else ""
        self._number = saved.number if saved else 0
        self._joined = saved.joined if saved else False
        self._mark = Mark(saved.position if saved else 0)
        self._partial = b""  # what we have of the line at the mark
        self._phase = _Phase.READY if saved else _Phase.OPENING
        self._resuming = saved is not None
        self._timer = Timer()
        self._queue: deque[_Unit] = deque()
        self._who: list[str] | None = None  # names so far, while they are asked for
        self._who_before = 0
        self._wants_seen = False
        self._wants_more = saved is not None
        self._listens = 0  # seconds
        self._follows = False
        self._cookie = ""
        self._refusals = 0
        self._ask: Ask | None = None  # under way
        self._units: list[_Unit] = []  # its commands
        self._tries = 0
        self._due: int | None = 0  # when to send
        self._sent: list[int] = []  # when each try was
        if saved and saved.commands:
            self._units = [_Unit(command, command) for command in saved.commands]
            self._ask = self._request(saved.number)

    # What its owner wants.

    def submit(self, command: bytes) -> None:
        """Have *command*, a request of the plain protocol, carried out."""
        self._queue.extend(_units(command, _ROOM if self._datagram else _STREAM_ROOM))

    def ask_who(self) -> None:
        """Ask who is here."""
        if self._who is None:
            self._who, self._who_before = [], 0

    def ask_seen(self) -> None:
        """Ask how far everybody else has come."""
        self._wants_seen = True

    def listen(self, seconds: int) -> None:
        """From now on, wait for news while there is nothing else to ask; 0: no more. The server
        holds each request for that long at the most."""
        self._listens = seconds

    def follow(self) -> None:
        """On a connection: be told all news from now on."""
        self._follows = True
        self._wants_more = True

    # What it wants of its owner.

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for has been answered."""
        waits = self._ask is None or bool(self._ask.wait)
        return self._phase is _Phase.READY and waits and not self._has_something_to_ask()

    @property
    def position(self) -> int:
        """All before this has been told."""
        return self._mark.position

    def saved(self) -> Saved | None:
        """Return what to write down before anything is sent; None if there is no session."""
        if self._phase is not _Phase.READY:
            return None
        commands = tuple(unit.request for unit in self._units)
        return Saved(
            self._token, self._number, self._mark.position, self._joined, self._group, commands
        )

    def next_time(self) -> int | None:
        """Return when to call :meth:`send` at the latest; None for when there is news."""
        if self._phase is _Phase.OVER:
            return None
        if self._ask is None and self._phase is _Phase.READY:
            return 0 if self._has_something_to_ask() or self._listens else None
        if self._is_overtaken():
            return 0
        return self._due

    def send(self, now: int) -> bytes | None:
        """Return what to send at the time *now*, if anything."""
        if self._phase is _Phase.READY and (self._ask is None or self._is_overtaken()):
            self._compose()
        if self._phase is _Phase.OVER or self._due is None or now < self._due:
            return None
        if self._phase is _Phase.READY and self._ask is None:
            return None
        self._tries += 1
        self._sent.append(now)
        if not self._datagram:
            self._due = None
        elif self._ask is not None and self._ask.wait and self._tries > 1:
            self._due = now + LISTEN_MILLISECONDS
        else:
            self._due = now + self._timer.wait(self._tries)
        if self._phase is _Phase.OPENING or self._ask is None:
            return Open(self._group, self._cookie).encode()
        return evolve(self._ask, tries=self._tries, cookie=self._cookie).encode()

    def reconnect(self, datagram: bool) -> None:
        """Go on by a new connection: what is under way has to be sent again."""
        self._datagram = datagram
        self._again()
        if self._follows and self._ask is None:
            self._wants_more = True

    def receive(self, data: bytes, now: int) -> list[Happening]:
        """Take what has arrived, a reply or anything else, and return what it tells."""
        reply = decode_reply(data)
        if self._phase is _Phase.OVER:
            return []
        if reply is None:
            return self._not_understood(data)
        if isinstance(reply, Answer):
            return self._answered(reply, now)
        if isinstance(reply, Prove):
            if self._cookie != reply.cookie:
                self._cookie = reply.cookie
                self._due = now
            return []
        if isinstance(reply, Unknown):
            return self._unknown(reply)
        if self._phase is not _Phase.OPENING:
            return []
        if isinstance(reply, Opened):
            self._phase, self._token = _Phase.READY, reply.token
            self._again()
            return [Ready(resumed=False)]
        self._phase = _Phase.OVER
        return [NoSessions(reply.why)]

    def _again(self) -> None:
        self._tries, self._due, self._sent = 0, 0, []

    def _has_something_to_ask(self) -> bool:
        return bool(self._queue or self._wants_seen or self._who is not None or self._wants_more)

    def _is_overtaken(self) -> bool:
        """Whether what is under way only waits for news, and there is something better to ask."""
        return self._ask is not None and bool(self._ask.wait) and self._has_something_to_ask()

    def _compose(self) -> None:
        """Make the next request, if there is anything to ask."""
        asks = self._has_something_to_ask()
        if not asks and not self._listens:
            self._ask = None
            return
        room = _ROOM if self._datagram else _STREAM_ROOM
        self._units = []
        while self._queue and len(self._units) < MAX_COMMANDS:
            room -= len(self._queue[0].request) + 1
            if room < 0 and self._units:
                break
            self._units.append(self._queue.popleft())
        self._number += 1
        self._ask = self._request(self._number, 0 if asks else self._listens)
        self._wants_more = False
        self._again()

    def _request(self, number: int, wait: int = 0) -> Ask:
        return Ask(
            self._token,
            number,
            self._mark,
            tuple(unit.request for unit in self._units),
            wait,
            self._follows and not self._datagram,
            self._who_before if self._who is not None else None,
            self._wants_seen,
        )

    def _not_understood(self, data: bytes) -> list[Happening]:
        if self._phase is _Phase.OPENING and data == ILLEGAL_REQUEST:
            self._refusals += 1
            if self._refusals >= PLAIN_REFUSALS:
                self._phase = _Phase.OVER
                return [NoSessions()]
            self._due = 0
        return []

    def _unknown(self, reply: Unknown) -> list[Happening]:
        if self._ask is None or reply.number != self._ask.number:
            return []
        if not self._joined:
            # Nobody has ever joined by this session, so nothing was carried out: begin anew.
            self._queue.extendleft(reversed(self._units))
            self._units, self._ask, self._number = [], None, 0
            self._phase, self._cookie = _Phase.OPENING, ""
            self._again()
            return []
        self._phase = _Phase.OVER
        return [Lost(tuple(unit.command for unit in self._units if unit.last))]

    def _answered(self, answer: Answer, now: int) -> list[Happening]:
        happenings: list[Happening] = []
        ask = self._ask
        if answer.number == 0 and not self._datagram:
            return self._news(answer, joined=False)
        if ask is None or answer.number != ask.number or len(answer.results) != len(ask.commands):
            return []
        self._cookie = ""  # it has done its work
        if self._resuming:
            self._resuming = False
            happenings.append(Ready(resumed=True))
        if not ask.wait and answer.tries <= len(self._sent):
            self._timer.measured(now - self._sent[answer.tries - 1])
        joined = False
        for unit, word in zip(self._units, answer.results, strict=True):
            if word == DONE and unit.command.startswith(b"1 "):
                joined = self._joined = True
        happenings += self._results(answer.results)
        self._units, self._ask, self._due = [], None, 0
        if ask.seen and answer.seen is not None:
            self._wants_seen = False
            happenings.append(Seen(answer.seen))
        if ask.who is not None and self._who is not None:
            happenings += self._names(answer)
        happenings += self._news(answer, joined)
        self._wants_more = self._wants_more or (answer.stop.position < answer.end)
        return happenings

    def _results(self, words: Sequence[str]) -> list[Happening]:
        happenings: list[Happening] = []
        for unit, word in zip(self._units, words, strict=True):
            if word == INCOMPLETE and unit.command != unit.request:
                # The server has forgotten the parts before: all of it once more.
                self._discard(unit.command)
                self._queue.extendleft(reversed(_units(unit.command, _ROOM)))
            elif unit.last:
                happenings.append(Result(unit.command, word))
            elif word != DONE:
                self._discard(unit.command)
                happenings.append(Result(unit.command, word))
        return happenings

    def _discard(self, command: bytes) -> None:
        """Take the parts of *command* that come next off the queue."""
        while self._queue and self._queue[0].command is command:
            self._queue.popleft()

    def _names(self, answer: Answer) -> list[Happening]:
        names, self._who = self._who or [], None
        names += answer.names
        if answer.who is not None and answer.who.before:
            self._who, self._who_before = names, answer.who.before
            return []
        return [WhoIsHere(tuple(names))]

    def _news(self, answer: Answer, joined: bool) -> list[Happening]:
        mark, begin = self._mark, answer.begin
        data = answer.body
        if begin == mark:
            data = self._partial + data
        elif begin.offset or (begin > mark and answer.number == 0):
            return []  # the rest of a line whose beginning we do not have; or a gap
        self._partial = b""
        lines = data.split(b"\n")
        if answer.stop.offset:
            self._partial = lines[-1]
        happenings: list[Happening] = []
        for line in lines[:-1]:
            position, time, kind, text = line.split(b" ", 3)
            if int(position) >= mark.position or joined:
                happenings.append(Told(int(position), int(time), kind.decode(), text))
        if answer.stop > mark or joined:
            self._mark = answer.stop
        return happenings


def _units(command: bytes, room: int) -> list[_Unit]:
    """Return *command* in parts that have *room*, cut between characters."""
    if len(command) < room or isinstance(decode(command), Refused):
        return [_Unit(command[:room], command)]
    units: list[_Unit] = []
    start = 0
    while start < len(command):
        stop = min(len(command), start + room - len(b"~9999 "))
        last = stop == len(command)
        while not last and command[stop] & 0xC0 == 0x80:  # in the middle of a character
            stop -= 1
        sign = b"+" if last else b"~"
        units.append(_Unit(b"%b%d %b" % (sign, start, command[start:stop]), command, last))
        start = stop
    return units
