"""The shield of a UDP socket: in a flood members are heard, floods are not, strangers sometimes."""

import asyncio
import contextlib
import errno
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from groupchat.transports import shield as shields
from groupchat.transports.shield import (
    CROWDING_DATAGRAMS,
    FLOODING_DATAGRAMS,
    FLOODING_SECONDS,
    UNWANTED_DATAGRAMS,
    Shield,
)
from tests.transports.recorder import HOSTS, datagram_socket, in_loop, soon

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
MANY = {("10.0.0.2", port): 1 for port in range(1, 10 * UNWANTED_DATAGRAMS)}


class Clock:
    """In place of the module time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shields, "time", clock)
    return clock


@contextlib.contextmanager
def sockets(count: int, host: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(datagram_socket(host)) for _ in range(count)]


def is_raised(shield: Shield) -> bool:
    """Return whether *shield* is raised now, which a type checker cannot know from before."""
    return shield.raised


def arrive(sender: socket.socket, receiver: socket.socket, count: int = 1) -> int:
    """Send *count* datagrams and return how many arrive. A busy system can take a moment for it."""
    arrived = 0
    for _ in range(count):
        sender.sendto(b"x", receiver.getsockname())
        with contextlib.suppress(BlockingIOError):
            receiver.recv(10)
            arrived += 1
    while arrived < count and select.select([receiver], [], [], 0.1)[0]:
        receiver.recv(10)
        arrived += 1
    return arrived


@LINUX
@pytest.mark.parametrize("host", HOSTS)
@in_loop
async def test_in_a_flood_members_are_heard_and_who_floods_is_not(host: str, clock: Clock) -> None:
    with sockets(4, host) as (server, member, flooder, stranger):
        known = [member.getsockname()]
        shield = Shield(server, asyncio.get_running_loop(), lambda: known)
        shield.unwanted({flooder.getsockname(): UNWANTED_DATAGRAMS - 1})
        assert not is_raised(shield)
        assert arrive(flooder, server, 10) == 10
        shield.unwanted({flooder.getsockname(): UNWANTED_DATAGRAMS})
        assert shield.raised
        assert arrive(member, server, 200) == 200
        assert arrive(flooder, server, 200) == 0
        assert 0 < arrive(stranger, server, 2_000) < 500  # one in 16, by chance
        for _ in range(8):
            clock.now += 0.1
            shield.unwanted(MANY)
        assert arrive(member, server, 200) == 200
        assert arrive(stranger, server, 2_000) < 20  # one in 4,096
        shield.close()


@LINUX
@in_loop
async def test_junk_that_carries_the_address_of_a_member_does_not_silence_him(clock: Clock) -> None:
    with sockets(3, "127.0.0.1") as (server, member, other):
        known: list[tuple[str, int]] = []
        shield = Shield(server, asyncio.get_running_loop(), lambda: known)
        # Neither what came before he was known counts, nor what comes now, alone or with others'.
        shield.unwanted({member.getsockname(): UNWANTED_DATAGRAMS})
        known += [member.getsockname(), other.getsockname()]
        for _ in range(8):
            clock.now += 0.1
            shield.unwanted({**MANY, member.getsockname(): CROWDING_DATAGRAMS // 16})
        assert shield.raised
        assert arrive(member, server, 200) == 200
        assert arrive(other, server, 200) == 200
        shield.close()


@LINUX
@pytest.mark.parametrize("host", HOSTS)
@in_loop
async def test_of_a_member_who_floods_some_pass_for_as_long_as_he_does(
    host: str, clock: Clock
) -> None:
    with sockets(3, host) as (server, member, other):
        known = {member.getsockname(): None, other.getsockname(): None}
        shield = Shield(server, asyncio.get_running_loop(), lambda: known)
        for _ in range(2):
            shield.unwanted({member.getsockname(): CROWDING_DATAGRAMS - 1})
            assert not is_raised(shield)
            clock.now += 1.0
        shield.unwanted({member.getsockname(): CROWDING_DATAGRAMS})
        for _ in range(5):
            # Of those that pass now, each stands for 16.
            assert 20 < arrive(member, server, 1_600) < 300
            assert arrive(other, server, 200) == 200
            clock.now += 1.0
            shield.unwanted({member.getsockname(): CROWDING_DATAGRAMS // 16})
            shield._ease()
        clock.now += 3.0
        shield._ease()
        assert not is_raised(shield)
        assert arrive(member, server, 200) == 200
        shield.close()


@LINUX
@in_loop
async def test_it_is_lowered_step_by_step_when_the_flood_is_over(clock: Clock) -> None:
    with sockets(3, "127.0.0.1") as (server, flooder, stranger):
        shield = Shield(server, asyncio.get_running_loop(), list)
        shield.unwanted({flooder.getsockname(): 10 * UNWANTED_DATAGRAMS})
        clock.now += 1.5
        shield._ease()
        assert is_raised(shield)
        assert arrive(stranger, server, 10) == 10
        assert arrive(flooder, server, 10) == 0
        clock.now += FLOODING_SECONDS
        shield._ease()
        assert not is_raised(shield)
        assert arrive(flooder, server, 10) == 10
        shield.close()


@LINUX
@in_loop
async def test_new_members_are_let_through_soon_and_the_newest_if_there_are_too_many(
    clock: Clock,
) -> None:
    with sockets(2, "127.0.0.1") as (server, member):
        known: list[tuple[str, int]] = []
        shield = Shield(server, asyncio.get_running_loop(), lambda: known)
        shield.changed()  # nothing to change yet
        for _ in range(8):
            clock.now += 0.1
            shield.unwanted(MANY)
        known += [("10.0.0.1", port) for port in range(1, 6_000)]  # a filter has room for fewer
        known.append(member.getsockname())
        shield.changed()
        shield.changed()
        await soon(lambda: arrive(member, server) == 1)
        assert arrive(member, server, 100) == 100
        shield.close()


@in_loop
async def test_without_such_filters_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        """A socket of a system that has none."""

        def setsockopt(self, *_: object) -> None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    shield = Shield(Plain(), asyncio.get_running_loop(), list)  # type: ignore[arg-type]
    shield.unwanted(MANY)
    assert not shield.raised
    monkeypatch.setattr(sys, "platform", "other")
    with datagram_socket() as sock:
        shield = Shield(sock, asyncio.get_running_loop(), list)
        shield.unwanted(MANY)
        assert not shield.raised
        shield.close()


def test_an_ipv4_address_has_one_key_however_it_is_written() -> None:
    assert shields._key(("127.0.0.1", 5)) == shields._key(("::ffff:127.0.0.1", 5, 0, 0))
    assert shields._key(("fe80::1", 5, 0, 2)) == shields._key(("fe80::1%2", 5, 0, 2))
    assert shields._key(("127.0.0.1", 5)) != shields._key(("127.0.0.1", 6))


def test_the_flooding_that_are_remembered_are_few() -> None:
    with datagram_socket() as sock, asyncio.Runner() as runner:

        async def scenario() -> None:
            shield = Shield(sock, asyncio.get_running_loop(), list)
            shield.unwanted({("10.0.0.1", port): FLOODING_DATAGRAMS for port in range(1, 1_000)})
            assert len(shield._flooding) == 256
            shield.close()

        runner.run(scenario())
