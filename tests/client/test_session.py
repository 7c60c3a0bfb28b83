"""A session over real connections to a real server: it is asked, and gone on with."""

import asyncio
import contextlib

import pytest

from groupchat import transports
from groupchat.client.session import Session
from groupchat.core.sessions.happenings import Happening, Ready, Seen, WhoIsHere
from groupchat.core.sessions.saved import Saved
from groupchat.transports import Connection
from tests.client.loops import in_loop
from tests.client.sessions import dialling, lines, words
from tests.processes import RunningServer

# Asking.


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_session_is_asked_and_answers(server: RunningServer, transport: str) -> None:
    bob = server.tcp()
    assert bob.ask(b"1 Bob") == b""

    async def scenario() -> None:
        async with Session(dialling(transport, server.port)) as alice:
            happened = await alice.ask(b"1 Alice", b"2 Hi Bob", b"6")
            assert happened[0] == Ready(resumed=False)
            assert words(happened) == ["done", "done", "not-a-request"]
            assert alice.idle
            bob.ask(b"2 Hi Alice")
            assert lines(await alice.ask(b"5")) == ["Bob: Hi Alice"]
            alice.ask_who()
            assert await alice.ask() == [WhoIsHere(("Bob",))]
            alice.ask_seen()
            (seen,) = await alice.ask()
            assert isinstance(seen, Seen)
            assert seen.position >= alice.said > 0
            assert words(await alice.ask(b"4")) == ["done"]

    in_loop(scenario())
    assert bob.ask(b"5") == b"Alice has left the group"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_happens_can_be_iterated_over(server: RunningServer, transport: str) -> None:
    async def scenario() -> list[str]:
        bob = server.tcp()
        bob.ask(b"1 Bob")
        seen: list[str] = []
        async with Session(dialling(transport, server.port)) as alice:
            await alice.ask(b"1 Alice")
            alice.follow()
            bob.ask(b"2 one")
            async for happening in alice:
                seen += lines([happening])
                if len(seen) == 3:
                    return seen
                bob.ask(b"2 more")
        return seen

    assert in_loop(scenario()) == ["Bob: one", "Bob: more", "Bob: more"]


def test_who_waits_can_be_woken(server: RunningServer) -> None:
    async def scenario() -> None:
        async with Session(dialling("udp", server.port)) as alice:
            await alice.ask()
            asyncio.get_running_loop().call_later(0.01, alice.wake)
            assert await alice.next() == []

    in_loop(scenario())


def test_a_long_reply_arrives_whole(server: RunningServer) -> None:
    """Longer than what a connection hands over at a time."""
    bob = server.tcp()
    bob.ask(b"1 Bob")

    async def scenario() -> list[Happening]:
        async with Session(dialling("tcp", server.port)) as alice:
            await alice.ask(b"1 Alice")
            for number in range(200):
                bob.ask(b"2 %d %b" % (number, b"x" * 3_900))
            return await alice.ask(b"5")

    said = lines(in_loop(scenario()))
    assert said == [f"Bob: {number} {'x' * 3_900}" for number in range(200)]


# What is kept.


@pytest.mark.parametrize("first", ["udp", "tcp"])
@pytest.mark.parametrize("second", ["udp", "tcp"])
def test_a_session_is_gone_on_with_by_any_transport(
    server: RunningServer, first: str, second: str
) -> None:
    bob = server.tcp()
    bob.ask(b"1 Bob")
    kept: list[Saved] = []

    async def begin() -> None:
        async with Session(dialling(first, server.port), store=kept.append) as alice:
            await alice.ask(b"1 Alice", b"5")

    async def go_on() -> list[Happening]:
        async with Session(dialling(second, server.port), kept[-1]) as alice:
            return await alice.ask(b"5")

    in_loop(begin())
    bob.ask(b"2 one")
    bob.ask(b"2 two")
    happened = in_loop(go_on())
    assert happened[0] == Ready(resumed=True, waiting=2)
    assert lines(happened) == ["Bob: one", "Bob: two"]


