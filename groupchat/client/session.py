"""A session with a server, over whatever connection there is.

What lives here: a clock, and what goes over a connection when. What must not: a rule of the session
protocol, which is in :mod:`groupchat.core.sessions.client`, when another connection is made, which
is in :mod:`groupchat.client.redial`, or a screen.

Theory. Whoever has a session asks for what he wants, and calls :meth:`Session.next` again and again
for what happens. Nothing runs in between: what was returned counts as dealt with (shown, written
to a file) when ``next`` is called again. Only then is it acknowledged, and only then can it come
that it is not told once more. What has to be kept for that is handed to *store* each time before
anything is sent, so a process that is killed at any moment can be followed by another::

    async with Session(dial, saved, store=write_down) as session:
        await session.ask(b"1 Alice", b"2 Hi")
        session.follow()
        async for happening in session:
            ...
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from attrs import evolve

from groupchat.client.failures import NoAnswer
from groupchat.client.patience import HOLD_SECONDS, Patience, Silent
from groupchat.client.redial import Dial, Redial
from groupchat.core.sessions.client import PLAIN_REFUSALS, SessionClient
from groupchat.core.sessions.happenings import Happening, Lost, NoSessions, Told
from groupchat.core.sessions.saved import Saved

__all__ = ["Dial", "Session", "Silent"]


class Session:
    """One session with one server.

    Args:
        dial: makes connections.
        saved: the session to go on with; None for a new one.
        store: called, often, with what is to be kept; when it returns, that must be safe.
        in_turn: whether to be told things as the plain protocol tells them (see
            :class:`~groupchat.core.sessions.client.SessionClient`).
    """

    def __init__(
        self,
        dial: Dial,
        saved: Saved | None = None,
        *,
        store: Callable[[Saved], None] | None = None,
        in_turn: bool = False,
    ) -> None:
        self._store = store
        self._client = SessionClient(
            datagram=True, saved=saved, nonce=secrets.token_hex(8), in_turn=in_turn
        )
        self._follows = False
        self._dealt_with = True  # all that has come
        self._ahead: deque[Happening | Silent] = deque()  # what has come and was not returned yet
        self._called = False
        self._over = False
        self._woken = asyncio.Event()
        self._patience = Patience()
        self._redial = Redial(dial, self._woken.set)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.settle()
        await self.close()

    # What to do.

    def submit(self, command: bytes) -> None:
        """Have *command*, a request of the plain protocol, carried out. What is submitted while
        a request is under way travels together in the next."""
        self._client.submit(command)
        self._woken.set()

    def ask_who(self) -> None:
        """Ask who is here."""
        self._client.ask_who()
        self._woken.set()

    def ask_seen(self) -> None:
        """Ask how far everybody else has come."""
        self._client.ask_seen()
        self._woken.set()

    def follow(self) -> None:
        """Be told all news from now on, as it comes."""
        self._follows = True
        self._listen()
        self._woken.set()

    def wake(self) -> None:
        """Have :meth:`next` return, if only nothing."""
        self._called = True
        self._woken.set()

    # What there is to know.

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for has been answered."""
        return self._client.idle

    @property
    def said(self) -> int:
        """All that we have said lies before this position; 0: nothing was said."""
        return self._client.said

    @property
    def unsent(self) -> tuple[bytes, ...]:
        """The commands of which no part has been sent yet."""
        return self._client.unsent

    @property
    def saved(self) -> Saved | None:
        """What is to be kept of it now; None if there is no session yet."""
        saved = self._client.saved()
        ahead = (happening.position for happening in self._ahead if isinstance(happening, Told))
        first = next(ahead, None)
        if saved is None or first is None:
            return saved
        return evolve(saved, position=min(saved.position, first))

    # What happens.

    async def ask(self, *commands: bytes) -> list[Happening]:
        """Have *commands* carried out, wait until they are, and return all that has happened.

        That can take many requests, and each acknowledges what came before it. So if this is
        broken off, by a timeout for instance, what had come is returned by the next call of this
        or of :meth:`next`. But if the process ends instead, it is gone: whoever must not miss it
        then calls :meth:`submit` and :meth:`next`.
        """
        for command in commands:
            self.submit(command)
        happened: list[Happening] = []
        try:
            while not self.idle and not self._over:
                happened += [h for h in await self.next() if not isinstance(h, Silent)]
        except BaseException:
            self._ahead.extendleft(reversed(happened))
            self._dealt_with = not self._ahead
            raise
        return happened

    async def leave(self, seconds: float) -> None:
        """Leave the group, and be told nothing more.

        Raises:
            NoAnswer: for so long there was none, so nobody knows whether we did.
        """
        self.submit(b"4")
        while not self.idle:
            for happening in await self.next():
                if isinstance(happening, Silent) and happening.seconds > seconds:
                    raise NoAnswer(happening.why or "no answer")

    async def __aiter__(self) -> AsyncIterator[Happening | Silent]:
        """Yield what happens, for ever. Whoever ends this and begins again, misses nothing."""
        while self._ahead or not self._over:
            if not self._ahead:
                self._ahead.extend(await self.next())
            while self._ahead:
                yield self._ahead.popleft()

    async def next(self) -> list[Happening | Silent]:
        """Wait until something happens, and return it.

        What was returned before has been dealt with. Nothing is returned when :meth:`wake` is
        called, and when all has been answered without anything to tell.

        Raises:
            OSError: the server has never been reached, and it does not look as if it could be;
                or the session is over.
        """
        if self._ahead:
            ahead = [*self._ahead]
            self._ahead.clear()
            return ahead
        self.settle()
        if self._over:
            raise ConnectionError("the session is over")
        busy = not self.idle
        while True:
            self._woken.clear()
            happened = self._receive(_now())
            if happened:
                self._dealt_with = False
                return [*happened]
            if self._called or (busy and self.idle):
                self._called = False
                return []
            await self._connect()
            refused = await self._send()
            if refused:
                return [refused]
            now = _now()
            silent = self._patience.silent(now, self._since(now), self._redial.why)
            if silent:
                return [silent]
            await self._wait()

    def settle(self) -> None:
        """Take note that all that :meth:`next` has returned has been dealt with."""
        self._dealt_with = not self._ahead
        self._write_down()

    async def close(self) -> None:
        """Let go of the connection. Before, tell the server, if it is there to hear it, how far
        we have come."""
        link = self._redial.link
        try:
            if link and self._dealt_with and self.idle and not link.broken:
                self._client.listen(0)
                self._client.acknowledge()
                with contextlib.suppress(OSError):
                    await self._send()
        finally:
            await self._redial.close()

    def _write_down(self) -> None:
        saved = self.saved
        if saved is not None and self._store is not None:
            self._store(saved)

    def _receive(self, now: int) -> list[Happening]:
        """Take what has arrived, until there is something to tell."""
        happened: list[Happening] = []
        while (link := self._redial.link) is not None and not happened:
            data = link.take()
            if data is None:
                break
            heard = self._client.heard
            happened = self._client.receive(data, now)
            if self._client.heard > heard:  # else it was none of the server's
                self._patience.hear(now)
                self._redial.hear()
            enough = PLAIN_REFUSALS if link.lossy else 1
            if self._client.refusals >= enough and self._client.saved() is not None:
                happened = [NoSessions()]
        self._over = self._over or any(isinstance(h, NoSessions | Lost) for h in happened)
        return happened

    async def _connect(self) -> None:
        """See to it that there is a connection, if one is needed and it is time to try."""
        now = _now()
        since = self._since(now)
        owed = 0 if since is None else now - since
        if await self._redial.keep(now, owed, needed=self._is_needed()):
            link = self._redial.link
            self._client.reconnect(link is None or link.lossy)
            self._listen()

    def _is_needed(self) -> bool:
        return self._follows or not self.idle

    def _listen(self) -> None:
        """Have news come, if we follow it, as it can by the connection that there is."""
        link = self._redial.link
        if link is not None and self._follows:
            self._client.listen(HOLD_SECONDS if link.lossy else 0)
            if not link.lossy:
                self._client.follow()

    async def _send(self) -> NoSessions | None:
        """Send what is to be sent, once all that it depends on is written down."""
        link = self._redial.link
        if link is None:
            return None
        message = self._client.send(_now())
        self._write_down()
        if message is not None:
            try:
                await link.send(message)
            except ValueError:  # this transport carries only shorter ones
                self._over = True
                return NoSessions()
            except OSError as error:
                link.failure = error
                self._woken.set()
        return None

    def _since(self, now: int) -> int | None:
        """Return since when an answer has been owed."""
        link = self._redial.link
        held = self._follows and link is not None and link.lossy
        return self._patience.since(now, owed=not self.idle, held=held)

    async def _wait(self) -> None:
        """Wait until something arrives, or is asked for, or it is time to do something."""
        now = _now()
        times: list[int | None] = []
        since = self._since(now)
        if since is not None:
            times.append(self._patience.next_silent(since))
        if self._redial.link is not None:
            times.append(self._client.next_time())
        elif self._is_needed():
            times.append(self._redial.due)
        due = min((due for due in times if due is not None), default=None)
        alarm = None
        if due is not None:
            loop = asyncio.get_running_loop()
            alarm = loop.call_later(max(0, due - now) / 1_000, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            if alarm is not None:
                alarm.cancel()


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
