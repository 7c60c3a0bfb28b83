r"""TCP, the server's side of a connection: lines in, replies out, back-pressure.

What lives here: one client's bytes. What must not: what a line says, and who may connect.

Theory. A connection hands over its lines in order and gets its replies in the same order. A
client can be quick in one direction and slow in the other, so each connection has bounds of
its own, and reaching one stops the reading from this client alone:

* it may have :data:`UNANSWERED_LINES` requests waiting for their reply, so no wake-up hands over
  more of them;
* at most :data:`READ_BYTES` are read in a wake-up, and none as long as a line of the last ones has
  to wait;
* while its socket takes no more bytes, nothing is read from it, and the news that it has
  asked for wait as references into the timeline, not as copies of it;
* of a line, :data:`KEPT_BYTES` are kept: the beginning of a longer one is handed over, longer than
  any request can be, to be refused, and its rest is thrown away. A line that has not ended after
  :data:`MAX_LINE_BYTES` ends the connection, too.

A web page can have the browser send what it likes to any port, its own lines after the head of a
request of HTTP. Whatever else is in such a head, it has the field ``Host`` (RFC 9112, section
3.2). So after a line that begins like that one, which is no request here, nothing is taken any
more; nor after one that begins like TLS (RFC 8446, section 5.1), which could hold lines, too.

A client may close his half after his last request (``printf '1 Alice\n5\n' | nc ...``). He
still gets all his replies; then the other half is closed too. A client may also close the
connection at once, or lose it. What was handed over by then is carried out. That is all that he
has sent, unless it had to wait for one of the bounds: what has to wait is dropped with
the connection. Who wants to be sure reads his replies.
"""

import asyncio
import contextlib
import itertools
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from groupchat.core import MAX_REQUEST_BYTES
from groupchat.core.sessions.wire import DATAGRAM_BYTES
from groupchat.transports.address import show, source
from groupchat.transports.interface import Service
from groupchat.transports.tcp_watch import Watch

__all__ = [
    "KEPT_BYTES",
    "MAX_LINE_BYTES",
    "READ_BYTES",
    "UNANSWERED_LINES",
    "WRITTEN_BYTES",
    "TCPPeer",
]

log = logging.getLogger("groupchat")

KEPT_BYTES: Final = MAX_REQUEST_BYTES + DATAGRAM_BYTES
"""Bytes that are kept of a line. A plain request has 4,004 at the most, with its line end, and one
of a session 1,200, as by UDP; so there is room even for the longest plain request inside of one of
a session."""

MAX_LINE_BYTES: Final = 65_536
"""Bytes that a line may have, with its line end. One that has more ends the connection."""

READ_BYTES: Final = 32_768
"""Bytes read from one connection before the others get their turn."""

WRITTEN_BYTES: Final = 65_536
"""Bytes written to one connection at a time, as long as there are so many; and the rest of the
last piece."""

UNANSWERED_LINES: Final = 512
"""Requests that one connection may have under way."""

_END: Final = b"\n\n"  # of the last line, and an empty one

_BROWSER: Final = re.compile(rb"host:|\x16\x03", re.IGNORECASE)

_numbers = itertools.count(1)


