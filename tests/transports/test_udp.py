"""UDP: real datagrams on the loopback interface, between processes and inside of one."""

import asyncio
import errno
import gc
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from groupchat.core import ILLEGAL_REQUEST, MAX_NAME_CHARACTERS
from groupchat.transports import Peer, Transport, load, udp
from groupchat.transports.address import show
from groupchat.transports.tcp import TCP
from groupchat.transports.udp import DATAGRAMS_A_WAKE_UP, MAX_DATAGRAM_BYTES, REPLY_BYTES, UDP
from tests.processes import (
    DEADLINE,
    Member,
    RunningServer,
    TcpMember,
    UdpMember,
    eventually,
    serving,
)
from tests.test_transcript import TRANSCRIPT, play
from tests.transports.recorder import Echo, Recorder, connected, in_loop, listening, soon


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
HOSTS = [pytest.param("127.0.0.1", id="IPv4"), pytest.param("::1", id="IPv6", marks=IPV6)]


def datagram_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a bound socket that never blocks."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


def everything_waiting(member: Member) -> list[bytes]:
    """Ask for news until there are none; return the replies."""
    return list(iter(lambda: member.ask(b"5"), b""))


# Between processes.


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


@pytest.mark.parametrize("host", HOSTS)
def test_members_who_vanish_do_not_stop_the_server(host: str) -> None:
    with serving("0", host=host) as server:
        staying = server.udp()
        assert staying.ask(b"1 Alice") == b""
        for number in range(50):
            with UdpMember(server.port, host) as vanishing:
                vanishing.socket.send(b"1 Ghost %d" % number)
        # Their replies find nobody, and so does whatever is asked by a port that is closed.
        eventually(lambda: b"Ghost 49 has joined" in staying.ask(b"5"))
        assert server.udp().ask(b"1 Bob").startswith(b"Ghost 49, Ghost 48, ")


def test_a_flood_on_udp_does_not_starve_tcp(server: RunningServer) -> None:
    alice, bob = server.tcp(), server.tcp()
    assert alice.ask(b"1 Alice") == b""
    assert bob.ask(b"1 Bob") == b"Alice"
    alice.ask(b"5")
    flooding, calm = threading.Event(), threading.Event()

    def flood() -> None:
        with UdpMember(server.port) as flooder:
            while not calm.is_set():
                flooder.socket.send(b"2 flood")
                flooding.set()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        assert flooding.wait(DEADLINE)
        for number in range(200):
            assert bob.ask(b"2 %d" % number) == b""
            assert alice.ask(b"5") == b"Bob: %d" % number
    finally:
        calm.set()
        thread.join()
    carol = server.udp()
    carol.socket.settimeout(0.2)

    def is_heard() -> bool:
        """Ask again while the system drops what comes, the flood still waiting before it."""
        try:
            return carol.ask(b"5") == ILLEGAL_REQUEST
        except TimeoutError:
            return False

    eventually(is_heard)
    assert server.tcp().ask(b"1 Carol") == b"Bob, Alice"


def test_a_refusal_is_not_refused_so_that_two_servers_cannot_go_on_for_ever(
    server: RunningServer,
) -> None:
    member = server.udp()
    member.socket.send(ILLEGAL_REQUEST)
    assert member.ask(b"1 Alice") == b""
    assert member.ask(b"6") == ILLEGAL_REQUEST
    assert member.ask(ILLEGAL_REQUEST + b"\n") == ILLEGAL_REQUEST


# Inside of one process.


@pytest.mark.parametrize("host", HOSTS)
def test_a_datagram_is_a_request_and_its_reply_a_datagram(host: str) -> None:
    async def scenario() -> None:
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
            assert service.peers[0].budget == REPLY_BYTES

    in_loop(scenario())


def test_members_at_one_address_are_told_apart_by_their_ports() -> None:
    async def scenario() -> None:
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

    in_loop(scenario())


def test_a_reply_that_the_network_refuses_is_dropped_and_the_next_one_goes_out() -> None:
    async def scenario() -> None:
        service = Recorder()
        async with (
            listening(UDP(), service) as listener,
            connected(UDP(), listener.port) as connection,
        ):
            await connection.send(b"5")
            await soon(lambda: bool(service.peers))
            service.peers[0].reply([b"x" * (MAX_DATAGRAM_BYTES + 1)])  # no datagram is as long
            service.peers[0].reply([b"next"])
            assert await connection.receive() == b"next"
            await connection.send(b"again")
            await soon(lambda: service.requests == [b"5", b"again"])

    in_loop(scenario())


