"""TCP: real connections on the loopback interface, between processes and inside of one."""

import asyncio
import contextlib
import errno
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.core import ILLEGAL_REQUEST
from groupchat.transports import load, tcp
from groupchat.transports.address import bind
from groupchat.transports.tcp import (
    CONNECTIONS_A_WAKE_UP,
    MAX_LINE_BYTES,
    TCP,
    UNANSWERED_LINES,
)
from tests.processes import DEADLINE, RunningServer, TcpMember, news_until, serving
from tests.transports.recorder import POSIX, Echo, Recorder, connected, in_loop, listening, soon

REFUSAL = ILLEGAL_REQUEST + b"\n\n"


def reset(member: TcpMember) -> None:
    """End the connection by a reset, as a crash or a cut line does, and not in good order."""
    member.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    member.stream.close()
    member.socket.close()


def everything_until_the_end(member: TcpMember) -> bytes:
    return member.stream.read()


# Between processes: lines.


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_line_ends_with_either_line_end(server: RunningServer, end: bytes) -> None:
    alice, bob = server.tcp(), server.tcp()
    alice.socket.sendall(b"1 Alice" + end + b"2 hi" + end)
    assert (alice.receive(), alice.receive()) == (b"", b"")
    bob.socket.sendall(b"1 Bob" + end)
    assert bob.receive() == b"Alice"
    bob.socket.sendall(b"2 hi" + end + b"4" + end)
    assert (bob.receive(), bob.receive()) == (b"", b"")
    alice.socket.sendall(b"5" + end)
    assert alice.receive() == b"Bob has joined\nBob: hi\nBob has left the group"


def test_a_reply_is_its_lines_and_then_one_empty_line(server: RunningServer) -> None:
    alice, bob = server.tcp(), server.tcp()
    alice.socket.sendall(b"1 Alice\n")
    assert alice.stream.read(1) == b"\n"
    bob.socket.sendall(b"1 Bob\n2 hi\n4\n6\n")
    whole = b"Alice\n\n" + b"\n" + b"\n" + REFUSAL
    assert bob.stream.read(len(whole)) == whole
    alice.socket.sendall(b"5\n5\n")
    whole = b"Bob has joined\nBob: hi\nBob has left the group\n\n" + b"\n"
    assert alice.stream.read(len(whole)) == whole


def test_bytes_can_come_one_at_a_time(server: RunningServer) -> None:
    watcher, slow = server.tcp(), server.tcp()
    slow.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert watcher.ask(b"1 Watcher") == b""
    for byte in "1 Zoë\r\n2 naïve 🦊\n4\n".encode():
        slow.socket.sendall(bytes([byte]))
        assert watcher.ask(b"6") == ILLEGAL_REQUEST  # the server took its turn in between
    assert [slow.receive() for _ in range(3)] == [b"Watcher", b"", b""]
    lines = ["Zoë has joined", "Zoë: naïve 🦊", "Zoë has left the group"]
    assert watcher.ask(b"5").decode().split("\n") == lines


def test_many_requests_in_one_packet_are_answered_in_order(server: RunningServer) -> None:
    alice, bob = server.tcp(), server.tcp()
    assert alice.ask(b"1 Alice") == b""
    assert bob.ask(b"1 Bob") == b"Alice"
    count = 5 * UNANSWERED_LINES
    bob.socket.sendall(b"".join(b"2 %d\n6\n" % number for number in range(count)))
    for _ in range(count):
        assert bob.receive() == b""
        assert bob.receive() == ILLEGAL_REQUEST
    said = [b"Bob: %d" % number for number in range(count)]
    assert alice.ask(b"5").split(b"\n") == [b"Bob has joined", *said]


def test_two_connections_from_one_machine_are_two_members(server: RunningServer) -> None:
    first, second = server.tcp(), server.tcp()
    assert first.ask(b"1 Alice") == b""
    assert second.ask(b"5") == ILLEGAL_REQUEST
    assert second.ask(b"1 Bob") == b"Alice"
    assert first.ask(b"5") == b"Bob has joined"


# Between processes: lines that are too long.


def test_a_long_line_is_refused_and_the_connection_goes_on(server: RunningServer) -> None:
    member = server.tcp()
    assert member.ask(b"1 Alice") == b""
    for size in (4_003, 65_507, MAX_LINE_BYTES - 1):
        assert member.ask(b"2 ".ljust(size, b"x")) == ILLEGAL_REQUEST
    assert member.ask(b"2 short") == b""


