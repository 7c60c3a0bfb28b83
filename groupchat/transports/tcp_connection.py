"""TCP, the client's side of a connection.

What lives here: sending lines, and reading replies, which end with an empty line. A long reply is
handed on in parts, so that it costs no more memory than one of them.
"""

import asyncio
import contextlib
from typing import Final

from groupchat.transports.tcp_watch import CLOSING_SECONDS

__all__ = ["SILENCE_SECONDS", "TCPConnection"]

SILENCE_SECONDS: Final = 10.0
"""Seconds without a line after which a client takes an awaited reply as not coming."""

_MAX_REPLY_LINE_BYTES: Final = 1 << 24  # a client reads no longer line; a roster can be long
_PART_BYTES: Final = 1 << 18  # of a reply that is longer, a client is handed a part at a time


class TCPConnection:
    """One connection to a server."""

    lossy = False

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.more = False
        self._reader = reader
        self._writer = writer
        self._arrived = bytearray()
        self._searched = 0  # so many bytes of what arrived do not hold the end of a reply

    async def send(self, request: bytes) -> None:
        """Send *request* and a line end, within :data:`SILENCE_SECONDS`."""
        self._writer.write(request + b"\n")
        async with asyncio.timeout(SILENCE_SECONDS):
            await self._writer.drain()

    async def receive(self) -> bytes:
        """Return the next reply, or the next part of a long one."""
        while (reply := self._taken()) is None:
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await self._reader.read(_PART_BYTES)
            if not data:
                raise ConnectionResetError("the server has ended the connection")
            self._arrived += data
        return reply

    def _taken(self) -> bytes | None:
        """Take a reply, or a part of one, off what has arrived; None if neither is complete."""
        arrived = self._arrived
        self.more = False
        if arrived.startswith(b"\n"):
            return self._take(0, 1)
        end = arrived.find(b"\n\n", self._searched)
        if end >= 0:
            return self._take(end, end + 2)
        self._searched = max(0, len(arrived) - 1)
        if len(arrived) <= _PART_BYTES:
            return None
        # A part ends with a line, and not with the last one: what follows is not empty.
        end = arrived.rfind(b"\n", 0, len(arrived) - 1)
        if end >= 0:
            self.more = True
            return self._take(end, end + 1)
        if len(arrived) > _MAX_REPLY_LINE_BYTES:
            raise ConnectionAbortedError("the server sent too long a line")
        return None

    def _take(self, end: int, following: int) -> bytes:
        """Return what arrived before *end*, and go on at *following*."""
        reply = bytes(memoryview(self._arrived)[:end])
        del self._arrived[:following]
        self._searched = 0
        return reply

    async def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._writer.wait_closed()
        self._writer.transport.abort()
