"""TCP: who does not read, or asks too much at once, waits, and costs nobody else anything."""

import asyncio
import contextlib
import itertools
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.transports import tcp
from groupchat.transports.tcp import QUEUED_BYTES, TCP
from groupchat.transports.tcp_peer import READ_BYTES, UNANSWERED_LINES, TCPPeer
from tests.processes import DEADLINE, RunningServer, TcpMember, serving
from tests.transports.recorder import Recorder, connected, in_loop, listening, soon

TEXT_BYTES, TEXTS, STALLED = 4_000, 2_500, 12


def _resident_bytes(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1_024


def _stalled(server: RunningServer, name: bytes) -> TcpMember:
    """Return a member whose socket takes little before it is full."""
    member = server.sockets.enter_context(TcpMember(server.port, receive_buffer=4_096))
    member.ask(b"1 " + name)
    return member


def test_who_does_not_read_stalls_nobody_and_gets_everything_in_the_end(
    limited_server: RunningServer,
) -> None:
    server = limited_server
    stalled = [_stalled(server, b"Stalled%d" % number) for number in range(STALLED)]
    alice, bob = server.tcp(), server.udp()
    alice.ask(b"1 Alice")
    bob.ask(b"1 Bob")
    for number in range(TEXTS):
        assert alice.ask(b"2 " + (b"%d " % number).ljust(TEXT_BYTES, b"x")) in (
            b"",
            b"Bob has joined",
        )
    before = _resident_bytes(server.program.process.pid) if Path("/proc").exists() else None
    for member in stalled:
        # Far more requests than replies that fit his socket. Their sending must not stall here.
        member.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                member.socket.send(b"5\n" * 100)
        member.socket.settimeout(DEADLINE)
    # The others chat on.
    for number in range(100):
        assert alice.ask(b"2 on %d" % number) == b""
    news = b""
    while not news.endswith(b"Alice: on 99"):
        news = bob.ask(b"5")
        assert news
    if before is not None:
        # 10 MB wait for each of them. A copy for each would cost 120 MB.
        grown = _resident_bytes(server.program.process.pid) - before
        assert grown < STALLED * TEXTS * TEXT_BYTES / 4
    # And all of them get everything when they read again.
    said = [b"Alice: " + (b"%d " % number).ljust(TEXT_BYTES, b"x") for number in range(TEXTS)]
    said += [b"Alice: on %d" % number for number in range(100)]
    for number, member in enumerate(stalled):
        lines: list[bytes] = []
        while not lines or lines[-1] != b"Alice: on 99":
            lines += member.receive().split(b"\n")
        joined = [b"Stalled%d has joined" % other for other in range(number + 1, STALLED)]
        joined += [b"Alice has joined", b"Bob has joined"]
        assert [line for line in lines if line] == joined + said


def test_a_server_ends_though_a_client_does_not_read() -> None:
    with serving() as server:
        stalled = _stalled(server, b"Stalled")
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b"Stalled"
        for _ in range(2_500):
            alice.ask(b"2 " + b"x" * TEXT_BYTES)
        stalled.socket.sendall(b"5\n" * 10)
        assert stalled.stream.peek(1)  # it is being answered
        assert server.stop() == 0


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="nothing can be asked of it")
@in_loop
async def test_the_system_keeps_little_for_who_does_not_read() -> None:
    """By itself it would take megabytes, for any number of readers."""
    service = Recorder()
    taken = itertools.count()
    async with listening(TCP(), service) as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as reader:
            reader.sendall(b"x\n")
            await soon(lambda: bool(service.requests))
            peer = service.peers[0]
            assert isinstance(peer, TCPPeer)
            peer.reply(b"x" * READ_BYTES for _ in range(1_000) if next(taken) >= 0)
            await soon(lambda: not peer._writable)
            # What is in the reader's own buffer, and in ours, is among it.
            assert next(taken) * READ_BYTES < 8 * QUEUED_BYTES


@in_loop
async def test_so_many_requests_are_under_way_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 0.01)  # most stay unanswered
    service = Recorder()
    async with (
        listening(TCP(), service) as listener,
        connected(TCP(), listener.port) as connection,
        connected(TCP(), listener.port) as other,
    ):
        for number in range(2 * UNANSWERED_LINES):
            await connection.send(b"%d" % number)
        await soon(lambda: len(service.requests) >= UNANSWERED_LINES)
        # Another connection has bounds of its own.
        await other.send(b"other")
        await soon(lambda: b"other\n" in service.requests)
        assert service.requests[UNANSWERED_LINES:] == [b"other\n"]
        service.peers[0].reply([b"0"])
        assert await connection.receive() == b"0"
        assert service.requests[-1] == b"%d\n" % UNANSWERED_LINES
        for number in range(1, UNANSWERED_LINES):
            service.peers[0].reply([b"%d" % number])
        await soon(lambda: len(service.requests) == 2 * UNANSWERED_LINES + 1)


@in_loop
async def test_a_long_reply_is_produced_only_as_fast_as_it_is_taken() -> None:
    produced: list[int] = []

    def endless() -> Iterator[bytes]:
        for number in itertools.count():
            produced.append(number)
            yield b"%d\n" % number + b"x" * 65_535

    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n6\n")
        await soon(lambda: len(service.requests) == 2)
        service.peers[0].reply(endless())
        service.peers[0].reply([b"never"])
        seen = len(produced)
        assert seen < 1_000
        writer.write(b"7\n")
        for number in range(2 * seen):
            assert await reader.readline() == b"%d\n" % number
            await reader.readexactly(65_535)
        assert len(produced) > seen
        assert service.requests == [b"5\n", b"6\n"]  # who does not take is not heard either
        writer.transport.abort()
        await soon(lambda: bool(service.lost))
        service.peers[0].reply([b"too late"])
