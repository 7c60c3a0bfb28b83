"""TCP: a line is a request, a reply is its lines and then an empty line; and too long lines."""

import asyncio
import contextlib
import itertools
import re
import socket

import pytest

from groupchat.core import ILLEGAL_REQUEST, MAX_TEXT_BYTES, Reason, Refused, decode
from groupchat.core.peer import Reception
from groupchat.core.sessions.requests import Ask
from groupchat.core.sessions.wire import MAX_NUMBER, Mark
from groupchat.transports.tcp import TCP
from groupchat.transports.tcp_peer import KEPT_BYTES, MAX_LINE_BYTES, UNANSWERED_LINES
from tests.processes import REFUSAL, Member, RunningServer, TcpMember, news_until
from tests.transports.recorder import Echo, Recorder, connected, in_loop, linked, listening, soon


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


def test_bytes_can_come_one_at_a_time(server: RunningServer, watcher: Member) -> None:
    slow = server.tcp()
    slow.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


@in_loop
async def test_a_line_is_a_request_with_its_line_end() -> None:
    service = Echo(lambda request: [request.rstrip(b"\r\n")])
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1 Alice\n\r\n\n2 \0\xff\r\n5\r")
        writer.write_eof()
        assert await reader.read() == b"1 Alice\n\n" + b"\n" + b"\n" + b"2 \0\xff\n\n" + b"5\n\n"
        writer.close()
        await writer.wait_closed()
        await soon(lambda: bool(service.lost))
        assert service.requests == [b"1 Alice\n", b"\r\n", b"\n", b"2 \0\xff\r\n", b"5\r"]
        senders = {peer.sender for peer in service.peers}
        assert service.lost == list(senders)
        assert re.fullmatch(r"tcp 127\.0\.0\.1:\d+ #\d+", service.lost[0])
        assert service.peers[0].datagram is None
        assert service.peers[0].source == "127.0.0.1"
        assert service.come_and_stayed == service.lost


@in_loop
async def test_a_reply_in_pieces_is_framed_as_one() -> None:
    replies = {b"0\n": [], b"1\n": [b"a"], b"3\n": [b"a\nb\n", b"c\n", b"d"]}
    async with linked(TCP(), Echo(replies.__getitem__)) as connection:
        assert not connection.lossy
        for request, reply in replies.items():
            await connection.send(request.rstrip())
            assert await connection.receive() == b"".join(reply)


def test_a_long_line_is_refused_and_the_connection_goes_on(server: RunningServer) -> None:
    member = server.tcp()
    assert member.ask(b"1 Alice") == b""
    for size in (4_003, 65_507, MAX_LINE_BYTES - 1):
        assert member.ask(b"2 ".ljust(size, b"x")) == ILLEGAL_REQUEST
    assert member.ask(b"2 short") == b""


@in_loop
async def test_of_a_long_line_only_the_beginning_is_kept() -> None:
    """Whole, those that wait for a slow disk would take 2 MB for each connection."""
    longest = b"x" * (KEPT_BYTES - 1) + b"\n"
    too_long = b"2 ".ljust(MAX_LINE_BYTES - 1, b"x") + b"\n"
    service = Recorder()
    async with listening(TCP(), service) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(longest + too_long + b"5\n" + too_long * (UNANSWERED_LINES - 3))
        await soon(lambda: len(service.requests) == UNANSWERED_LINES)
        beginning = too_long[:KEPT_BYTES]
        assert decode(beginning) == Refused(Reason.NOT_A_REQUEST)
        assert service.requests[:4] == [longest, beginning, b"5\n", beginning]
        assert max(map(len, service.requests)) == KEPT_BYTES
        writer.close()
        await writer.wait_closed()
        for peer in service.peers:
            peer.reply([])


def test_the_longest_requests_are_kept_whole() -> None:
    plain = b"2 " + b"x" * MAX_TEXT_BYTES
    longest = Ask("f" * 32, MAX_NUMBER, Mark(MAX_NUMBER, MAX_NUMBER), (plain,), tries=MAX_NUMBER)
    assert len(plain) + len(b"\r\n") <= len(longest.encode()) + len(b"\r\n") <= KEPT_BYTES