class TCPPeer(asyncio.BufferedProtocol):
    """One client of a server.

    Args:
        address: where he connects from, as the socket module has it.
        service: whom to hand his requests to.
        buffer: where what arrives is read to. All peers of an event loop can share one, for it
            is empty again before the next of them reads.
        ended: called with this when there is no connection any more.
    """

    datagram = None

    def __init__(
        self,
        address: tuple[Any, ...],
        service: Service,
        buffer: memoryview,
        ended: Callable[["TCPPeer"], None],
    ) -> None:
        # The number keeps two connections apart that come from one address to two ports.
        self.sender = f"tcp {show(address)} #{next(_numbers)}"
        self.source = source(address)
        self.transport: asyncio.Transport
        self._service = service
        self._buffer = buffer
        self._ended = ended
        self._arrived = bytearray()
        self._searched = 0  # so many bytes of what arrived hold no line end
        self._overlong = 0  # bytes of the line that is arriving, if it is too long
        self._half_closed = False  # by the client: there will be no more requests
        self._refused = False  # by us: what else arrives is thrown away
        self._lost = False
        self._unanswered = 0
        self._unsent: deque[tuple[Iterator[bytes], Callable[[], None] | None]] = deque()
        self._writable = True
        self._going_on = False  # soon
        self._watch: Watch
        self._finished = False  # all is written: our half is closed
        self._pause: asyncio.TimerHandle | None = None  # asks too much
        self._first_pause = 0.0

    def come(self) -> bool:
        """Tell the service, before anything else, and return whether this may stay. If so,
        :meth:`connection_made` has to follow, or :meth:`fail`."""
        reception = self._service.come(self)
        self._first_pause = reception.pause
        return reception.wanted

    def fail(self) -> None:
        """Take note that there is no connection after all."""
        self._ended(self)
        self._service.gone(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self._watch = Watch(self.transport)
        self.transport.set_write_buffer_limits(self._service.unsent_bytes)
        self._wait(self._first_pause)

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        self._lost = True
        self._watch.stop()
        if self._pause:
            self._pause.cancel()
        self._unsent.clear()
        self._arrived.clear()
        self._ended(self)
        self._service.gone(self)

    def get_buffer(self, _: int) -> memoryview:
        """Return where to read to."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """Take what arrived."""
        if not self._refused:
            self._arrived += self._buffer[:count]
            self._go_on()

    def eof_received(self) -> bool:
        """Return True: keep our half open for the replies."""
        self._half_closed = True
        self._go_on()
        return True

    def pause_writing(self) -> None:
        """Have replies wait, and requests, too: the socket is full."""
        self._writable = False
        self._pace()

    def resume_writing(self) -> None:
        """Go on: the socket has room."""
        self._writable = True
        self._go_on()

    def welcome(self) -> None:
        """Nothing: a connection gets through."""

    def close(self) -> None:
        """Take no more requests, and close once all replies are sent."""
        if not self._lost:
            self._half_closed = True
            self._refuse()
            self._go_on()

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        """Answer the oldest request that has no reply yet."""
        self._unanswered -= 1
        if self._lost:
            return
        if pieces is not None:
            self._unsent.append((_framed(pieces, b"\n"), None))
        if not self._unanswered:
            self._go_on()
        elif not self._going_on:
            # More replies come, most likely in this turn of the event loop. They go together: to
            # send costs several times what it takes to carry a request out.
            self._going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send what nobody asked for."""
        if self._lost:
            return
        if self._unsent or not self._may_send():
            self._unsent.append((_framed(pieces, b""), sent))
            return
        # Nearly always nothing else waits. This is done for each follower, whenever something
        # happens, so it is worth a short way.
        message = b"".join(pieces)
        if message:
            self._send(message + _END)
        sent()

    def _go_on(self) -> None:
        """Do whatever can be done now: write, hand over, read, close."""
        self._going_on = False
        if self._lost:
            return
        self._write()
        self._hand_over()
        if self._busy() or not (self._half_closed or self._refused):
            self._pace()
        else:
            self._finish()

    def _write(self) -> None:
        if self._finished:
            self._unsent.clear()
        while self._unsent and self._may_send():
            pieces, taken = self._next_pieces()
            if pieces:
                self._send(b"".join(pieces))
            for sent in taken:
                sent()

    def _next_pieces(self) -> tuple[list[bytes], list[Callable[[], None]]]:
        """Take pieces of what is unsent, about as many as are sent at a time. Return them, and what
        is to be called when they have been."""
        room = WRITTEN_BYTES
        pieces: list[bytes] = []
        taken: list[Callable[[], None]] = []
        while self._unsent and room > 0:
            unsent, sent = self._unsent[0]
            try:
                piece = next(unsent, None)
            except Exception:
                # Whatever came next would be taken for what is missing, so nothing does.
                log.exception("could not make what is for %s", self.sender)
                taken.append(self._break_off)
                break
            if piece is not None:
                pieces.append(piece)
                room -= len(piece)
                continue
            self._unsent.popleft()
            if sent is not None:
                taken.append(sent)
        return pieces, taken

    def _may_send(self) -> bool:
        return self._writable and not (self._finished or self.transport.is_closing())

    def _send(self, data: bytes) -> None:
        self.transport.write(data)
        self._watch.wrote(len(data))

    def _hand_over(self) -> None:
        while self._may_ask():
            line = self._next_line()
            if line is None:
                break
            if _BROWSER.match(line):
                self._refuse()
            self._unanswered += 1
            self._wait(self._service.receive(line, self).pause)

    def _wait(self, seconds: float) -> None:
        """Take no requests for so many *seconds*."""
        if seconds:
            self._pause = asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._go_on()

    def _pace(self) -> None:
        if self._may_ask() or self._refused:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _refuse(self) -> None:
        """Take no more of what arrives."""
        self._refused = True
        self._arrived.clear()
        if self._pause:
            self._pause.cancel()
            self._pause = None
        self._watch.hurry()

    def _break_off(self) -> None:
        """Take no more, and send no more than what has been written."""
        self._refuse()
        self._finish()

    def _finish(self) -> None:
        self._finished = True
        if self._half_closed:
            self.transport.close()
        else:
            # To close with unread bytes would reset the connection, and the client would
            # lose the refusal. So close our half, and for a while throw away what he sends.
            with contextlib.suppress(OSError):  # he has gone already
                self.transport.write_eof()
        self._watch.end()

    def _busy(self) -> bool:
        return bool(self._unanswered or self._unsent or self._pause)

    def _may_ask(self) -> bool:
        return self._writable and not self._pause and self._unanswered < UNANSWERED_LINES

    def _next_line(self) -> bytes | None:
        """Take one line, with its line end, or the beginning of one that is too long, off what
        arrived; None if neither is there."""
        if self._overlong:
            self._skip()
        end = self._arrived.find(b"\n", self._searched) + 1
        if (end or len(self._arrived)) > KEPT_BYTES:
            line = self._take(KEPT_BYTES)
            self._overlong = KEPT_BYTES
            self._skip()
            return line
        if not end and self._half_closed:
            end = len(self._arrived)  # the last line, if any, has no line end
        if not end:
            self._searched = len(self._arrived)
            return None
        return self._take(end)

    def _skip(self) -> None:
        """Throw away what has arrived of the rest of a line that is too long."""
        end = self._arrived.find(b"\n") + 1
        self._overlong += len(self._take(end or len(self._arrived)))
        if self._overlong > MAX_LINE_BYTES:
            self._refuse()
        elif end:
            self._overlong = 0

    def _take(self, count: int) -> bytes:
        taken = bytes(self._arrived[:count])
        del self._arrived[:count]
        self._searched = 0
        return taken


def _framed(pieces: Iterable[bytes], nothing: bytes) -> Iterator[bytes]:
    """Yield *pieces*, then an empty line; *nothing*, if there are none."""
    held = b""
    for piece in pieces:
        if held:
            yield held
        held = piece
    yield held + _END if held else nothing
