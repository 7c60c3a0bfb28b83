r"""TCP: a line a request; a reply is its lines and then an empty line. A member is his connection.

What lives here: connections, lines, back-pressure. Nothing here knows what a line says.

Theory. A connection hands over its lines in order and gets its replies in the same order. A
client can be quick in one direction and slow in the other, so each connection has bounds of
its own, and reaching one stops the reading from this client alone:

* it may have :data:`UNANSWERED_LINES` requests waiting for their reply;
* while its socket takes no more bytes, nothing is read from it, and the news that it has
  asked for wait as references into the timeline, not as copies of it;
* a line that has not ended after :data:`MAX_LINE_BYTES` is handed over as it is, longer than
  any request can be, to be refused; then the connection is closed.

A client may close his half after his last request (``printf '1 Alice\n5\n' | nc ...``). He
still gets all his replies; then the other half is closed too.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from groupchat.transports.address import bind, no_such_host, show
from groupchat.transports.interface import Connection, Listener, Service

__all__ = [
    "ACCEPT_AGAIN_SECONDS",
    "CLOSING_SECONDS",
    "CONNECTIONS_A_WAKE_UP",
    "MAX_LINE_BYTES",
    "SILENCE_SECONDS",
    "TCP",
    "UNANSWERED_LINES",
]

log = logging.getLogger("groupchat")

MAX_LINE_BYTES: Final = 65_536
"""Bytes that a line may have, with its line end. Every legal request is much shorter."""

UNANSWERED_LINES: Final = 32
"""Requests that one connection may have under way."""

CONNECTIONS_A_WAKE_UP: Final = 64
"""Connections accepted before the clients that are there get their turn."""

ACCEPT_AGAIN_SECONDS: Final = 1.0
"""Seconds without accepting anybody after the system had no room for one more connection."""

CLOSING_SECONDS: Final = 2.0
"""Seconds that a client is given to take his last reply when the server closes a connection."""

SILENCE_SECONDS: Final = 10.0
"""Seconds without a line after which a client takes an awaited reply as not coming."""

_MAX_REPLY_LINE_BYTES: Final = 1 << 24  # a client reads no longer line; a roster can be long
_PART_BYTES: Final = 1 << 18  # of a reply that is longer, a client is handed a part at a time

_numbers = itertools.count(1)


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
        return _Connection(*streams)


class _Peer(asyncio.Protocol):
    """The server's side of one connection."""

    datagram = None

    def __init__(self, service: Service, listener: "_Listener") -> None:
        self.sender = "tcp"
        self.source = "?"
        self.transport: asyncio.Transport
        self._service = service
        self._listener = listener
        self._arrived = bytearray()
        self._searched = 0  # so many bytes of what arrived hold no line end
        self._half_closed = False  # by the client: there will be no more requests
        self._refused = False  # by us: what else arrives is thrown away
        self._lost = False
        self._unanswered = 0
        self._unsent: deque[tuple[Iterator[bytes], Callable[[], None] | None]] = deque()
        self._writable = True
        self._pause: asyncio.TimerHandle | None = None  # asks too much
        self._welcome = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self._service.unsent_bytes)
        address = transport.get_extra_info("peername")  # None if he has gone already
        self.source = str(address[0]) if address else "?"
        # The number keeps two connections apart that come from one address to two ports.
        self.sender = f"tcp {show(address) if address else '?'} #{next(_numbers)}"
        self._listener.peers.add(self)
        self._welcome = self._service.come(self)
        if not self._welcome:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._unsent.clear()
        if self._pause:
            self._pause.cancel()
        while (line := self._next_line()) is not None:
            self._unanswered += 1
            self._service.receive(line, self)  # it has been received, so it is carried out
        self._listener.lost(self)
        if self._welcome:
            self._service.gone(self)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._arrived += data
            self._go_on()

    def eof_received(self) -> bool:
        """Return True: keep our half open for the replies."""
        self._half_closed = True
        self._go_on()
        return True

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._go_on()

    def welcome(self) -> None:
        """Nothing: a connection gets through."""

    def close(self) -> None:
        """Take no more requests, and close once all replies are sent."""
        self._refused = self._half_closed = True
        self._arrived.clear()
        self._go_on()

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        self._unanswered -= 1
        if not self._lost:
            if pieces is not None:
                self._unsent.append((_framed(pieces), None))
            self._go_on()

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        if not self._lost:
            self._unsent.append((_framed(pieces), sent))
            self._go_on()

    def _go_on(self) -> None:
        """Do whatever can be done now: write, hand over, read, close."""
        self._write()
        self._hand_over()
        if self._busy() or not (self._half_closed or self._refused):
            self._pace()
        else:
            self._finish()

    def _write(self) -> None:
        while self._unsent and self._writable and not self.transport.is_closing():
            pieces, sent = self._unsent[0]
            piece = next(pieces, None)
            if piece is not None:
                self.transport.write(piece)
                continue
            self._unsent.popleft()
            if sent is not None:
                asyncio.get_running_loop().call_soon(sent)

    def _hand_over(self) -> None:
        while self._may_ask():
            line = self._next_line()
            if line is None:
                break
            self._unanswered += 1
            reception = self._service.receive(line, self)
            if reception.pause:
                loop = asyncio.get_running_loop()
                self._pause = loop.call_later(reception.pause, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._go_on()

    def _pace(self) -> None:
        if self._may_ask() or self._refused:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _finish(self) -> None:
        if self._half_closed:
            self.transport.close()
        else:
            # To close with unread bytes would reset the connection, and the client would
            # lose the refusal. So close our half, and for a while throw away what he sends.
            with contextlib.suppress(OSError):  # he has gone already
                self.transport.write_eof()
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.transport.abort)

    def _busy(self) -> bool:
        return bool(self._unanswered or self._unsent or self._pause)

    def _may_ask(self) -> bool:
        return self._writable and not self._pause and self._unanswered < UNANSWERED_LINES

    def _next_line(self) -> bytes | None:
        """Take one line, with its line end, off what arrived; None if none is complete."""
        end = self._arrived.find(b"\n", self._searched) + 1
        if (end or len(self._arrived)) > MAX_LINE_BYTES:
            self._refused = True
            end = len(self._arrived)
        elif not end and self._half_closed:
            end = len(self._arrived)  # the last line, if any, has no line end
        if not end:
            self._searched = len(self._arrived)
            return None
        self._searched = 0
        line = bytes(self._arrived[:end])
        del self._arrived[:end]
        return line


