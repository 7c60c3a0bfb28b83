"""UDP, the client's side: its sockets, and which of them reaches the server.

What lives here: sending requests and receiving replies, any of which can get lost. What must not:
when to ask again.
"""

import asyncio
import itertools
import socket
from typing import Final

__all__ = ["MAX_DATAGRAM_BYTES", "UDPConnection"]

MAX_DATAGRAM_BYTES: Final = 65_507
"""No UDP datagram over IPv4 carries more bytes (65,535 less the headers; RFC 768, RFC 791)."""


class UDPConnection:
    """A client's sockets, one for each address of the server.

    Until something is received, each request goes out by the next of them: of ``localhost``,
    which is often both ``::1`` and ``127.0.0.1``, the server may listen at one only.
    """

    lossy = True

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._next = itertools.cycle(sockets)
        self._socket = sockets[0]
        self._answered = False

    async def send(self, request: bytes) -> None:
        """Send *request* as a datagram."""
        if len(request) > MAX_DATAGRAM_BYTES:
            raise ValueError(f"udp carries {MAX_DATAGRAM_BYTES:,} bytes at the most")
        if not self._answered:
            self._socket = next(self._next)
        await asyncio.get_running_loop().sock_sendall(self._socket, request)

    async def receive(self) -> bytes:
        """Return the next datagram."""
        while not self._answered and len(self._sockets) > 1:
            for sock in self._sockets:
                try:
                    reply = sock.recv(MAX_DATAGRAM_BYTES + 1)
                except (BlockingIOError, InterruptedError):
                    continue
                self._socket, self._answered = sock, True
                return reply
            await self._something()
        reply = await asyncio.get_running_loop().sock_recv(self._socket, MAX_DATAGRAM_BYTES + 1)
        self._answered = True
        return reply

    async def _something(self) -> None:
        """Wait until any of the sockets has something."""
        loop = asyncio.get_running_loop()
        found = asyncio.Event()
        for sock in self._sockets:
            loop.add_reader(sock, found.set)
        try:
            await found.wait()
        finally:
            for sock in self._sockets:
                loop.remove_reader(sock)

    async def close(self) -> None:
        """Let go of the sockets."""
        for sock in self._sockets:
            sock.close()