@pytest.mark.parametrize("size", [MAX_LINE_BYTES + 1, 1_000_000, 20_000_000])
def test_a_line_that_does_not_end_is_refused_and_the_connection_closed(
    server: RunningServer, size: int
) -> None:
    watcher, endless = server.udp(), server.tcp()
    assert watcher.ask(b"1 Watcher") == b""
    assert endless.ask(b"1 Endless") == b"Watcher"
    # All of it can be sent, and after all of it the refusal can be read: no reset takes it away.
    endless.socket.sendall(b"2 ".ljust(size, b"x"))
    assert everything_until_the_end(endless) == REFUSAL
    endless.__exit__()
    assert news_until(watcher, b"Endless has left the group") == [
        b"Endless has joined",
        b"Endless has left the group",
    ]


def test_a_line_that_ends_too_late_is_refused_as_well(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.sendall(b"5" * MAX_LINE_BYTES + b"\n5\n5\n")
    assert everything_until_the_end(member) == REFUSAL


def test_who_sends_without_end_after_his_refusal_is_cut_off(server: RunningServer) -> None:
    endless, watcher = server.tcp(), server.udp()
    assert watcher.ask(b"1 Watcher") == b""
    assert endless.ask(b"1 Endless") == b"Watcher"
    with contextlib.suppress(ConnectionError):
        while True:
            endless.socket.sendall(b"x" * 10_000)
    news_until(watcher, b"Endless has left the group")


def test_requests_before_a_line_without_end_are_answered(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.sendall(b"1 Alice\n6\n4\n" + b"x" * 2 * MAX_LINE_BYTES)
    assert everything_until_the_end(member) == b"\n" + REFUSAL + b"\n" + REFUSAL


# Between processes: how connections end.


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["LF", "CRLF", "no line end"])
def test_after_a_half_close_everything_is_answered_and_the_member_has_left(
    server: RunningServer, end: bytes
) -> None:
    watcher, alice = server.udp(), server.tcp()
    assert watcher.ask(b"1 Watcher") == b""
    alice.socket.sendall(b"1 Alice\n2 hi\n5" + end)
    alice.socket.shutdown(socket.SHUT_WR)
    assert everything_until_the_end(alice) == b"Watcher\n\n" + b"\n" + b"\n"
    assert news_until(watcher, b"Alice has left the group") == [
        b"Alice has joined",
        b"Alice: hi",
        b"Alice has left the group",
    ]


def test_after_a_half_close_more_requests_than_fit_at_once_are_answered(
    server: RunningServer,
) -> None:
    member = server.tcp()
    member.socket.sendall(b"6\n" * (3 * UNANSWERED_LINES) + b"6")
    member.socket.shutdown(socket.SHUT_WR)
    assert everything_until_the_end(member) == REFUSAL * (3 * UNANSWERED_LINES + 1)


def test_a_connection_may_close_without_a_word(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.shutdown(socket.SHUT_WR)
    assert everything_until_the_end(member) == b""
    assert server.udp().ask(b"1 Alice") == b""


@pytest.mark.skipif(not shutil.which("nc"), reason="nc is not installed")
@pytest.mark.parametrize("requests", [r"1 Alice\n5\n", r"1 Alice\n5"], ids=["whole", "unended"])
def test_netcat_at_the_end_of_a_pipe_gets_its_replies(server: RunningServer, requests: str) -> None:
    watcher = server.udp()
    assert watcher.ask(b"1 Watcher") == b""
    # Some netcats close their half at the end of the input by themselves, others need -N.
    option = "-N" if "-N" in re.findall(r"-\w", _netcat_help()) else ""
    done = subprocess.run(
        ["sh", "-c", f"printf '{requests}' | nc {option} 127.0.0.1 {server.port}"],
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout == b"Watcher\n\n\n"
    assert news_until(watcher, b"Alice has left the group") == [
        b"Alice has joined",
        b"Alice has left the group",
    ]


def _netcat_help() -> str:
    done = subprocess.run(["nc", "-h"], capture_output=True, timeout=DEADLINE, check=False)
    return (done.stdout + done.stderr).decode()


def test_a_reset_in_the_middle_makes_the_member_leave(server: RunningServer) -> None:
    watcher = server.udp()
    assert watcher.ask(b"1 Watcher") == b""
    alice = server.tcp()
    assert alice.ask(b"1 Alice") == b"Watcher"
    alice.socket.sendall(b"2 half a li")
    reset(alice)
    assert news_until(watcher, b"Alice has left the group") == [
        b"Alice has joined",
        b"Alice has left the group",
    ]


def test_a_reset_with_requests_unanswered_makes_the_member_leave(server: RunningServer) -> None:
    watcher = server.udp()
    assert watcher.ask(b"1 Watcher") == b""
    for number in range(20):
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b"Watcher"
        alice.socket.sendall(b"2 x\n" * 1_000 * (number % 3))
        reset(alice)
        lines = news_until(watcher, b"Alice has left the group")
        # Some may have been carried out, but all before he left, and he left once.
        assert set(lines[1:-1]) <= {b"Alice: x"}


# Between processes: who does not read.


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


TEXT_BYTES, TEXTS, STALLED = 4_000, 2_500, 12


def test_who_does_not_read_stalls_nobody_and_gets_everything_in_the_end(
    server: RunningServer,
) -> None:
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


# Inside of one process.


@POSIX
def test_a_connection_that_is_reset_before_it_is_accepted_is_survived() -> None:
    async def scenario() -> None:
        service = Echo()
        async with listening(TCP(), service) as listener:
            reset(TcpMember(listener.port))  # the loop has not taken a turn since
            await soon(lambda: bool(service.lost))
            assert re.fullmatch(r"tcp \S+ #\d+", service.lost[0])
            async with connected(TCP(), listener.port) as connection:
                await connection.send(b"hello")
                await connection.receive()

    in_loop(scenario())


def test_a_line_is_a_request_with_its_line_end() -> None:
    async def scenario() -> None:
        service = Echo(lambda request: [request.rstrip(b"\r\n")])
        async with listening(TCP(), service) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"1 Alice\n\r\n\n2 \0\xff\r\n5\r")
            writer.write_eof()
            assert (
                await reader.read() == b"1 Alice\n\n" + b"\n" + b"\n" + b"2 \0\xff\n\n" + b"5\n\n"
            )
            writer.close()
            await writer.wait_closed()
            await soon(lambda: bool(service.lost))
            assert service.requests == [b"1 Alice\n", b"\r\n", b"\n", b"2 \0\xff\r\n", b"5\r"]
            senders = {peer.sender for peer in service.peers}
            assert service.lost == list(senders)
            assert re.fullmatch(r"tcp 127\.0\.0\.1:\d+ #\d+", service.lost[0])
            assert service.peers[0].budget is None

    in_loop(scenario())


def test_a_reply_in_pieces_is_framed_as_one() -> None:
    async def scenario() -> None:
        replies = {b"0\n": [], b"1\n": [b"a"], b"3\n": [b"a\nb\n", b"c\n", b"d"]}
        async with (
            listening(TCP(), Echo(replies.__getitem__)) as listener,
            connected(TCP(), listener.port) as connection,
        ):
            assert not connection.lossy
            for request, reply in replies.items():
                await connection.send(request.rstrip())
                assert await connection.receive() == b"".join(reply)

    in_loop(scenario())


def test_so_many_requests_are_under_way_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 0.01)  # most stay unanswered

    async def scenario() -> None:
        service = Recorder()
        async with (
            listening(TCP(), service) as listener,
            connected(TCP(), listener.port) as connection,
            connected(TCP(), listener.port) as other,
        ):
            for number in range(2 * UNANSWERED_LINES):
                await connection.send(b"%d" % number)
            await soon(lambda: len(service.requests) == UNANSWERED_LINES)
            # Another connection has bounds of its own.
            await other.send(b"other")
            await soon(lambda: service.requests[-1] == b"other\n")
            assert len(service.requests) == UNANSWERED_LINES + 1
            service.peers[0].reply([b"0"])
            assert await connection.receive() == b"0"
            assert service.requests[-1] == b"%d\n" % UNANSWERED_LINES
            for number in range(1, UNANSWERED_LINES):
                service.peers[0].reply([b"%d" % number])
            await soon(lambda: len(service.requests) == 2 * UNANSWERED_LINES + 1)

    in_loop(scenario())


def test_a_long_reply_is_produced_only_as_fast_as_it_is_taken() -> None:
    async def scenario() -> None:
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

    in_loop(scenario())


def test_the_replies_to_a_lost_connection_are_dropped() -> None:
    async def scenario() -> None:
        service = Recorder()
        async with listening(TCP(), service) as listener:
            client = TcpMember(listener.port)
            client.socket.sendall(b"5\n5\n5\n")
            await soon(lambda: len(service.peers) == 3)
            reset(client)
            await soon(lambda: bool(service.lost))
            asked: list[str] = []

            def pieces() -> Iterator[bytes]:
                asked.append("for a piece")
                yield b"x"

            for peer in service.peers:
                peer.reply(pieces())
            assert asked == []
            assert service.lost == [service.peers[0].sender]

    in_loop(scenario())


def test_a_closing_listener_takes_no_one_new_and_lets_go_of_everyone() -> None:
    async def scenario() -> None:
        service = Echo(lambda request: [request.strip()])
        async with listening(TCP(), service) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"5\n")
            assert await reader.readline() == b"5\n"
            assert await reader.readline() == b"\n"
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        writer.close()
        await writer.wait_closed()
        await soon(lambda: len(service.lost) == 1)

    in_loop(scenario())


