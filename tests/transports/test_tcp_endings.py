"""TCP: how connections end, in good order, by half, and by a reset; and who has left then."""

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from groupchat.transports.tcp import TCP
from groupchat.transports.tcp_peer import KEPT_BYTES, MAX_LINE_BYTES, UNANSWERED_LINES, TCPPeer
from tests.processes import (
    DEADLINE,
    REFUSAL,
    Member,
    RunningServer,
    TcpMember,
    news_until,
    saw_alice_come_and_leave,
)
from tests.transports.recorder import POSIX, Echo, Recorder, connected, in_loop, listening, soon


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["LF", "CRLF", "no line end"])
def test_after_a_half_close_everything_is_answered_and_the_member_has_left(
    server: RunningServer, watcher: Member, end: bytes
) -> None:
    alice = server.tcp()
    alice.socket.sendall(b"1 Alice\n2 hi\n5" + end)
    alice.socket.shutdown(socket.SHUT_WR)
    assert alice.rest() == b"Watcher\n\n" + b"\n" + b"\n"
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
    assert member.rest() == REFUSAL * (3 * UNANSWERED_LINES + 1)


def test_a_connection_may_close_without_a_word(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.shutdown(socket.SHUT_WR)
    assert member.rest() == b""
    assert server.udp().ask(b"1 Alice") == b""


@pytest.mark.skipif(not shutil.which("nc"), reason="nc is not installed")
@pytest.mark.parametrize("requests", [r"1 Alice\n5\n", r"1 Alice\n5"], ids=["whole", "unended"])
def test_netcat_at_the_end_of_a_pipe_gets_its_replies(
    server: RunningServer, watcher: Member, requests: str
) -> None:
    # Some netcats close their half at the end of the input by themselves, others need -N.
    option = "-N" if "-N" in re.findall(r"-\w", _netcat_help()) else ""
    done = subprocess.run(
        ["sh", "-c", f"printf '{requests}' | nc {option} 127.0.0.1 {server.port}"],
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout == b"Watcher\n\n\n"
    assert saw_alice_come_and_leave(watcher)


def _netcat_help() -> str:
    done = subprocess.run(["nc", "-h"], capture_output=True, timeout=DEADLINE, check=False)
    return (done.stdout + done.stderr).decode()


def test_a_reset_in_the_middle_makes_the_member_leave(
    server: RunningServer, watcher: Member
) -> None:
    alice = server.tcp()
    assert alice.ask(b"1 Alice") == b"Watcher"
    alice.socket.sendall(b"2 half a li")
    alice.reset()
    assert saw_alice_come_and_leave(watcher)


def test_a_reset_with_requests_unanswered_makes_the_member_leave(
    server: RunningServer, watcher: Member
) -> None:
    for number in range(20):
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b"Watcher"
        alice.socket.sendall(b"2 x\n" * 1_000 * (number % 3))
        alice.reset()
        lines = news_until(watcher, b"Alice has left the group")
        # Some may have been carried out, but all before he left, and he left once.
        assert set(lines[1:-1]) <= {b"Alice: x"}


@POSIX
@in_loop
async def test_a_connection_that_is_reset_before_it_is_accepted_is_survived() -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        member = TcpMember(listener.port)
        host, port = member.socket.getsockname()[:2]
        member.reset()  # the loop has not taken a turn since
        await soon(lambda: bool(service.lost))
        # It is still known whose it was, and so counted with his others.
        assert re.fullmatch(rf"tcp {host}:{port} #\d+", service.lost[0])
        async with connected(TCP(), listener.port) as connection:
            await connection.send(b"hello")
            await connection.receive()


@in_loop
async def test_what_is_sent_does_not_wait_until_the_last_is_acknowledged() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        client = TcpMember(listener.port)
        client.socket.sendall(b"5\n")
        await soon(lambda: bool(service.peers))
        (peer,) = service.peers
        assert isinstance(peer, TCPPeer)
        sock = peer.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.reset()


@in_loop
async def test_the_replies_to_a_lost_connection_are_dropped() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        client = TcpMember(listener.port)
        client.socket.sendall(b"5\n5\n5\n")
        await soon(lambda: len(service.peers) == 3)
        client.reset()
        await soon(lambda: bool(service.lost))
        asked: list[str] = []

        def pieces() -> Iterator[bytes]:
            asked.append("for a piece")
            yield b"x"

        for peer in service.peers:
            peer.reply(pieces())
        assert asked == []
        assert service.lost == [service.peers[0].sender]


@pytest.mark.parametrize("end", [TcpMember.__exit__, TcpMember.reset], ids=["close", "reset"])
@POSIX
@in_loop
async def test_what_was_sent_before_the_end_is_carried_out(
    end: Callable[[TcpMember], None],
) -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        client = TcpMember(listener.port)
        client.socket.sendall(b"1 Alice\n2 Hi\n")
        end(client)  # before the server has read anything
        await soon(lambda: len(service.requests) == 2)
        await soon(lambda: bool(service.lost))
        assert service.requests == [b"1 Alice\n", b"2 Hi\n"]


@in_loop
async def test_what_had_to_wait_when_the_connection_was_lost_is_dropped() -> None:
    """Or else 270 KB of line ends and a reset would keep the server busy for a second."""
    service = Recorder()
    async with listening(TCP(), service) as listener:
        client = TcpMember(listener.port)
        client.socket.sendall(b"5\n" * 10 * UNANSWERED_LINES)
        await soon(lambda: len(service.requests) == UNANSWERED_LINES)
        client.reset()
        for peer in service.peers[:2]:
            peer.reply([])  # the first reply that cannot be sent tells of the reset
        await soon(lambda: bool(service.lost))
        assert len(service.requests) <= UNANSWERED_LINES + 2
        for peer in service.peers[2:UNANSWERED_LINES]:
            peer.reply([])
        assert len(service.requests) <= UNANSWERED_LINES + 2


@in_loop
async def test_what_is_pushed_after_a_refusal_that_ends_the_connection_is_dropped() -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        with TcpMember(listener.port) as client:
            client.socket.sendall(b"x" * (MAX_LINE_BYTES + 1))
            reader = asyncio.to_thread(client.rest)
            assert await reader == b"x" * KEPT_BYTES + b"\n\n"
            service.peers[0].push([b"too late"], lambda: None)


@in_loop
async def test_what_is_pushed_to_a_connection_that_ends_is_dropped() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        with TcpMember(listener.port) as client:
            client.socket.sendall(b"5\n")
            await soon(lambda: len(service.peers) == 1)
            taken: list[bool] = []
            peer = service.peers[0]
            assert isinstance(peer, TCPPeer)
            peer.transport.abort()
            for _ in range(10):
                peer.push([b"too late"], lambda: taken.append(True))
            await soon(lambda: bool(service.lost))
            assert not taken


@in_loop
async def test_a_connection_that_the_service_closes_still_gets_what_is_under_way() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1\n2\n")
        await soon(lambda: len(service.peers) == 2)
        peer = service.peers[0]
        assert peer.source == "127.0.0.1"
        peer.close()
        for reply in (b"one", b"two"):
            assert not reader.at_eof()
            peer.reply([reply])
        assert await reader.read() == b"one\n\ntwo\n\n"
        writer.close()
        await writer.wait_closed()
        await soon(lambda: bool(service.lost))
    assert service.requests == [b"1\n", b"2\n"]


@in_loop
async def test_a_reply_that_cannot_be_made_ends_the_connection_after_those_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else the next one would be taken for it."""

    def failing() -> Iterator[bytes]:
        yield b"a part"
        yield b"the last that is known"
        raise OSError("disk I/O error")

    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n" * 4)
        await soon(lambda: len(service.peers) == 4)
        peer, taken = service.peers[0], []
        peer.reply([b"one"])
        peer.push([b"news"], lambda: taken.append("news"))
        peer.reply(failing())
        peer.push([b"never"], lambda: taken.append("never"))
        peer.reply([b"three"])
        assert await reader.read() == b"one\n\nnews\n\na part"
        writer.close()
        await soon(lambda: bool(service.lost))
    assert taken == ["news"]
    assert f"could not make what is for {peer.sender}" in caplog.messages
