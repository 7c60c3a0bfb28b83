"""Both transports: the addresses they listen at, of either version of IP, and ports in use."""

import errno
import socket

import pytest

from groupchat.transports import Transport
from groupchat.transports.address import show, source
from groupchat.transports.tcp import TCP
from groupchat.transports.udp import UDP
from tests.processes import Member, TcpMember, UdpMember, serving
from tests.test_transcript import TRANSCRIPT, play
from tests.transports.recorder import (
    HOSTS,
    IPV6,
    Recorder,
    connected,
    datagram_socket,
    have_hosts_stand_for,
    in_loop,
    listening,
    soon,
)


@pytest.mark.parametrize("host", HOSTS)
def test_the_transcript_passes_over_both_versions_of_ip(host: str) -> None:
    with serving("0", host=host) as server:
        transports = {"Alice": "udp", "Bob": "tcp", "Charlie": "udp"}
        assert play(server, transports) == TRANSCRIPT


@IPV6
def test_a_server_at_all_addresses_takes_ipv4_and_ipv6() -> None:
    with serving("0", host="::") as server:
        members: list[Member] = []
        for host in ("127.0.0.1", "::1"):
            members.append(server.sockets.enter_context(UdpMember(server.port, host)))
            members.append(server.sockets.enter_context(TcpMember(server.port, host)))
        for number, member in enumerate(members):
            names = [f"M{other}" for other in reversed(range(number))]
            assert member.ask(b"1 M%d" % number) == ", ".join(names).encode()
        # In the log, an IPv4 peer has the address that people know it by.
        server.program.err.until(r"M0 joined \(udp 127\.0\.0\.1:\d+\)")
        server.program.err.until(r"M1 joined \(tcp 127\.0\.0\.1:\d+ #1\)")
        server.program.err.until(r"M2 joined \(udp \[::1\]:\d+\)")
        server.program.err.until(r"M3 joined \(tcp \[::1\]:\d+ #2\)")


@in_loop
async def test_a_port_in_use_is_an_error_and_leaves_no_socket_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            super().__init__(family, kind)
            made.append(self)

    with datagram_socket() as taken:
        monkeypatch.setattr(socket, "socket", Noted)
        with pytest.raises(OSError, match="in use") as caught:
            await UDP().listen("127.0.0.1", taken.getsockname()[1], Recorder())
        assert caught.value.errno == errno.EADDRINUSE
    assert [sock.fileno() for sock in made] == [-1]


@in_loop
async def test_a_port_in_use_at_the_second_address_leaves_the_first_free_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with datagram_socket() as free:
        port = free.getsockname()[1]
    # The same address twice: where the first is bound, the second is in use.
    have_hosts_stand_for(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", 2))
    with pytest.raises(OSError, match="in use"):
        await UDP().listen("localhost", port, Recorder())
    have_hosts_stand_for(monkeypatch, ("127.0.0.1", 1))
    listener = await UDP().listen("localhost", port, Recorder())
    assert listener.port == port
    await listener.close()


@pytest.mark.parametrize("transport", [UDP(), TCP()], ids=["udp", "tcp"])
@in_loop
async def test_a_listener_passes_over_addresses_of_a_kind_that_the_machine_lacks(
    monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    no_such_family = 999
    # 192.0.2.0/24 is for examples (RFC 5737): no machine has an address of it.
    found = [
        (no_such_family, 0, 0, "", ("127.0.0.1", 0)),
        (socket.AF_INET, 0, 0, "", ("192.0.2.1", 0)),
        (socket.AF_INET, 0, 0, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    async with listening(transport, Recorder(), "localhost") as listener:
        assert listener.addresses == [f"127.0.0.1:{listener.port}"]
    del found[2]
    with pytest.raises(OSError, match="assign") as caught:
        await transport.listen("localhost", 0, Recorder())
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("::ffff:127.0.0.1", 80, 0, 0), "127.0.0.1:80"),
        (("fe80::1", 80, 0, 2), "[fe80::1%2]:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
    ],
)
def test_addresses_are_shown_as_people_write_them(
    address: tuple[str | int, ...], shown: str
) -> None:
    assert show(address) == shown


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8::5", "2001:db8::/64"),
        ("::2", "::/64"),
        ("fe80::1%eth0", "fe80::/64%eth0"),
    ],
)
def test_what_limits_count_by_is_what_nobody_can_choose(host: str, shown: str) -> None:
    assert source((host, 80, 0, 0)) == shown


@IPV6
@pytest.mark.parametrize("transport", [UDP(), TCP()], ids=["udp", "tcp"])
@in_loop
async def test_a_peer_says_what_to_count_it_by(transport: Transport) -> None:
    service = Recorder()
    async with (
        listening(transport, service, "::") as listener,
        connected(transport, listener.port, "127.0.0.1") as connection,
    ):
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        assert service.peers[0].source == "127.0.0.1"