def test_a_closing_listener_still_delivers_what_is_under_way() -> None:
    async def scenario() -> None:
        service = Recorder()
        pages = [b"%d" % number + b"x" * 65_535 + b"\n" for number in range(100)]
        listener = await TCP().listen("127.0.0.1", 0, service)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=10**7)
        writer.write(b"5\n5\n")
        await soon(lambda: len(service.peers) == 2)
        service.peers[0].reply([*pages, b"end"])
        closing = asyncio.ensure_future(listener.close())
        assert await reader.readuntil(b"end\n\n") == b"".join([*pages, b"end\n\n"])
        service.peers[1].reply([b"and that"])  # asked before, answered after
        assert await reader.read() == b"and that\n\n"
        writer.close()
        await writer.wait_closed()
        await closing
        assert service.requests == [b"5\n", b"5\n"]

    in_loop(scenario())


def test_a_closing_listener_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 0.01)

    async def scenario() -> None:
        service = Recorder()
        async with listening(TCP(), service) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"5\n")
            await soon(lambda: bool(service.peers))
            service.peers[0].reply(itertools.repeat(b"x" * 65_536))
        await soon(lambda: bool(service.lost))
        writer.transport.abort()

    in_loop(scenario())


def test_a_listener_can_be_closed_before_it_has_met_those_who_came() -> None:
    async def scenario() -> None:
        service = Echo()
        async with listening(TCP(), service) as listener:
            connections = [TcpMember(listener.port) for _ in range(10)]
            await asyncio.sleep(0)  # a turn, in which they are accepted and no more
        for connection in connections:
            with connection, contextlib.suppress(ConnectionResetError):
                assert connection.stream.read() == b""

    in_loop(scenario())


