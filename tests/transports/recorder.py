"""What the tests of the transports share: services, connections to them, and addresses."""

import asyncio
import contextlib
import functools
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, ParamSpec

import pytest

from groupchat.core.peer import FROM_STRANGER, UNWANTED, Reception
from groupchat.transports import Connection, Listener, Peer, Service, Transport
from tests.processes import DEADLINE

__all__ = [
    "HOSTS",
    "IPV6",
    "POSIX",
    "Echo",
    "Recorder",
    "connected",
    "datagram_socket",
    "have_hosts_stand_for",
    "in_loop",
    "linked",
    "listening",
    "soon",
]

P = ParamSpec("P")


def datagram_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a bound socket that never blocks."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), datagram_socket("::1"):
        return True
    return False


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="tries what Unix systems do")
IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
HOSTS = [pytest.param("127.0.0.1", id="IPv4"), pytest.param("::1", id="IPv6", marks=IPV6)]


class Recorder:
    """A service that writes down what it is told, and answers nothing by itself."""

    unsent_bytes = 65_536

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.peers: list[Peer] = []
        self.come_and_stayed: list[str] = []
        self.lost: list[str] = []
        self.reception = FROM_STRANGER
        self.full = False
        self.welcome = FROM_STRANGER

    def come(self, peer: Peer) -> Reception:
        if self.full:
            return UNWANTED
        self.come_and_stayed.append(peer.sender)
        return self.welcome

    def receive(self, request: bytes, peer: Peer) -> Reception:
        self.requests.append(request)
        self.peers.append(peer)
        return self.reception

    def gone(self, peer: Peer) -> None:
        self.lost.append(peer.sender)


class Echo(Recorder):
    """A service that answers each request with itself, in so many pieces."""

    def __init__(
        self, pieces: Callable[[bytes], Iterable[bytes]] = lambda request: [request]
    ) -> None:
        super().__init__()
        self._pieces = pieces

    def receive(self, request: bytes, peer: Peer) -> Reception:
        asyncio.get_running_loop().call_soon(peer.reply, self._pieces(request))
        return super().receive(request, peer)


def in_loop(scenario: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make *scenario* a test that runs it as the programs do, with a deadline."""

    @functools.wraps(scenario)
    def test(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE):
                await scenario(*args, **kwargs)

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(bounded())

    return test


@contextlib.asynccontextmanager
async def listening(
    transport: Transport, service: Service, host: str = "127.0.0.1"
) -> AsyncIterator[Listener]:
    """Have *service* told of what arrives by *transport*, on a free port."""
    listener = await transport.listen(host, 0, service)
    try:
        yield listener
    finally:
        await listener.close()


@contextlib.asynccontextmanager
async def connected(
    transport: Transport, port: int, host: str = "127.0.0.1"
) -> AsyncIterator[Connection]:
    """Connect to *port* by *transport*."""
    connection = await transport.connect(host, port)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def linked(
    transport: Transport, service: Service, host: str = "127.0.0.1"
) -> AsyncIterator[Connection]:
    """Have *service* told of what arrives by *transport*, and connect to it."""
    async with (
        listening(transport, service, host) as listener,
        connected(transport, listener.port, host) as connection,
    ):
        yield connection


async def soon(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds; :func:`in_loop` sets the deadline."""
    while not condition():  # noqa: ASYNC110  nothing sets an event when this comes true
        await asyncio.sleep(0.001)


def have_hosts_stand_for(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Give every host these *addresses*, as ``localhost`` has two on most machines."""
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
