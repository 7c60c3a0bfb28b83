"""UDP: floods, send buffers that are full, and networks that fail."""

import asyncio
import contextlib
import errno
import itertools
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.peer import Reception
from groupchat.transports import Peer, udp
from groupchat.transports.udp import DATAGRAMS_A_WAKE_UP, MAX_DATAGRAM_BYTES, UDP
from tests.processes import DEADLINE, RunningServer, UdpMember, eventually, serving
from tests.transports.recorder import (
    HOSTS,
    Recorder,
    datagram_socket,
    in_loop,
    linked,
    listening,
    soon,
)


@pytest.mark.parametrize("host", HOSTS)
def test_members_who_vanish_do_not_stop_the_server(host: str) -> None:
    with serving("0", host=host) as server:
        staying = server.udp()
        assert staying.ask(b"1 Alice") == b""
        for number in range(50):
            with UdpMember(server.port, host) as vanishing:
                vanishing.socket.send(b"1 Ghost %d" % number)
        # Their replies find nobody, and so does whatever is asked by a port that is closed. A few
        # may get the port of one before them, and then they are members already.
        joined: set[bytes] = set()

        def most_have_joined() -> bool:
            joined.update(re.findall(rb"Ghost \d+ has joined", staying.ask(b"5")))
            return len(joined) > 40

        eventually(most_have_joined)
        assert server.udp().ask(b"1 Bob").startswith(b"Ghost 4")


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
        for number in range(30):
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


@in_loop
async def test_a_reply_that_the_network_refuses_is_dropped_and_the_next_one_goes_out() -> None:
    service = Recorder()
    async with linked(UDP(), service) as connection:
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        service.peers[0].reply([b"x" * (MAX_DATAGRAM_BYTES + 1)])  # no datagram is as long
        service.peers[0].reply([b"next"])
        assert await connection.receive() == b"next"
        await connection.send(b"again")
        await soon(lambda: service.requests == [b"5", b"again"])


@in_loop
async def test_a_flood_gives_way_to_the_others_again_and_again() -> None:
    """Each datagram that arrives sends the next, so the socket is never found empty."""
    datagrams = 10 * DATAGRAMS_A_WAKE_UP

    class Flood(Recorder):
        def receive(self, request: bytes, peer: Peer) -> Reception:
            if len(self.requests) < datagrams - 1:
                flooder.send(request)
            return super().receive(request, peer)

    with datagram_socket() as flooder:
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


class CongestedSocket:
    """A socket whose send buffer is full, or whose network fails, when the test says so.

    The loopback interface takes a datagram off its sender at once, so that a send buffer of any
    size never fills there (tried, with SO_SNDBUF 1); hence this double.
    """

    def __init__(self) -> None:
        self.faults: list[OSError] = []
        self.full = False
        self.receive_faults: list[OSError] = []
        self.real = datagram_socket()

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> int:
        if self.full:
            raise BlockingIOError
        if self.faults:
            raise self.faults.pop(0)
        return self.real.sendto(datagram, address)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if self.receive_faults:
            raise self.receive_faults.pop(0)
        return self.real.recvfrom(size)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.real.setsockopt(level, option, value)

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
@in_loop
async def test_replies_wait_in_order_while_the_send_buffer_is_full(
    congested: CongestedSocket, fault: Callable[[], OSError]
) -> None:
    service = Recorder()
    async with linked(UDP(), service) as connection:
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        service.peers[0].welcome()
        congested.faults += [fault(), fault(), fault()]
        for number in range(3):
            service.peers[0].reply([b"%d" % number])
        assert len(congested.faults) == 2  # the later ones did not try to overtake the first
        assert [await connection.receive() for _ in range(3)] == [b"0", b"1", b"2"]
        await connection.send(b"and on")
        await soon(lambda: service.requests == [b"5", b"and on"])
        service.peers[1].reply([b"3"])
        assert await connection.receive() == b"3"


@in_loop
async def test_no_request_is_taken_while_replies_wait(congested: CongestedSocket) -> None:
    service = Recorder()
    async with linked(UDP(), service) as connection:
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        service.peers[0].welcome()
        congested.faults += [BlockingIOError() for _ in range(50)]
        service.peers[0].reply([b"0"])
        await connection.send(b"meanwhile")
        while congested.faults:
            assert service.requests == [b"5"]
            await asyncio.sleep(0)
        await soon(lambda: service.requests == [b"5", b"meanwhile"])
        assert await connection.receive() == b"0"


@contextlib.asynccontextmanager
async def asked(client: socket.socket) -> AsyncIterator[Peer]:
    """The peer that *client* is, who has asked for something and is a member."""
    service = Recorder()
    async with listening(UDP(), service) as listener:
        client.sendto(b"5", ("127.0.0.1", listener.port))
        await soon(lambda: bool(service.peers))
        service.peers[0].welcome()
        yield service.peers[0]


@in_loop
async def test_a_listener_can_be_closed_while_replies_wait(congested: CongestedSocket) -> None:
    with datagram_socket() as client:
        async with asked(client) as peer:
            congested.faults += [BlockingIOError() for _ in range(50)]
            peer.reply([b"0"])
        assert congested.fileno() == -1
        peer.reply([b"1"])  # too late, and harmless


@in_loop
async def test_what_waits_is_sent_when_the_listener_closes(congested: CongestedSocket) -> None:
    with datagram_socket() as client:
        async with asked(client) as peer:
            congested.full = True
            peer.reply([b"0"])
            peer.reply([b"1"])
            congested.full = False
        assert [client.recv(10), client.recv(10)] == [b"0", b"1"]
        peer.reply([b"2"])  # too late, and harmless


@in_loop
async def test_a_socket_that_stays_full_does_not_keep_requests_from_being_taken(
    congested: CongestedSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody has joined from addresses of the same network that nobody has."""
    monkeypatch.setattr(udp, "UNSENT_SECONDS", 0.05)
    service = Recorder()
    async with linked(UDP(), service) as connection:
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        service.peers[0].welcome()
        for number in range(3):
            congested.full = True
            service.peers[0].reply([b"lost"])
            service.peers[0].reply([b"lost"])
            await connection.send(b"meanwhile %d" % number)
            await soon(lambda: len(service.requests) == number + 2)  # noqa: B023
            congested.full = False
            service.peers[-1].reply([b"%d" % number])
            assert await connection.receive() == b"%d" % number


@in_loop
async def test_errors_that_the_network_reports_on_receiving_cost_no_request(
    congested: CongestedSocket,
) -> None:
    """Windows reports there that an earlier reply found nobody; Linux does not."""
    service = Recorder()
    async with linked(UDP(), service) as connection:
        unreachable = OSError(errno.EHOSTUNREACH, "no route")
        congested.receive_faults += [ConnectionResetError(), unreachable, InterruptedError()]
        await connection.send(b"5")
        await soon(lambda: service.requests == [b"5"])
        assert not congested.receive_faults


@in_loop
async def test_a_full_send_buffer_keeps_nothing_for_strangers(congested: CongestedSocket) -> None:
    """It may be full of replies to addresses that somebody has made up."""
    service = Recorder()
    async with linked(UDP(), service) as connection:
        await connection.send(b"5")
        await soon(lambda: bool(service.peers))
        congested.faults += [BlockingIOError()]
        service.peers[0].reply([b"lost"])
        await connection.send(b"still read")
        await soon(lambda: service.requests == [b"5", b"still read"])
        service.peers[0].reply([b"next"])
        assert await connection.receive() == b"next"
