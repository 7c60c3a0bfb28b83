"""The connection of a session, and when another takes its place.

What lives here: when to dial. What must not: what goes over a connection.

Theory. A connection that breaks is made again, after longer and longer pauses. One that can lose
things is made again, too, when nothing has come for a while: our own address may have changed, or
the server's, and a new socket finds the new way. That never costs more than the time that it takes.

A server that has never been heard may not be there at all. So what the network says against it is
believed, the first time when nothing could be dialled, and else after a few times.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from groupchat.client.failures import reason
from groupchat.client.link import Link
from groupchat.transports import Connection

__all__ = [
    "ANSWER_MILLISECONDS",
    "FIRST_PAUSE_SECONDS",
    "FIRST_TRIES",
    "MAX_PAUSE_SECONDS",
    "MOVE_MILLISECONDS",
    "REFUSED_SECONDS",
    "Dial",
    "Redial",
]

ANSWER_MILLISECONDS: Final = 10_000
"""How long a connection may owe an answer before it is taken for dead."""

MOVE_MILLISECONDS: Final = 5_000
"""How long there must be no answer by datagrams before another socket is tried."""

MAX_PAUSE_SECONDS: Final = 5.0
"""The longest pause before a broken connection is made again."""

FIRST_PAUSE_SECONDS: Final = 0.1
"""The shortest pause before a broken connection is made again."""

REFUSED_SECONDS: Final = 0.25
"""How long to wait before another datagram is sent where nobody was there."""

FIRST_TRIES: Final = 4
"""So many tries must fail before a server that was never heard is taken not to be there."""

Dial: TypeAlias = Callable[[], Awaitable[Connection]]
"""Returns a new connection to the server, or raises an OSError."""


class Redial:
    """Has a connection while one is needed.

    Args:
        dial: makes connections.
        wake: called when something has happened on one.
    """

    def __init__(self, dial: Dial, wake: Callable[[], None]) -> None:
        self.link: Link | None = None
        """The connection; None while there is none. To be read."""
        self.why = ""
        """What the network has said since anything was heard."""
        self.due = 0
        """When it will be dialled again. To be read."""
        self._dial = dial
        self._wake = wake
        self._linked = False  # ever
        self._heard = False  # ever
        self._failures = 0  # of the network, since anything was heard

    def hear(self) -> None:
        """Take note that the server was heard."""
        self._heard = True
        self._failures, self.why = 0, ""

    async def keep(self, now: int, owed: int, *, needed: bool) -> bool:
        """See to it that there is a connection, if it is time to try.

        Args:
            now: the time, in milliseconds.
            owed: for how many milliseconds an answer has been owed.
            needed: whether there is anything to be said.

        Returns:
            Whether what is under way has to be sent again.

        Raises:
            OSError: the server was never heard, and it does not look as if it could be.
        """
        again = False
        if self.link is not None:
            again = await self._check(self.link, now, owed)
        if self.link is not None or now < self.due or not needed:
            return again
        try:
            self.link = Link(await self._dial(), self._wake)
        except OSError as error:
            if not self._linked:
                raise
            self._put_off(error, now)
            return again
        self._linked = True
        return True

    async def close(self) -> None:
        """Let go of the connection."""
        link, self.link = self.link, None
        if link is not None:
            await link.close()

    async def _check(self, link: Link, now: int, owed: int) -> bool:
        """Do what is to be done about *link*; return whether to send again."""
        if link.failure is not None:
            return await self._failed(link, link.failure, now)
        if not link.lossy and owed > ANSWER_MILLISECONDS:
            return await self._failed(link, ConnectionAbortedError("no answer"), now)
        if link.lossy and owed > MOVE_MILLISECONDS and now >= self.due:
            self.due = now + MOVE_MILLISECONDS
            await self._replace(link)
        return False

    async def _failed(self, link: Link, failure: OSError, now: int) -> bool:
        """Do what can be done about a *failure* of *link*; return whether to send again."""
        link.failure = None
        self._put_off(failure, now)
        hopeless = not self._heard and self._failures >= FIRST_TRIES
        refused = isinstance(failure, ConnectionRefusedError)
        if hopeless and (refused or not link.lossy):
            raise failure
        if not link.lossy:
            await self.close()
        elif refused and not self._heard:
            await asyncio.sleep(REFUSED_SECONDS)
            return True  # there may be another address
        return False

    def _put_off(self, failure: OSError, now: int) -> None:
        self.why = reason(failure)
        pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.due = now + round(pause * 1_000)

    async def _replace(self, link: Link) -> None:
        """Go on by another socket."""
        try:
            connection = await self._dial()
        except OSError as error:
            self.why = reason(error)
            return
        await link.close()
        self.link = Link(connection, self._wake)
