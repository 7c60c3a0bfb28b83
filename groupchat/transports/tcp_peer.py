r"""TCP, the server's side of a connection: lines in, replies out, back-pressure.

What lives here: one client's bytes. What must not: what a line says, and who may connect.

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
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from groupchat.transports.address import show
from groupchat.transports.interface import Service

__all__ = ["CLOSING_SECONDS", "MAX_LINE_BYTES", "UNANSWERED_LINES", "TCPPeer"]

MAX_LINE_BYTES: Final = 65_536
"""Bytes that a line may have, with its line end. Every legal request is much shorter."""

UNANSWERED_LINES: Final = 32
"""Requests that one connection may have under way."""

CLOSING_SECONDS: Final = 2.0
"""Seconds that a client is given to take his last reply when the server closes a connection."""

_numbers = itertools.count(1)


class TCPPeer(asyncio.Protocol):
    """One client of a server.

    Args:
        service: whom to hand his requests to.
        begun: called with this when there is a connection.
        ended: called with this when there is none any more.
    """

    datagram = None

    def __init__(
        self,
        service: Service,
        begun: Callable[["TCPPeer"], None],
        ended: Callable[["TCPPeer"], None],
    ) -> None:
        self.sender = "tcp"
        self.source = "?"
        self.transport: asyncio.Transport
        self._service = service
        self._begun = begun
        self._ended = ended
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
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self._service.unsent_bytes)
        address = transport.get_extra_info("peername")  # None if he has gone already
        self.source = str(address[0]) if address else "?"
        # The number keeps two connections apart that come from one address to two ports.
        self.sender = f"tcp {show(address) if address else '?'} #{next(_numbers)}"
        self._begun(self)
        self._welcome = self._service.come(self)
        if not self._welcome:
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        self._lost = True
        self._unsent.clear()
        if self._pause:
            self._pause.cancel()
        while (line := self._next_line()) is not None:
            self._unanswered += 1
            self._service.receive(line, self)  # it has been received, so it is carried out
        self._ended(self)
        if self._welcome:
            self._service.gone(self)

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if not self._refused:
            self._arrived += data
            self._go_on()

    def eof_received(self) -> bool:
        """Return True: keep our half open for the replies."""
        self._half_closed = True
        self._go_on()
        return True

    def pause_writing(self) -> None:
        """Have replies wait: the socket is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on: the socket has room."""
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
        """Answer the oldest request that has no reply yet."""
        self._unanswered -= 1
        if not self._lost:
            if pieces is not None:
                self._unsent.append((_framed(pieces), None))
            self._go_on()

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send what nobody asked for."""
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