def test_what_was_not_dealt_with_is_told_again(server: RunningServer) -> None:
    """Whoever is killed while he shows something, is shown it by the next."""
    bob = server.tcp()
    bob.ask(b"1 Bob")
    kept: list[Saved] = []

    async def scenario() -> None:
        with contextlib.suppress(ZeroDivisionError):
            async with Session(dialling("udp", server.port), store=kept.append) as alice:
                await alice.ask(b"1 Alice", b"5")
                bob.ask(b"2 one")
                await alice.ask(b"5")
                bob.ask(b"2 two")
                assert lines(await alice.ask(b"5")) == ["Bob: two"]
                raise ZeroDivisionError
        async with Session(dialling("udp", server.port), kept[-1]) as again:
            assert lines(await again.ask(b"5")) == ["Bob: two"]

    in_loop(scenario())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_who_ends_an_iteration_misses_nothing(server: RunningServer, transport: str) -> None:
    """Though what one answer brings comes at once."""
    bob = server.tcp()
    bob.ask(b"1 Bob")
    kept: list[Saved] = []
    said = [f"Bob: {number}" for number in range(12)]

    async def some(session: Session, count: int) -> list[str]:
        told: list[str] = []
        async for happening in session:
            told += lines([happening])
            if len(told) == count:
                break
        return told

    async def begin() -> None:
        async with Session(dialling(transport, server.port), store=kept.append) as alice:
            await alice.ask(b"1 Alice")
            for line in said:
                bob.ask(b"2 %b" % line.removeprefix("Bob: ").encode())
            alice.submit(b"5")
            assert await some(alice, 3) == said[:3]
            assert await some(alice, 4) == said[3:7]
            if transport == "tcp":
                assert lines(await alice.next()) == said[7:]
                bob.ask(b"2 more")
                alice.submit(b"5")
                assert await some(alice, 1) == ["Bob: more"]

    async def go_on() -> None:
        async with Session(dialling(transport, server.port), kept[-1]) as alice:
            told = lines(await alice.ask(b"5"))
            assert told == ([] if transport == "tcp" else said[7:])

    in_loop(begin())
    in_loop(go_on())


def test_an_ask_that_is_broken_off_has_what_came_returned_by_the_next(
    server: RunningServer,
) -> None:
    bob = server.tcp()
    bob.ask(b"1 Bob")
    said = [f"Bob: {number} {'x' * 700}" for number in range(300)]
    stored = 0

    async def scenario() -> None:
        def store(_: Saved) -> None:
            nonlocal stored
            stored += 1
            if stored == limit:
                raise ZeroDivisionError

        limit = -1
        async with Session(dialling("udp", server.port), store=store) as alice:
            await alice.ask(b"1 Alice")
            for line in said:
                bob.ask(b"2 %b" % line.removeprefix("Bob: ").encode())
            limit = stored + 20
            with pytest.raises(ZeroDivisionError):
                await alice.ask(b"5")
            told = lines(await alice.next())
            assert told == said[: len(told)] != []
            assert lines(await alice.ask()) == said[len(told) :]

    in_loop(scenario())


def test_nothing_is_sent_before_what_it_depends_on_is_kept(server: RunningServer) -> None:
    order: list[str] = []

    async def dial() -> Connection:
        connection = await transports.load("udp").connect("127.0.0.1", server.port)
        send = connection.send

        async def noted(request: bytes) -> None:
            if b" open " not in request:
                order.append(f"send {request.split()[2].decode()}")
            await send(request)

        connection.send = noted  # type: ignore[method-assign]
        return connection

    def store(saved: Saved) -> None:
        order.append(f"keep {saved.number}")

    async def scenario() -> None:
        async with Session(dial, store=store) as alice:
            await alice.ask(b"1 Alice")
            await alice.ask(b"2 one")
            await alice.ask(b"2 two")

    in_loop(scenario())
    for number in (1, 2, 3):
        assert order.index(f"keep {number}") < order.index(f"send {number}")


def test_at_the_end_the_server_is_told_how_far_we_have_come(server: RunningServer) -> None:
    async def scenario() -> None:
        async with Session(dialling("tcp", server.port)) as bob:
            await bob.ask(b"1 Bob")
            async with Session(dialling("udp", server.port)) as alice:
                await alice.ask(b"1 Alice")
                await bob.ask(b"2 hi")
                assert lines(await alice.ask(b"5")) == ["Bob: hi"]
                bob.ask_seen()
                (seen,) = [h for h in await bob.ask() if isinstance(h, Seen)]
                assert seen.position < bob.said
            while seen.position < bob.said:
                bob.ask_seen()
                (seen,) = [h for h in await bob.ask() if isinstance(h, Seen)]

    in_loop(scenario())
