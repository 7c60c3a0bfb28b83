"""What is fuzzed: each target reads bytes from outside, and checks what becomes of them.

They fail by any exception that is not announced. ``make fuzz`` runs them (see ``fuzz.py``).

==========  ================================================================================
target      what it reads
==========  ================================================================================
plain       requests of the plain protocol, and the group's answers to whole conversations
session     requests and replies of sessions, by the server's half and the client's
tcp         what arrives on a TCP connection, cut anywhere
journal     batches, pages and snapshots, and a whole journal made of them
==========  ================================================================================
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Final, Self, cast
from unittest.mock import patch
from zlib import crc32

from groupchat.core import Group, Join, Refused, decode, encode
from groupchat.core.chat import Chat
from groupchat.core.group import Draft
from groupchat.core.peer import FROM_MEMBER, FROM_STRANGER, Reception
from groupchat.core.plain import request
from groupchat.core.records import Record
from groupchat.core.sessions.answers import Answers, Heard
from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.replies import decode_reply
from groupchat.core.sessions.requests import decode_request
from groupchat.core.sessions.server import Sessions
from groupchat.journal.durable import DurableJournal
from groupchat.journal.rows import (
    BASE,
    BATCH,
    PAGE,
    SNAPSHOT,
    batch_row,
    check,
    header_of,
    page_of,
    records_of,
    seal,
    state_of,
    time_of,
)
from groupchat.journal.storage import Damaged, Row, Write
from groupchat.transports import tcp_peer
from groupchat.transports.interface import Service
from groupchat.transports.tcp_peer import (
    KEPT_BYTES,
    MAX_LINE_BYTES,
    READ_BYTES,
    TCPPeer,
)

__all__ = ["TARGETS"]

# So that a short input reaches the bounds of a TCP connection, and costs little: a byte stands for
# much, and few lines are many.
_MUCH: Final = b"x" * 5_000
_STREAM_BYTES: Final = 100_000
_PIECES: Final = 64
_UNANSWERED: Final = 16
_BUFFER: Final = memoryview(bytearray(READ_BYTES))

_BROWSER: Final = re.compile(rb"host:|\x16\x03", re.IGNORECASE)  # what a browser sends


def plain(data: bytes) -> None:
    """A conversation: the first byte of each line says who asks, the rest is his request."""
    group = Group(capacity=4)
    for line in data.split(b"\n"):
        command = decode(line[1:])
        if isinstance(command, Refused):
            assert b"".join(encode(command)) == b"Illegal request"
            continue
        assert decode(request(command).encode()) == command
        reply = group.apply(command, line[0] & 3, budget=line[0])
        for piece in encode(reply):
            piece.decode()


class SessionTarget:
    """Requests and replies: as they are, with their checksum put right, and in a conversation."""

    def __init__(self) -> None:
        self._token = b"00" * 16
        self._client = SessionClient(datagram=True, nonce="0" * 16)
        self._begin()

    def __call__(self, data: bytes) -> None:
        if len(self._chat.group.timeline.pages) > 2 or self._count > 200:
            self._begin()
        self._count += 1
        for message in (data, _sealed(data), _sealed(self._token + b" " + data)):
            found = decode_request(message)
            assert found is None or decode_request(found.encode()) is not None
            decode_reply(message, "")
            self._client.receive(message, self._count)
            self._client.send(self._count)
            self._hear(message)
        if self._client.next_time() is None:
            self._client = SessionClient(datagram=True, nonce="0" * 16)

    def _begin(self) -> None:
        self._chat = Chat()
        self._count = 0
        self._sessions = Sessions(self._chat, bytes(16), lambda: bytes(16))
        self._client = SessionClient(datagram=True, nonce="0" * 16)
        self._hear(_sealed(b"open 1 main " + b"0" * 16))
        self._hear(_sealed(self._token + b" 1 0\x1e1 Alice"))

    def _hear(self, message: bytes) -> None:
        draft = Draft(self._chat.group)
        heard = self._sessions.hear(message, "fuzz", False, draft, self._count)
        if isinstance(heard, Heard):
            if heard.record:
                assert Record.decode(heard.record.encode()) == heard.record
                self._chat.apply(heard.record)
                heard = self._sessions.stored(heard, True)
            reply = Answers(self._chat).answer(heard, 65_507).encode()
            assert len(reply) <= 1_200
            assert decode_reply(reply, self._token.decode()) is not None


def tcp(data: bytes) -> None:
    """A stream in pieces. The first byte of the input says how long the pieces are, and whether
    they are answered at once, the client closes his half, or the connection is lost."""
    service = _Echo()
    peer = TCPPeer(("192.0.2.1", 5), cast(Service, service), _BUFFER, lambda _: None)
    peer.come()
    peer.connection_made(_Wire())
    how, stream = (data[0] if data else 0), data[1:].replace(b"\xff", _MUCH)[:_STREAM_BYTES]
    answers, half_closes = how & 64, how & 128
    size = max(1 + how % 64, len(stream) // _PIECES)
    for start in range(0, len(stream), size):
        piece = stream[start : start + size]
        peer.get_buffer(-1)[: len(piece)] = piece
        peer.buffer_updated(len(piece))
        if answers:
            service.answer()
    if half_closes:
        peer.eof_received()
    if answers:
        service.answer()
    peer.connection_lost(None)
    expected = _requests(stream, bool(half_closes))
    assert service.received == (expected if answers else expected[:_UNANSWERED])


def _tcp() -> Callable[[bytes], None]:
    asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, _Loop()))
    patch.object(tcp_peer, "UNANSWERED_LINES", _UNANSWERED).start()
    return tcp


def _requests(stream: bytes, ended: bool) -> list[bytes]:
    """Return what a connection that is given time hands over of *stream*."""
    requests = []
    *lines, last = stream.split(b"\n")
    for line in [*(line + b"\n" for line in lines), last]:
        if line.endswith(b"\n") or (line and ended) or len(line) > KEPT_BYTES:
            requests.append(line[:KEPT_BYTES])
        if len(line) > MAX_LINE_BYTES or _BROWSER.match(line):
            break
    return requests


class _Loop:
    """In place of an event loop: calls nothing."""

    def call_soon(self, *_: object) -> None:
        """Nothing."""

    def call_later(self, *_: object) -> Self:
        """Nothing."""
        return self

    def cancel(self) -> None:
        """Nothing."""


class _Echo:
    """A service that answers, when it is told to, with what was asked."""

    unsent_bytes = 65_536

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._unanswered: list[tuple[bytes, TCPPeer]] = []

    def come(self, peer: object) -> Reception:
        """Let everybody in."""
        del peer
        return FROM_STRANGER

    def receive(self, request: bytes, peer: TCPPeer) -> Reception:
        """Take it."""
        self.received.append(request)
        self._unanswered.append((request, peer))
        return FROM_MEMBER

    def answer(self) -> None:
        """Answer everything."""
        while self._unanswered:
            request, peer = self._unanswered.pop(0)
            peer.reply([request] if request else [])

    def gone(self, peer: object) -> None:
        """Nothing."""


class _Wire(asyncio.Transport):
    """In place of a connection: takes everything."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Know nothing."""
        del name
        return default

    def write(self, data: object) -> None:
        """Nothing."""

    def write_eof(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Keep nothing."""
        return 0

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""


def journal(data: bytes) -> None:
    """Rows of all kinds with the input as their body, their checksums right."""
    page, snapshot, base, batch = (
        seal(kind, number, data)
        for kind, number in ((PAGE, 0), (SNAPSHOT, 1), (BASE, 0), (BATCH, 1))
    )
    for read in (
        lambda: page_of(page),
        lambda: state_of(SNAPSHOT, snapshot),
        lambda: state_of(BASE, base),
        lambda: records_of(batch),
        lambda: header_of(batch),
        lambda: time_of(batch),
        lambda: check(BATCH, batch),
    ):
        with contextlib.suppress(Damaged):
            read()
    whole = batch_row(1, [Record(1, "a", 0, (Join("Alice"),))], 0, 0, 0)
    for storage in (
        _Stored(batches=[batch]),
        _Stored(batches=[whole], page=data, snapshot=snapshot),
        _Stored(batches=[whole], base=base),
        _Stored(batches=[whole, Row(2, data, whole.checksum)]),
    ):
        with contextlib.suppress(Damaged):
            DurableJournal(storage).chat.snapshot()


class _Stored:
    """A storage with given rows."""

    def __init__(
        self,
        batches: list[Row] | None = None,
        snapshot: Row | None = None,
        base: Row | None = None,
        page: bytes = b"",
    ) -> None:
        self._batches = batches or []
        self._snapshot = snapshot
        self._base = base
        self._page = page

    def write(self, what: Write, done: Callable[[OSError | None], None]) -> None:
        """Take everything."""
        del what
        done(None)

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches."""
        return (row for row in self._batches if row.number > after)

    def page(self, first: int) -> Row | None:
        """Return the page, with its checksum right."""
        return seal(PAGE, first, self._page)

    def pages(self) -> Iterator[Row]:
        """Yield none."""
        return iter(())

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        return self._snapshot

    def base(self) -> Row | None:
        """Return the base."""
        return self._base

    def size(self) -> int:
        """Return a number."""
        return 0

    def close(self) -> None:
        """Nothing."""


def _sealed(message: bytes) -> bytes:
    return b"@%08x %b" % (crc32(message), message)


TARGETS: Final[dict[str, Callable[[], Callable[[bytes], None]]]] = {
    "plain": lambda: plain,
    "session": SessionTarget,
    "tcp": _tcp,
    "journal": lambda: journal,
}
