"""What the tests of the transports hand to them instead of a server."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import pytest

from groupchat.transports import Connection, Listener, Peer, Service, Transport
from tests.processes import DEADLINE

__all__ = ["POSIX", "Echo", "Recorder", "connected", "in_loop", "listening", "soon"]

T = TypeVar("T")

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="tries what Unix systems do")


class Recorder:
    """A service that writes down what it is told, and answers nothing by itself."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.peers: list[Peer] = []
        self.lost: list[str] = []

    def receive(self, request: bytes, peer: Peer) -> None:
        self.requests.append(request)
        self.peers.append(peer)

    def gone(self, peer: Peer) -> None:
        self.lost.append(peer.sender)


class Echo(Recorder):
    """A service that answers each request with itself, in so many pieces."""

    def __init__(
        self, pieces: Callable[[bytes], Iterable[bytes]] = lambda request: [request]
    ) -> None:
        super().__init__()
        self._pieces = pieces

    def receive(self, request: bytes, peer: Peer) -> None:
        super().receive(request, peer)
        asyncio.get_running_loop().call_soon(peer.reply, self._pieces(request))


def in_loop(scenario: Coroutine[Any, Any, T]) -> T:
    """Run *scenario* as the programs do, with a deadline."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE):
            return await scenario

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(bounded())


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


async def soon(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds; :func:`in_loop` sets the deadline."""
    while not condition():  # noqa: ASYNC110  nothing sets an event when this comes true
        await asyncio.sleep(0.001)