def test_a_flood_gives_way_to_the_others_again_and_again() -> None:
    """Each datagram that arrives sends the next, so the socket is never found empty."""
    datagrams = 10 * DATAGRAMS_A_WAKE_UP

    class Flood(Recorder):
        def receive(self, request: bytes, peer: Peer) -> None:
            super().receive(request, peer)
            if len(self.requests) < datagrams:
                flooder.send(request)

    async def scenario() -> None:
        service = Flood()
        async with listening(UDP(), service) as listener:
            flooder.connect(("127.0.0.1", listener.port))
            flooder.send(b"x")
            turns = [0]
            while turns[-1] < datagrams:
                await asyncio.sleep(0)
                turns.append(len(service.requests))
        taken = [after - before for before, after in itertools.pairwise(turns)]
        assert max(taken) <= DATAGRAMS_A_WAKE_UP

    with datagram_socket() as flooder:
        in_loop(scenario())


class CongestedSocket:
    """A socket whose send buffer is full, or whose network fails, when the test says so.

    The loopback interface takes a datagram off its sender at once, so that a send buffer of any
    size never fills there (tried, with SO_SNDBUF 1); hence this double.
    """

    def __init__(self) -> None:
        self.faults: list[OSError] = []
        self.receive_faults: list[OSError] = []
        self.real = datagram_socket()

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> int:
        if self.faults:
            raise self.faults.pop(0)
        return self.real.sendto(datagram, address)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if self.receive_faults:
            raise self.receive_faults.pop(0)
        return self.real.recvfrom(size)

    def getsockname(self) -> tuple[str, int]:
        host, port = self.real.getsockname()
        return host, port

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()


@pytest.fixture
def congested(monkeypatch: pytest.MonkeyPatch) -> Iterator[CongestedSocket]:
    """The socket that the next listener will use."""
    sock = CongestedSocket()
    monkeypatch.setattr(udp, "bind", lambda *_: [sock])
    yield sock
    sock.close()


@pytest.mark.parametrize("fault", [BlockingIOError, InterruptedError])
def test_replies_wait_in_order_while_the_send_buffer_is_full(
    congested: CongestedSocket, fault: Callable[[], OSError]
) -> None:
    async def scenario() -> None:
        service = Recorder()
        async with (
            listening(UDP(), service) as listener,
            connected(UDP(), listener.port) as connection,
        ):
            await connection.send(b"5")
            await soon(lambda: bool(service.peers))
            congested.faults += [fault(), fault(), fault()]
            for number in range(3):
                service.peers[0].reply([b"%d" % number])
            assert len(congested.faults) == 2  # the later ones did not try to overtake the first
            assert [await connection.receive() for _ in range(3)] == [b"0", b"1", b"2"]
            await connection.send(b"and on")
            await soon(lambda: service.requests == [b"5", b"and on"])
            service.peers[1].reply([b"3"])
            assert await connection.receive() == b"3"

    in_loop(scenario())


def test_no_request_is_taken_while_replies_wait(congested: CongestedSocket) -> None:
    async def scenario() -> None:
        service = Recorder()
        async with (
            listening(UDP(), service) as listener,
            connected(UDP(), listener.port) as connection,
        ):
            await connection.send(b"5")
            await soon(lambda: bool(service.peers))
            congested.faults += [BlockingIOError() for _ in range(50)]
            service.peers[0].reply([b"0"])
            await connection.send(b"meanwhile")
            while congested.faults:
                assert service.requests == [b"5"]
                await asyncio.sleep(0)
            await soon(lambda: service.requests == [b"5", b"meanwhile"])
            assert await connection.receive() == b"0"

    in_loop(scenario())


def test_a_listener_can_be_closed_while_replies_wait(congested: CongestedSocket) -> None:
    async def scenario() -> None:
        service = Recorder()
        with datagram_socket() as client:
            async with listening(UDP(), service) as listener:
                client.sendto(b"5", ("127.0.0.1", listener.port))
                await soon(lambda: bool(service.peers))
                congested.faults += [BlockingIOError() for _ in range(50)]
                service.peers[0].reply([b"0"])
            assert congested.fileno() == -1
            service.peers[0].reply([b"1"])  # too late, and harmless

    in_loop(scenario())