@in_loop
async def test_one_who_asks_much_gives_way_to_the_others_again_and_again() -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        count = 10 * UNANSWERED_LINES
        writer.write(b"5\n" * count)
        turns = [0]
        while turns[-1] < count:
            await asyncio.sleep(0)
            turns.append(len(service.requests))
        taken = [after - before for before, after in itertools.pairwise(turns)]
        assert max(taken) <= UNANSWERED_LINES
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("size", [MAX_LINE_BYTES + 1, 1_000_000, 20_000_000])
def test_a_line_that_does_not_end_is_refused_and_the_connection_closed(
    server: RunningServer, watcher: Member, size: int
) -> None:
    endless = server.tcp()
    assert endless.ask(b"1 Endless") == b"Watcher"
    # All of it can be sent, and after all of it the refusal can be read: no reset takes it away.
    endless.socket.sendall(b"2 ".ljust(size, b"x"))
    assert endless.rest() == REFUSAL
    endless.__exit__()
    assert news_until(watcher, b"Endless has left the group") == [
        b"Endless has joined",
        b"Endless has left the group",
    ]


def test_a_line_that_ends_too_late_is_refused_as_well(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.sendall(b"5" * MAX_LINE_BYTES + b"\n5\n5\n")
    assert member.rest() == REFUSAL


def test_who_sends_without_end_after_his_refusal_is_cut_off(
    server: RunningServer, watcher: Member
) -> None:
    endless = server.tcp()
    assert endless.ask(b"1 Endless") == b"Watcher"
    with contextlib.suppress(ConnectionError):
        while True:
            endless.socket.sendall(b"x" * 10_000)
    news_until(watcher, b"Endless has left the group")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /".ljust(KEPT_BYTES, b"x") + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"2 / HTTP/1.1\r\nHost: example.org:12345\r\nUser-Agent: x\r\n\r\n",
    ],
    ids=["as it comes", "a long path", "a method of its own"],
)
def test_a_web_page_cannot_have_a_browser_speak(
    server: RunningServer, watcher: Member, head: bytes
) -> None:
    browser = server.tcp()
    browser.socket.sendall(head + b"1 Boss\n2 Hello\n4\n")
    assert browser.rest() == 2 * REFUSAL
    browser.__exit__()
    assert watcher.ask(b"5") == b""


def test_what_looks_like_tls_ends_the_connection_too(server: RunningServer) -> None:
    """A web page can have a browser send lines in there."""
    browser = server.tcp()
    browser.socket.sendall(b"\x16\x03\x01\x02\x00\x01\n1 Boss\n2 Hello\n4\n")
    assert browser.rest() == REFUSAL


def test_requests_before_a_line_without_end_are_answered(server: RunningServer) -> None:
    member = server.tcp()
    member.socket.sendall(b"1 Alice\n6\n4\n" + b"x" * 2 * MAX_LINE_BYTES)
    assert member.rest() == b"\n" + REFUSAL + b"\n" + REFUSAL


@in_loop
async def test_a_connection_that_may_not_stay_is_closed_and_nothing_of_it_is_taken() -> None:
    service = Recorder()
    service.full = True
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1 Alice\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert not service.requests
    assert not service.lost


@in_loop
async def test_of_a_connection_that_has_to_wait_nothing_is_taken_before_that() -> None:
    service = Echo()
    service.welcome = Reception(known=False, wanted=True, pause=3_600)
    async with listening(TCP(), service) as listener:
        waits = TcpMember(listener.port)
        waits.socket.sendall(b"1 Alice\n")
        await soon(lambda: bool(service.come_and_stayed))
        service.welcome = Reception(known=False, wanted=True, pause=0.01)
        async with connected(TCP(), listener.port) as connection:
            await connection.send(b"hello")
            assert await connection.receive() == b"hello"
        waits.socket.close()
    assert service.requests == [b"hello\n"]


@in_loop
async def test_who_asks_too_much_is_read_again_after_a_pause() -> None:
    service = Echo(lambda request: [request.rstrip(b"\n")])
    service.reception = Reception(known=True, wanted=True, pause=0.01)
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1\n2\n3\n")
        writer.write_eof()
        assert await reader.read() == b"1\n\n2\n\n3\n\n"
        writer.close()
        await writer.wait_closed()
        await soon(lambda: bool(service.lost))
    assert service.requests == [b"1\n", b"2\n", b"3\n"]


@in_loop
async def test_what_is_pushed_follows_what_was_sent_before_it() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"1\n2\n")
        await soon(lambda: len(service.peers) == 2)
        peer, taken = service.peers[0], asyncio.Event()
        peer.reply([b"a", b"b"])
        peer.push([b"pushed"], taken.set)
        peer.reply(None)
        await taken.wait()
        peer.close()
        assert await reader.read() == b"ab\n\npushed\n\n"
        writer.close()
        await writer.wait_closed()
        await soon(lambda: bool(service.lost))
        peer.push([b"too late"], taken.set)