def _framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *pieces*, then an empty line."""
    held = b""
    for piece in pieces:
        if held:
            yield held
        held = piece
    yield held + b"\n\n" if held else b"\n"


class _Listener:
    """Accepts connections.

    Not by asyncio's own server: when the system has no file descriptors left, that one tries
    again and again, each time with a traceback in the log, and ever more often.
    """

    def __init__(self, sockets: list[socket.socket], service: Service) -> None:
        addresses = [sock.getsockname() for sock in sockets]
        self.port: int = addresses[0][1]
        self.addresses = [show(address) for address in addresses]
        self.peers: set[_Peer] = set()
        self._sockets = sockets
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
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

    def lost(self, peer: _Peer) -> None:
        self.peers.discard(peer)
        if not self.peers:
            self._all_lost.set()

    async def close(self) -> None:
        while self._sockets:
            sock = self._sockets.pop()
            self._loop.remove_reader(sock)
            sock.close()
        for handle in self._paused.values():
            handle.cancel()
        if self._beginning:
            await asyncio.wait(self._beginning)
        if not self.peers:
            return
        self._all_lost.clear()
        for peer in list(self.peers):
            peer.close()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._all_lost.wait()
        except TimeoutError:
            for peer in self.peers:
                peer.transport.abort()

    def _resume(self, sock: socket.socket) -> None:
        self._paused.pop(sock, None)
        self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(CONNECTIONS_A_WAKE_UP):
            try:
                connected, _address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("tcp: cannot accept connections: %s", error.strerror)
                self._loop.remove_reader(sock)
                self._paused[sock] = self._loop.call_later(ACCEPT_AGAIN_SECONDS, self._resume, sock)
                return
            connected.setblocking(False)
            begin = self._loop.connect_accepted_socket(
                lambda: _Peer(self._service, self), connected
            )
            task = self._loop.create_task(begin)
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)


class _Connection:
    """The client's side."""

    lossy = False

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.more = False
        self._reader = reader
        self._writer = writer
        self._arrived = bytearray()
        self._searched = 0  # so many bytes of what arrived do not hold the end of a reply

    async def send(self, request: bytes) -> None:
        self._writer.write(request + b"\n")
        async with asyncio.timeout(SILENCE_SECONDS):
            await self._writer.drain()

    async def receive(self) -> bytes:
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
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._writer.wait_closed()
        self._writer.transport.abort()