def test_errors_that_the_network_reports_on_receiving_cost_no_request(
    congested: CongestedSocket,
) -> None:
    """Windows reports there that an earlier reply found nobody; Linux does not."""

    async def scenario() -> None:
        service = Recorder()
        async with (
            listening(UDP(), service) as listener,
            connected(UDP(), listener.port) as connection,
        ):
            unreachable = OSError(errno.EHOSTUNREACH, "no route")
            congested.receive_faults += [ConnectionResetError(), unreachable, InterruptedError()]
            await connection.send(b"5")
            await soon(lambda: service.requests == [b"5"])
            assert not congested.receive_faults

    in_loop(scenario())


def test_a_port_in_use_is_an_error_and_leaves_no_socket_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            super().__init__(family, kind)
            made.append(self)

    async def scenario() -> None:
        with datagram_socket() as taken:
            monkeypatch.setattr(socket, "socket", Noted)
            with pytest.raises(OSError, match="in use") as caught:
                await UDP().listen("127.0.0.1", taken.getsockname()[1], Recorder())
            assert caught.value.errno == errno.EADDRINUSE
        assert [sock.fileno() for sock in made] == [-1]

    in_loop(scenario())


def test_a_port_in_use_at_the_second_address_leaves_the_first_free_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
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

    in_loop(scenario())


@pytest.mark.parametrize("transport", [UDP(), TCP()], ids=["udp", "tcp"])
def test_a_listener_passes_over_addresses_of_a_kind_that_the_machine_lacks(
    monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    no_such_family = 999

    async def scenario() -> None:
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

    in_loop(scenario())


def test_the_entry_point_gives_this_transport() -> None:
    assert isinstance(load("udp"), UDP)


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


# The client's side.


def have_hosts_stand_for(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Give every host these *addresses*, as ``localhost`` has two on most machines."""
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_client_tries_all_addresses_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with listening(UDP(), Echo()) as listener:
            have_hosts_stand_for(monkeypatch, silent.getsockname(), ("127.0.0.1", listener.port))
            async with connected(UDP(), listener.port, "localhost") as connection:
                await connection.send(b"first")
                await connection.send(b"second")
                assert await connection.receive() == b"second"
                # Whoever answered is the server from now on.
                for request in (b"third", b"fourth"):
                    await connection.send(request)
                    assert await connection.receive() == request
        assert silent.recv(100) == b"first"
        with pytest.raises(BlockingIOError):
            silent.recv(100)

    with datagram_socket() as silent:
        in_loop(scenario())


def test_a_client_goes_on_with_the_other_addresses_if_one_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As without IPv6, when a host has an address of each kind."""

    async def scenario() -> None:
        async with listening(UDP(), Echo()) as listener:
            # The broadcast address is one that an ordinary socket may not connect to.
            have_hosts_stand_for(monkeypatch, ("255.255.255.255", 9), ("127.0.0.1", listener.port))
            async with connected(UDP(), listener.port, "localhost") as connection:
                await connection.send(b"hello")
                assert await connection.receive() == b"hello"

    in_loop(scenario())


def test_a_client_that_can_use_no_address_says_why_and_leaves_no_socket_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        have_hosts_stand_for(monkeypatch, ("255.255.255.255", 9))
        with pytest.raises(PermissionError):
            await UDP().connect("localhost", 9)
        gc.collect()  # a socket left open would warn here, and warnings are errors

    in_loop(scenario())


def test_a_client_is_told_that_nobody_is_there() -> None:
    async def scenario() -> None:
        with datagram_socket() as closed:
            port = closed.getsockname()[1]
        async with connected(UDP(), port) as connection:
            await connection.send(b"1 Alice")
            with pytest.raises(ConnectionRefusedError):
                await connection.receive()

    in_loop(scenario())


def test_a_request_that_no_datagram_can_carry_is_refused_before_it_is_sent() -> None:
    async def scenario() -> None:
        service = Echo(lambda request: [b"%d" % len(request)])
        async with (
            listening(UDP(), service) as listener,
            connected(UDP(), listener.port) as connection,
        ):
            with pytest.raises(ValueError, match="65,507 bytes at the most"):
                await connection.send(b"x" * (MAX_DATAGRAM_BYTES + 1))
            await connection.send(b"x" * MAX_DATAGRAM_BYTES)
            assert await connection.receive() == b"65507"
            assert len(service.requests) == 1

    in_loop(scenario())
