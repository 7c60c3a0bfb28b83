"""A transport for groupchat: netstrings over TCP.

A request or a reply is its length in decimal digits, a colon, its bytes and a comma
(https://cr.yp.to/proto/netstrings.txt): the request ``1 Alice`` is ``7:1 Alice,``. A member is
his connection. With this package installed::

    groupchat serve --transport netstring 12345
    groupchat connect --transport netstring 127.0.0.1 12345
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from groupchat.core import MAX_REQUEST_BYTES
from groupchat.transports import Connection, Listener, Service
from groupchat.transports.address import source

MAX_BYTES = MAX_REQUEST_BYTES + 1_200
"""A request longer than this ends the connection. No legal one is, not even the longest in the
head of a session's."""

UNANSWERED_REQUESTS = 32
"""Requests that one connection may have under way: one that waits for news must not be in the way
of the next."""

CLOSING_SECONDS = 1.0
"""How long a client is waited for to take his last replies."""

STALLED_SECONDS = 60.0
"""How long a client is waited for to take enough of a reply for more to be written."""

_numbers = itertools.count(1)


class Netstring:
    """The transport ``netstring``."""

    async def listen(self, host: str, port: int, service: Service) -> Listener:
        """Listen at *host*."""
        listener = _Listener(service)
        await listener.start(host, port)
        return listener

    async def connect(self, host: str, port: int) -> Connection:
        """Connect to *host*."""
        return _Connection(*await asyncio.open_connection(host, port))


class _Peer:
    """One client of the server: where requests come from, and where replies go."""

    datagram = None  # it is a connection: nothing gets lost, and a reply may have any length

    def __init__(self, writer: asyncio.StreamWriter, address: tuple[Any, ...]) -> None:
        host, port, *_ = address
        self.sender = f"netstring {host}:{port} #{next(_numbers)}"
        self.source = source(address)  # of IPv6, a machine can choose the second half
        self.room = asyncio.Semaphore(UNANSWERED_REQUESTS)
        self._writer = writer
        self._unsent: asyncio.Queue[tuple[Iterator[bytes], Callable[[], None]] | None]
        self._unsent = asyncio.Queue()

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        if pieces is None:
            self.room.release()  # answered with nothing
        else:
            self._unsent.put_nowait((_reply(pieces), self.room.release))

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        self._unsent.put_nowait((_pushed(pieces), sent))

    def welcome(self) -> None:
        pass  # what a member sends gets through like all else

    def close(self) -> None:
        self._unsent.put_nowait(None)

    async def send(self) -> None:
        """Send all there is to send, as fast as the client takes it, until :meth:`close`."""
        while (message := await self._unsent.get()) is not None:
            pieces, sent = message
            for piece in pieces:  # made now
                self._writer.write(piece)
            async with asyncio.timeout(STALLED_SECONDS):
                await self._writer.drain()
            sent()

    async def finish(self) -> None:
        """Return once every request is answered."""
        for _ in range(UNANSWERED_REQUESTS):
            await self.room.acquire()


class _Listener:
    """Accepts connections, and hands their requests to the service."""

    def __init__(self, service: Service) -> None:
        self.port = 0
        self.addresses: list[str] = []
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: set[_Peer] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, host, port)
        names = [sock.getsockname() for sock in self._server.sockets]
        self.port = names[0][1]
        self.addresses = [f"{name[0]}:{name[1]}" for name in names]

    async def close(self) -> None:
        self._server.close()
        for peer in self._peers:
            peer.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(self._service.unsent_bytes)
        address = writer.get_extra_info("peername")
        if address is None:  # he has gone already
            writer.close()
            return
        peer = _Peer(writer, address)
        reception = self._service.come(peer)
        if not reception.wanted:
            writer.close()
            return
        self._peers.add(peer)
        sending = asyncio.create_task(peer.send())
        taking = asyncio.create_task(self._take(reader, peer, reception.pause))
        try:
            await asyncio.wait([sending, taking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, taking):
                task.cancel()
            await asyncio.gather(sending, taking, return_exceptions=True)
            self._peers.discard(peer)
            self._service.gone(peer)
            await _close(writer)

    async def _take(self, reader: asyncio.StreamReader, peer: _Peer, pause: float) -> None:
        """After a pause, hand over what arrives, until nothing more does."""
        try:
            await asyncio.sleep(pause)
            while True:
                request = await _read(reader)
                await peer.room.acquire()  # who does not read his replies gets no more in
                reception = self._service.receive(request, peer)
                await asyncio.sleep(reception.pause)  # 0, unless he asks too much
        except EOFError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(peer.finish(), CLOSING_SECONDS)
        except (OSError, ValueError):
            pass  # the client has gone, or does not speak netstrings


class _Connection:
    """The client's side."""

    lossy = False  # TCP repeats what gets lost

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, request: bytes) -> None:
        if len(request) > MAX_BYTES:
            raise ValueError(f"netstring carries {MAX_BYTES:,} bytes at the most")
        self._writer.write(_framed(request))
        await self._writer.drain()

    async def receive(self) -> bytes:
        try:
            return await _read(self._reader, bound=None)
        except (EOFError, ValueError) as error:
            raise ConnectionResetError("the server has ended the connection") from error

    async def close(self) -> None:
        await _close(self._writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whether or not the other side takes what is still to be written."""
    writer.close()
    with contextlib.suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(CLOSING_SECONDS):
            await writer.wait_closed()
    writer.transport.abort()


def _reply(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield _framed(b"".join(pieces))


def _pushed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    message = b"".join(pieces)
    if message:  # else there is nothing to tell after all
        yield _framed(message)


def _framed(payload: bytes) -> bytes:
    return b"%d:%s," % (len(payload), payload)


async def _read(reader: asyncio.StreamReader, bound: int | None = MAX_BYTES) -> bytes:
    """Return the next netstring.

    Raises:
        EOFError: there is none (``asyncio.IncompleteReadError`` is one).
        ValueError: what comes is no netstring, or is longer than *bound* bytes.
    """
    digits = b""
    while (character := await reader.readexactly(1)) != b":":
        digits += character
        if not character.isdigit() or len(digits) > 10:
            raise ValueError("not a netstring")
    length = int(digits)
    if bound is not None and length > bound:
        raise ValueError("too long a netstring")
    payload = await reader.readexactly(length)
    if await reader.readexactly(1) != b",":
        raise ValueError("not a netstring")
    return payload
