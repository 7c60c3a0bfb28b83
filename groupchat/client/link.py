"""One connection of a session, and what has arrived by it.

What lives here: reading on while nobody waits, within bounds. What must not: when to make another
connection, or what the bytes say.

Theory. A connection is read by a task of its own, because to give up a ``receive`` half-way could
lose what it has already got. A few messages may wait to be taken; then nothing more is
read, and the network slows the server down. That nothing comes is no failure: how long is too
long, its owner knows.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from groupchat.client.parts import receive_part
from groupchat.transports import Connection

__all__ = ["MAX_REPLY_BYTES", "WAITING_MESSAGES", "Link"]

MAX_REPLY_BYTES: Final = 4 << 20
"""Bytes of one reply that a client of sessions keeps. A server that sends more is none of ours."""

WAITING_MESSAGES: Final = 4
"""Messages that have arrived, and wait to be looked at."""

_FAILED_SECONDS: Final = 0.05  # between two looks at a network that reports errors


class Link:
    """Reads *connection*.

    Args:
        connection: nobody else may use it.
        wake: called when something has happened.
    """

    def __init__(self, connection: Connection, wake: Callable[[], None]) -> None:
        self.lossy = connection.lossy
        """Whether messages can get lost."""
        self.broken = False
        """Whether nothing will come any more."""
        self.failure: OSError | None = None
        """What the network has reported. Whoever has seen to it sets this to None."""
        self._connection = connection
        self._wake = wake
        self._arrived: deque[bytes] = deque()
        self._parts = b""  # of a message that is not complete
        self._room = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._read())
        self._task.add_done_callback(lambda _: wake())

    def take(self) -> bytes | None:
        """Return the next message that has arrived, if any. What the transport has raised, though
        it must not, is raised here."""
        if not self._arrived:
            if self._task.done():
                self._task.result()
            return None
        self._room.set()
        return self._arrived.popleft()

    async def send(self, message: bytes) -> None:
        """Send *message*.

        Raises:
            ValueError: it is too long for this transport.
            OSError: it could not be sent.
        """
        await self._connection.send(message)

    async def close(self) -> None:
        """Let go of the connection."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._connection.close()

    async def _read(self) -> None:
        while not self.broken:
            try:
                message = await self._message()
            except OSError as error:
                if isinstance(error, TimeoutError) and error.errno is None:
                    continue  # it has been silent for long
                self.failure = error
                self.broken = not self.lossy
                self._wake()
                await asyncio.sleep(_FAILED_SECONDS)
                continue
            self._arrived.append(message)
            self._wake()
            while len(self._arrived) >= WAITING_MESSAGES:
                self._room.clear()
                await self._room.wait()

    async def _message(self) -> bytes:
        """Return the next message, put together if it comes in parts."""
        while True:
            part, is_last = await receive_part(self._connection)
            if is_last:
                message, self._parts = self._parts + part, b""
                return message
            self._parts += part + b"\n"
            if len(self._parts) > MAX_REPLY_BYTES:
                raise ConnectionAbortedError("the server sent too long a reply")