def test_who_comes_gives_way_to_those_who_are_there() -> None:
    async def scenario() -> None:
        service = Echo()
        async with listening(TCP(), service) as listener:
            crowd = [TcpMember(listener.port) for _ in range(CONNECTIONS_A_WAKE_UP + 10)]
            for member in crowd:
                member.socket.sendall(b"5\n")
            turns = [0]
            while turns[-1] < len(crowd):
                await asyncio.sleep(0)
                turns.append(len(service.requests))
            came = [after - before for before, after in itertools.pairwise(turns)]
            assert max(came) <= CONNECTIONS_A_WAKE_UP
            for member in crowd:
                member.__exit__()

    in_loop(scenario())


@POSIX
def test_a_listener_without_room_for_one_more_connection_takes_it_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process runs out of file descriptors, and gets some back."""
    import resource

    monkeypatch.setattr(tcp, "ACCEPT_AGAIN_SECONDS", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scenario() -> None:
        service = Echo()
        listener = await TCP().listen("127.0.0.1", 0, service)
        with TcpMember(listener.port) as first, socket.socket() as second:
            await soon(lambda: first.socket.send(b"5\n") == 2 and bool(service.requests))
            taken = [os.dup(0)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 20, limits[1]))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                second.connect(("127.0.0.1", listener.port))
                second.sendall(b"6\n")
                await soon(lambda: len(caplog.messages) >= 2)
                answered = len(service.requests)
                first.socket.send(b"7\n")  # whoever is there is served all the same
                await soon(lambda: service.requests[answered:] == [b"7\n"])
            finally:
                for number in taken:
                    os.close(number)
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await soon(lambda: service.requests[-1] == b"6\n")
            assert set(caplog.messages) == {"tcp: cannot accept connections: Too many open files"}
        await listener.close()

    in_loop(scenario())


@POSIX
def test_a_listener_can_be_closed_while_it_has_no_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    monkeypatch.setattr(tcp, "ACCEPT_AGAIN_SECONDS", 3_600)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scenario() -> None:
        listener = await TCP().listen("127.0.0.1", 0, Recorder())
        with socket.socket() as client:
            taken = [os.dup(0)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 20, limits[1]))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                client.connect(("127.0.0.1", listener.port))
                await soon(lambda: bool(caplog.messages))
            finally:
                for number in taken:
                    os.close(number)
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await listener.close()
            client.settimeout(DEADLINE)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""

    in_loop(scenario())


def test_what_was_received_before_a_reset_is_carried_out() -> None:
    async def scenario() -> None:
        service = Recorder()
        async with listening(TCP(), service) as listener:
            client = TcpMember(listener.port)
            client.socket.sendall(b"5\n" * 2 * UNANSWERED_LINES)
            await soon(lambda: len(service.requests) == UNANSWERED_LINES)
            reset(client)
            for peer in service.peers[:2]:
                peer.reply([])  # the first reply that cannot be sent tells of the reset
            await soon(lambda: bool(service.lost))
            assert service.requests == [b"5\n"] * 2 * UNANSWERED_LINES

    in_loop(scenario())


def test_a_port_in_use_is_an_error() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            with pytest.raises(OSError, match="in use") as caught:
                await TCP().listen("127.0.0.1", taken.getsockname()[1], Recorder())
            assert caught.value.errno == errno.EADDRINUSE

    in_loop(scenario())


@POSIX
def test_a_port_taken_between_two_addresses_leaves_nothing_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two sockets may be bound to one port; the one that listens first has it."""

    async def scenario() -> None:
        with socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            rival.bind(("127.0.0.1", 0))
            port = rival.getsockname()[1]
            first, second = (
                sock
                for wanted in (0, port)
                for sock in bind("127.0.0.1", wanted, socket.SOCK_STREAM)
            )
            free = first.getsockname()[1]
            rival.listen()
            with monkeypatch.context() as patch:
                patch.setattr(tcp, "bind", lambda *_: [first, second])
                with pytest.raises(OSError, match="in use"):
                    await TCP().listen("127.0.0.1", port, Recorder())
        assert (first.fileno(), second.fileno()) == (-1, -1)
        # The loop has let go of them too: whoever gets their numbers next can be waited for.
        async with (
            listening(TCP(), Echo()) as listener,
            connected(TCP(), listener.port) as connection,
        ):
            await connection.send(b"hello")
            assert (await connection.receive()).strip() == b"hello"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free)

    in_loop(scenario())


