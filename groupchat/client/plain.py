"""A client of the plain protocol: one request, one reply.

What lives here: asking, and asking again. What must not: a terminal.

Theory. Over a transport that can lose datagrams, no answer means that the request was lost, or
its reply was, and the plain protocol cannot tell which. So the client asks again, after longer
and longer waits, and in the end gives up. Asking twice has its price: a message whose reply was
lost is then said twice. And an answer that was only late is still an answer: it may be all
that is left of somebody's message, so nothing that arrives is thrown away.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from groupchat.client.failures import NoAnswer, reason
from groupchat.client.parts import receive_part
from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.plain import NOT_STORED, TOO_MANY
from groupchat.transports import Connection

__all__ = [
    "BUSY_SECONDS",
    "LATE_SECONDS",
    "REFUSED_SECONDS",
    "TRY_AGAIN",
    "WAITS_SECONDS",
    "PlainClient",
]

WAITS_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
"""How long each try waits for its reply."""

LATE_SECONDS: Final = 1.0
"""How long to wait, before the end, for replies to requests that were made more than once."""

REFUSED_SECONDS: Final = 0.25
"""How long a try waits instead when the network says that nobody is there."""

BUSY_SECONDS: Final = (0.25, 0.5, 1.0, 2.0)
"""How long to wait before each further try when the server says that there are too many."""

TRY_AGAIN: Final = (NOT_STORED, TOO_MANY)
"""The replies to a request that was legal, and was not carried out."""


class PlainClient:
    """Asks a server, one request at a time.

    Args:
        connection: how to reach it.
        show: called with each reply that is not empty, in the order of arrival; of a long one,
            with some of its lines at a time. It must not raise an OSError.
        tell: called with a line for people when there is something to wait for.
    """

    def __init__(
        self,
        connection: Connection,
        show: Callable[[bytes], None],
        tell: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._show = show
        self._tell = tell
        self._may_be_member = False  # a join whose reply got lost makes us one, unknown to us
        self._unanswered = 0  # requests sent less replies received

    async def ask(self, request: bytes) -> bytes:
        """Send *request*, wait for its reply, show and return it; of a long one, its end.

        Raises:
            NoAnswer: there is none.
            ValueError: *request* is too long for the transport.
        """
        await self._show_late_replies()
        if request.startswith(b"1 "):
            self._may_be_member = True
        reply = await self._answer(request)
        if reply:
            self._show(reply)
        if request == b"4" and reply != ILLEGAL_REQUEST and reply not in TRY_AGAIN:
            self._may_be_member = False
            await self._show_late_replies(LATE_SECONDS)
        return reply

    async def leave(self) -> None:
        """Leave the group, if we may be in it.

        Raises:
            NoAnswer: nobody knows whether we did.
        """
        if self._may_be_member:
            await self._show_late_replies()
            reply = await self._answer(b"4")
            if reply and reply != ILLEGAL_REQUEST:  # a refusal means that we were not in it
                self._show(reply)
            await self._show_late_replies(LATE_SECONDS)

    async def _answer(self, request: bytes) -> bytes:
        for pause in BUSY_SECONDS:
            reply = await self._reply(request)
            if reply != TOO_MANY:
                return reply
            await asyncio.sleep(pause)
        return await self._reply(request)

    async def _reply(self, request: bytes) -> bytes:
        # A connection that loses nothing is asked once; it knows itself when to give up.
        waits = WAITS_SECONDS if self._connection.lossy else (None,)
        failure = "no answer"
        for number, wait in enumerate(waits, 1):
            try:
                async with asyncio.timeout(wait):
                    await self._connection.send(request)
                    self._unanswered += 1
                    return await self._receive()
            except TimeoutError as error:
                failure = str(error) or "no answer"
                if number < len(waits):
                    self._tell("no answer yet, asking again")
            except OSError as error:
                failure = reason(error)
                await asyncio.sleep(REFUSED_SECONDS)
        raise NoAnswer(failure)

    async def _show_late_replies(self, patience: float = 0) -> None:
        """Show the replies to earlier tries that are there, or come within *patience* seconds."""
        while self._connection.lossy and (self._unanswered or not patience):
            try:
                async with asyncio.timeout(patience):
                    late = await self._receive()
            except OSError:  # nothing there, be it because time is up
                return
            if late and late != ILLEGAL_REQUEST and late not in TRY_AGAIN:  # which are no news
                self._show(late)

    async def _receive(self) -> bytes:
        """Return the next reply; of a long one, show all but its end, and return that."""
        reply, is_last = await receive_part(self._connection)
        while not is_last:
            self._show(reply)
            reply, is_last = await receive_part(self._connection)
        self._unanswered = max(0, self._unanswered - 1)  # a network may double a datagram
        return reply
