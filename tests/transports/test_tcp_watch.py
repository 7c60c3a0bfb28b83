"""TCP: who takes nothing of what waits for him does not hold his connection open for ever."""

import asyncio
import contextlib
import itertools
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from groupchat.transports import tcp_watch
from groupchat.transports.tcp import TCP
from tests.processes import DEADLINE
from tests.transports.recorder import Recorder, in_loop, listening, soon

STALLED_SECONDS = 0.3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stall be short, and closing even shorter."""
    monkeypatch.setattr(tcp_watch, "STALLED_SECONDS", STALLED_SECONDS)
    monkeypatch.setattr(tcp_watch, "CLOSING_SECONDS", STALLED_SECONDS / 10)


def endless() -> Iterable[bytes]:
    return itertools.repeat(b"x" * 65_536)


def connect(port: int) -> socket.socket:
    """Return a connection with little room for what is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def asked() -> AsyncIterator[tuple[Recorder, socket.socket]]:
    """Somebody with little room for what he does not read has asked for something: yield the
    service that he asked, and him."""
    service = Recorder()
    async with listening(TCP(), service) as listener:
        with connect(listener.port) as client:
            client.send(b"5\n")
            await soon(lambda: bool(service.peers))
            yield service, client


@pytest.mark.parametrize("half_closes", [False, True])
@in_loop
async def test_who_takes_nothing_is_given_up(half_closes: bool) -> None:
    async with asked() as (service, client):
        if half_closes:
            client.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        service.peers[0].reply(endless())
        await soon(lambda: bool(service.lost))
        assert time.monotonic() - begun >= STALLED_SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell how much is taken")
@in_loop
async def test_who_takes_little_is_slow_and_not_given_up() -> None:
    async with asked() as (service, client):
        service.peers[0].reply(endless())
        async for _ in ticks(STALLED_SECONDS / 10, 6 * STALLED_SECONDS):
            client.recv(2_000)
        assert not service.lost


@in_loop
async def test_who_has_taken_everything_may_be_silent_for_as_long_as_he_likes() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n")
        await soon(lambda: bool(service.peers))
        size = 16_000_000  # more than the system takes at once
        service.peers[0].reply([b"x" * size])
        await reader.readexactly(size + 2)
        await asyncio.sleep(3 * STALLED_SECONDS)
        assert not service.lost
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("waits", [False, True])
@in_loop
async def test_who_takes_nothing_while_the_server_closes_is_given_up_sooner(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_watch, "STALLED_SECONDS", 10 * DEADLINE)
    async with asked() as (service, _):
        # All that is still to be written may wait here, or some not even be made.
        service.peers[0].reply(endless() if waits else [b"x" * 16_000_000])
        service.peers[0].close()
        await soon(lambda: bool(service.lost))


@in_loop
async def test_who_waits_for_his_answer_while_the_server_closes_is_not_given_up() -> None:
    service = Recorder()
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n")
        await soon(lambda: bool(service.peers))
        service.peers[0].close()
        await asyncio.sleep(STALLED_SECONDS)
        service.peers[0].reply([b"late"])
        assert await reader.read() == b"late\n\n"
        writer.close()
        await writer.wait_closed()


async def ticks(seconds: float, total: float) -> AsyncIterator[None]:
    """Come again every so many *seconds*."""
    end = time.monotonic() + total
    while time.monotonic() < end:
        await asyncio.sleep(seconds)
        yield