def test_the_entry_point_gives_this_transport() -> None:
    assert isinstance(load("tcp"), TCP)


# The client's side.


def test_a_client_is_told_that_the_server_ended_the_connection() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with connected(TCP(), listener.getsockname()[1]) as connection:
                peer, _ = listener.accept()
                peer.sendall(b"half a rep")
                peer.close()
                with pytest.raises(ConnectionResetError, match="the server has ended"):
                    await connection.receive()

    in_loop(scenario())


def test_a_client_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "SILENCE_SECONDS", 0.01)

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with connected(TCP(), silent.getsockname()[1]) as connection:
                await connection.send(b"5")
                with pytest.raises(TimeoutError):
                    await connection.receive()

    in_loop(scenario())


def test_a_client_can_close_a_connection_that_was_reset() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = await TCP().connect("127.0.0.1", listener.getsockname()[1])
            peer, _ = listener.accept()
            await connection.send(b"5")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            with pytest.raises(ConnectionResetError):
                await connection.receive()
            await connection.close()

    in_loop(scenario())


def test_a_client_reads_a_line_of_any_length_that_a_server_sends() -> None:
    async def scenario() -> None:
        roster = b", ".join(b"%032d" % number for number in range(10_000))
        async with (
            listening(TCP(), Echo(lambda _: [roster])) as listener,
            connected(TCP(), listener.port) as connection,
        ):
            await connection.send(b"1 Alice")
            assert await connection.receive() == roster

    in_loop(scenario())


def test_a_client_gives_up_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_MAX_REPLY_LINE_BYTES", 100_000)

    async def scenario() -> None:
        async with (
            listening(TCP(), Echo(lambda _: itertools.repeat(b"x" * 65_536))) as listener,
            connected(TCP(), listener.port) as connection,
        ):
            await connection.send(b"5")
            with pytest.raises(ConnectionAbortedError, match="too long a line"):
                await connection.receive()

    in_loop(scenario())


def test_a_client_does_not_wait_for_ever_for_a_server_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "SILENCE_SECONDS", 0.01)
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 0.01)

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            async with connected(TCP(), deaf.getsockname()[1]) as connection:
                with pytest.raises(TimeoutError):
                    await connection.send(bytes(50_000_000))

    in_loop(scenario())
