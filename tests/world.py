"""A world for the server that is moved on by hand: peers that record, a clock, a slow journal."""

from collections.abc import Callable, Iterable

from attrs import define, field

from groupchat.core.chat import Chat
from groupchat.core.records import Drop, Record
from groupchat.journal import Journal, MemoryJournal
from groupchat.journal.interface import Done
from groupchat.server import NO_LIMITS, Limits, Server

__all__ = ["Recorder", "Slow", "SlowJournal", "World"]


class Recorder:
    """A peer that keeps what it is sent: a connection, or (with *datagram*) an address."""

    def __init__(self, sender: str, datagram: int | None = None, source: str = "192.0.2.1") -> None:
        self.sender = sender
        self.source = source
        self.datagram = datagram
        self.replies: list[bytes | None] = []
        """None where there was to be no reply."""
        self.pushed: list[bytes] = []
        self.takes_more: list[Callable[[], None]] = []
        """To be called when a push has been taken."""
        self.welcomed = 0
        self.closed = False

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        self.replies.append(None if pieces is None else b"".join(pieces))

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        if message := b"".join(pieces):
            self.pushed.append(message)
            self.takes_more.append(sent)
        else:
            sent()

    def welcome(self) -> None:
        self.welcomed += 1

    def close(self) -> None:
        self.closed = True


class Slow(Recorder):
    """A connection whose reader takes what there is when the test says so."""

    def __init__(self, sender: str) -> None:
        super().__init__(sender)
        self.unread: list[Callable[[], None]] = []

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        self.unread.append(lambda: super(Slow, self).reply(pieces))

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        self.unread.append(lambda: super(Slow, self).push(pieces, sent))

    def read(self) -> None:
        """Take all that there is."""
        while self.unread:
            self.unread.pop(0)()


class SlowJournal:
    """A journal that has written something down when the test says so."""

    def __init__(self, chat: Chat | None = None) -> None:
        self.chat = chat or Chat()
        self.batches: list[list[Record]] = []
        """All that were to be appended."""
        self.old: list[Drop] = []
        """What is to be let go of, one a tick."""
        self.rests = 0
        self._done: Done | None = None

    def append(self, records: Iterable[Record], done: Done) -> None:
        assert self._done is None, "two at a time"
        assert not self.rests
        self.batches.append(list(records))
        self._done = done

    def written(self, error: OSError | None = None) -> None:
        """Have the batch under way be written, or not."""
        done, self._done = self._done, None
        assert done is not None
        done(error)

    def outdated(self, now: int) -> Drop | None:
        assert now
        return self.old.pop(0) if self.old else None

    def rest(self, done: Done) -> None:
        assert self._done is None
        self.rests += 1
        self._done = done

    def close(self) -> None:
        """Nothing."""


@define(eq=False)
class _Timer:
    time: int
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@define(eq=False)
class World:
    """A server's scheduler, and the server."""

    journal: Journal = field(factory=MemoryJournal)
    limits: Limits = NO_LIMITS
    now: int = 1_000_000
    """Milliseconds, of which none is ever missing."""
    ahead: int = 0
    """By how many milliseconds the clock is ahead of that."""
    due: list[Callable[[], None]] = field(factory=list)
    timers: list[_Timer] = field(factory=list)
    drawn: int = 0
    server: Server = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = Server(self.journal, self, self.limits)
        self.turn()

    def time(self) -> int:
        return self.now + self.ahead

    def monotonic(self) -> int:
        return self.now

    def draw(self) -> bytes:
        self.drawn += 1
        return bytes([self.drawn]) * 16

    def call_soon(self, call: Callable[[], None]) -> None:
        self.due.append(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Timer:
        timer = _Timer(self.now + round(1_000 * seconds), call)
        self.timers.append(timer)
        return timer

    def turn(self) -> None:
        """Call what is due now, and nothing that becomes due by that."""
        due, self.due = self.due, []
        for call in due:
            call()

    def takes_more(self, peer: Recorder) -> None:
        """Have *peer* take what was pushed last."""
        peer.takes_more.pop()()
        self.turn()

    def wait(self, seconds: float) -> None:
        """Let time pass, and call whatever becomes due."""
        end = self.now + round(1_000 * seconds)
        while True:
            self.timers = [timer for timer in self.timers if not timer.cancelled]
            timer = min(self.timers, key=lambda timer: timer.time, default=None)
            if timer is None or timer.time > end:
                break
            self.timers.remove(timer)
            self.now = max(self.now, timer.time)
            timer.call()
            self.turn()
        self.now = end

    def ask(self, peer: Recorder, *requests: bytes) -> bytes | None:
        """Have *requests* of *peer* carried out in one turn; return the last reply."""
        for request in requests:
            self.server.receive(request, peer)
        self.turn()
        return peer.replies[-1] if peer.replies else None
