"""UDP: a datagram is a request, and its reply a datagram with as many lines as fit."""

import itertools

import pytest

from groupchat.core import ILLEGAL_REQUEST, MAX_NAME_CHARACTERS
from groupchat.core.plain import REPLY_BYTES
from groupchat.transports import load
from groupchat.transports.udp import MAX_DATAGRAM_BYTES, UDP
from tests.processes import Member, RunningServer
from tests.transports.recorder import (
    HOSTS,
    Echo,
    Recorder,
    connected,
    in_loop,
    linked,
    listening,
    soon,
)


def everything_waiting(member: Member) -> list[bytes]:
    """Ask for news until there are none; return the replies."""
    return list(iter(lambda: member.ask(b"5"), b""))


def test_a_reply_is_as_many_whole_lines_as_fit_and_at_least_one(server: RunningServer) -> None:
    reader, writer = server.udp(), server.tcp()
    assert reader.ask(b"1 Reader") == b""
    assert writer.ask(b"1 Writer") == b"Reader"
    sizes = [1, 500, 507, 1, 1016, 1017, 1, 4_000, 3, 1015, 1016, 1014, 998, 1, 1, 4_000, 4_000]
    lines = [b"Writer: " + b"x" * size for size in sizes]
    for line in lines:
        assert writer.ask(b"2 " + line.removeprefix(b"Writer: ")) == b""
    replies = everything_waiting(reader)
    assert b"\n".join(replies).split(b"\n") == [b"Writer has joined", *lines]
    for reply, following in itertools.pairwise(replies):
        assert len(reply) <= REPLY_BYTES or b"\n" not in reply
        first_left_out = following.split(b"\n")[0]
        assert len(reply + b"\n" + first_left_out) > REPLY_BYTES


def test_nothing_is_lost_while_a_member_stays_away(server: RunningServer) -> None:
    reader, writer, other = server.udp(), server.tcp(), server.udp()
    assert reader.ask(b"1 Reader") == b""
    assert writer.ask(b"1 Writer") == b"Reader"
    assert other.ask(b"1 Other") == b"Writer, Reader"
    lines = []
    for number in range(1_000):
        who, name = (other, b"Other") if number % 3 == 0 else (writer, b"Writer")
        text = b"%d " % number + b"x" * (number % 300)
        who.ask(b"2 " + text)
        lines.append(name + b": " + text)
    assert len(b"\n".join(lines)) > 2 * 65_536
    replies = everything_waiting(reader)
    got = b"\n".join(replies).split(b"\n")
    assert got == [b"Writer has joined", b"Other has joined", *lines]
    assert max(map(len, replies)) <= REPLY_BYTES


def test_a_long_roster_is_continued_and_comes_before_the_news(server: RunningServer) -> None:
    names = [f"{number:03}".ljust(MAX_NAME_CHARACTERS, "名") for number in range(60)]
    for name in names:
        server.udp().ask(f"1 {name}".encode())
    newcomer, talker = server.udp(), server.udp()
    rosters = [newcomer.ask(b"1 Newcomer")]
    assert talker.ask(b"1 Talker").startswith(b"Newcomer, ")
    talker.ask(b"2 welcome")
    replies = everything_waiting(newcomer)
    news = replies.pop()
    rosters += replies
    assert len(rosters) > 2
    assert all(len(roster) <= REPLY_BYTES for roster in rosters)
    assert ", ".join(r.decode() for r in rosters).split(", ") == names[::-1]
    assert news == b"Talker has joined\nTalker: welcome"


def test_a_refusal_is_not_refused_so_that_two_servers_cannot_go_on_for_ever(
    server: RunningServer,
) -> None:
    member = server.udp()
    member.socket.send(ILLEGAL_REQUEST)
    assert member.ask(b"1 Alice") == b""
    assert member.ask(b"6") == ILLEGAL_REQUEST
    assert member.ask(ILLEGAL_REQUEST + b"\n") == ILLEGAL_REQUEST


@pytest.mark.parametrize("host", HOSTS)
@in_loop
async def test_a_datagram_is_a_request_and_its_reply_a_datagram(host: str) -> None:
    service = Echo(lambda request: [request, b"-", request] if request else [])
    async with (
        listening(UDP(), service, host) as listener,
        connected(UDP(), listener.port, host) as connection,
    ):
        shown = f"[{host}]" if ":" in host else host
        assert listener.addresses == [f"{shown}:{listener.port}"]
        assert connection.lossy
        for request in (b"5", b"", b"\0\xff\n", b"x" * 20_000):
            await connection.send(request)
            reply = request + b"-" + request if request else b""
            assert await connection.receive() == reply
        assert service.requests == [b"5", b"", b"\0\xff\n", b"x" * 20_000]
        assert len({peer.sender for peer in service.peers}) == 1
        assert service.peers[0].sender.startswith(f"udp {shown}:")
        assert service.peers[0].datagram == MAX_DATAGRAM_BYTES
        assert service.peers[0].source == host


@in_loop
async def test_members_at_one_address_are_told_apart_by_their_ports() -> None:
    service = Recorder()
    async with (
        listening(UDP(), service) as listener,
        connected(UDP(), listener.port) as first,
        connected(UDP(), listener.port) as second,
    ):
        await first.send(b"x")
        await second.send(b"x")
        await soon(lambda: len(service.peers) == 2)
        assert service.peers[0].sender != service.peers[1].sender


@in_loop
async def test_a_reply_of_nothing_at_all_is_no_datagram_and_nothing_is_pushed_or_closed() -> None:
    service = Recorder()
    async with linked(UDP(), service) as connection:
        for _ in range(2):
            await connection.send(b"x")
        await soon(lambda: len(service.peers) == 2)
        first, second = service.peers
        first.reply(None)
        first.push([b"pushed"], lambda: None)
        first.close()
        second.reply([b"the only one"])
        assert await connection.receive() == b"the only one"
        assert service.lost == service.come_and_stayed == []


def test_the_entry_point_gives_this_transport() -> None:
    assert isinstance(load("udp"), UDP)
