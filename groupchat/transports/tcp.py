"""TCP: a line a request; a reply is its lines and then an empty line. A member is his connection.

What lives here: who is connected. What goes over a connection is for its two ends: the server's
(:mod:`~groupchat.transports.tcp_peer`) and the client's
(:mod:`~groupchat.transports.tcp_connection`).
"""

import asyncio
import contextlib
import logging
import socket
from typing import Final

from groupchat.transports.address import bind, no_such_host, show
from groupchat.transports.interface import Connection, Listener, Service
from groupchat.transports.tcp_connection import SILENCE_SECONDS, TCPConnection
from groupchat.transports.tcp_peer import READ_BYTES, TCPPeer
from groupchat.transports.tcp_watch import CLOSING_SECONDS

__all__ = ["ACCEPT_AGAIN_SECONDS", "CONNECTIONS_A_WAKE_UP", "QUEUED_BYTES", "TCP"]

log = logging.getLogger("groupchat")

CONNECTIONS_A_WAKE_UP: Final = 16
"""Connections accepted before the clients that are there get their turn."""

ACCEPT_AGAIN_SECONDS: Final = 1.0
"""Seconds without accepting anybody after the system had no room for one more connection."""

QUEUED_BYTES: Final = 131_072
"""Bytes that the system takes for a connection before they are sent. By itself, Linux takes some
megabytes for one who does not read. It bounds nothing of what is on its way."""

_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class TCP:
    """The transport ``tcp``."""

    async def listen(self, host: str, port: int, service: Service) -> Listener:
        """Listen at every address of *host*."""
        return _Listener(bind(host, port, socket.SOCK_STREAM), service)

    async def connect(self, host: str, port: int) -> Connection:
        """Connect to the first address of *host* that answers."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                streams = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)
        except UnicodeError as error:
            raise no_such_host() from error
        return TCPConnection(*streams)


class _Listener:
    """Accepts connections.

    Not by asyncio's own server: when the system has no file descriptors left, that one tries
    again and again, each time with a traceback in the log, and ever more often.
    """

    def __init__(self, sockets: list[socket.socket], service: Service) -> None:
        addresses = [sock.getsockname() for sock in sockets]
        self.port: int = addresses[0][1]
        self.addresses = [show(address) for address in addresses]
        self._peers: set[TCPPeer] = set()
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._sockets = sockets
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._all_lost = asyncio.Event()
        try:
            for sock in sockets:
                sock.listen(socket.SOMAXCONN)
        except OSError:  # bind() alone does not always find that a port is taken
            for sock in sockets:
                sock.close()
            raise
        for sock in sockets:
            self._resume(sock)

    async def close(self) -> None:
        while self._sockets:
            sock = self._sockets.pop()
            self._loop.remove_reader(sock)
            sock.close()
        for handle in self._paused.values():
            handle.cancel()
        if self._beginning:
            await asyncio.wait(self._beginning)
        if not self._peers:
            return
        self._all_lost.clear()
        for peer in list(self._peers):
            peer.close()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._all_lost.wait()
        except TimeoutError:
            for peer in self._peers:
                peer.transport.abort()

    def _resume(self, sock: socket.socket) -> None:
        self._paused.pop(sock, None)
        self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(CONNECTIONS_A_WAKE_UP):
            try:
                connected, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("tcp: cannot accept connections: %s", error.strerror)
                self._loop.remove_reader(sock)
                self._paused[sock] = self._loop.call_later(ACCEPT_AGAIN_SECONDS, self._resume, sock)
                return
            # Who has gone already has no address any more that the socket could tell.
            peer = TCPPeer(address, self._service, self._buffer, self._lost)
            if not peer.come():
                connected.close()  # before it costs any more
                continue
            self._peers.add(peer)
            connected.setblocking(False)
            with contextlib.suppress(OSError):  # he has gone already
                # What is written is whole, and must not wait until the last is acknowledged
                # (J. Nagle, RFC 896). asyncio sees to that only for sockets that it has made.
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if _NOTSENT_LOWAT is not None:
                    connected.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, QUEUED_BYTES)
            task = self._loop.create_task(self._begin(peer, connected))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, peer: TCPPeer, connected: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: peer, connected)
        except OSError as error:
            log.debug("tcp: a connection is lost: %s", error)
            connected.close()
            peer.fail()

    def _lost(self, peer: TCPPeer) -> None:
        self._peers.discard(peer)
        if not self._peers:
            self._all_lost.set()
