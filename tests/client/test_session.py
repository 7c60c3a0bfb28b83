"""A session over real connections to a real server, and over bad ones."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from groupchat import transports
from groupchat.client import link, patience, redial, session
from groupchat.client.patience import Silent
from groupchat.client.session import Dial, Session
from groupchat.core.sessions.happenings import (
    Happening,
    Lost,
    NoSessions,
    Ready,
    Result,
    Seen,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.replies import Answer, Opened, Reply
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.wire import Mark
from groupchat.transports import Connection
from tests.client.keyed import answered
from tests.client.loops import in_loop
from tests.client.ports import free_port
from tests.client.proxy import BAD, GOOD, Proxy
from tests.processes import RunningServer, serving

TOKEN = "0123456789abcdef" * 2


def dialling(transport: str, port: int, host: str = "127.0.0.1") -> Dial:
    async def dial() -> Connection:
        return await transports.load(transport).connect(host, port)

    return dial


def lines(happenings: list[Any]) -> list[str]:
    return [h.line.decode() for h in happenings if isinstance(h, Told)]


def words(happenings: list[Any]) -> list[str]:
    return [h.word for h in happenings if isinstance(h, Result)]


def asking(dial: Dial, *commands: bytes, saved: Saved | None = None) -> list[Happening]:
    """Return what happens when *commands* are asked for in a session."""

    async def scenario() -> list[Happening]:
        async with Session(dial, saved) as session:
            return await session.ask(*commands)

    return in_loop(scenario())


async def until(session: Session, condition: Callable[[list[Any]], object]) -> list[Any]:
    """Take what happens until *condition* holds of it all."""
    happened: list[Any] = []
    while not condition(happened):
        happened += await session.next()
    return happened


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


# Bad networks.


def test_over_a_bad_network_everything_happens_once_and_in_order(server: RunningServer) -> None:
    bob = server.tcp()
    bob.ask(b"1 Bob")
    heard: list[bytes] = []

    async def scenario() -> list[Any]:
        with Proxy(server.port, BAD, seed=7) as proxy:
            async with Session(dialling("udp", proxy.port)) as alice:
                happened = await alice.ask(b"1 Alice")
                for number in range(15):
                    heard.extend(bob.ask(b"2 b%d" % number).splitlines())
                    happened += await alice.ask(b"2 a%d" % number)
                happened += await alice.ask(b"5")
            assert proxy.counts["lost"] > 10
            assert proxy.counts["repeated"]
            assert proxy.counts["reordered"]
            return happened

    happened = in_loop(scenario())
    assert words(happened) == ["done"] * 17
    assert lines(happened) == [f"Bob: b{number}" for number in range(15)]
    heard += bob.ask(b"5").splitlines()
    assert heard == [b"Alice has joined", *(b"Alice: a%d" % number for number in range(15))]


def test_a_session_survives_that_the_server_sees_it_at_another_address(
    server: RunningServer,
) -> None:
    async def scenario() -> None:
        with Proxy(server.port, GOOD) as proxy:
            async with Session(dialling("udp", proxy.port)) as alice:
                await alice.ask(b"1 Alice")
                for number in range(3):
                    proxy.move()
                    assert words(await alice.ask(b"2 %d" % number)) == ["done"]

    in_loop(scenario())
    assert server.udp().ask(b"1 alice") == b"Illegal request"


def test_a_session_tries_another_socket_when_its_own_leads_nowhere(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redial, "MOVE_MILLISECONDS", 300)

    async def scenario() -> None:
        with Proxy(server.port, GOOD) as proxy:
            async with Session(dialling("udp", proxy.port)) as alice:
                await alice.ask(b"1 Alice")
                proxy.strand()
                assert words(await alice.ask(b"2 hi")) == ["done"]

    in_loop(scenario())


def test_who_listens_over_a_link_that_was_down_is_told_everything(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HOLD_SECONDS", 1)
    monkeypatch.setattr(patience, "HOLD_SECONDS", 1)
    monkeypatch.setattr(redial, "MOVE_MILLISECONDS", 300)
    bob = server.tcp()
    bob.ask(b"1 Bob")

    async def scenario() -> None:
        with Proxy(server.port, GOOD) as proxy:
            async with Session(dialling("udp", proxy.port)) as alice:
                await alice.ask(b"1 Alice")
                alice.follow()
                bob.ask(b"2 one")
                assert lines(await until(alice, lines)) == ["Bob: one"]
                proxy.down = True
                bob.ask(b"2 two")
                happened = await until(alice, bool)
                assert isinstance(happened[-1], Silent)
                proxy.strand()
                proxy.down = False
                assert lines(await until(alice, lines)) == ["Bob: two"]

    in_loop(scenario())


def test_a_connection_that_breaks_is_made_again(tmp_path: Path) -> None:
    journal = ["--journal", str(tmp_path / "chat.journal")]
    port = free_port()

    async def scenario() -> None:
        async with Session(dialling("tcp", port)) as alice:
            with serving(*journal, str(port)) as first:
                await alice.ask(b"1 Alice", b"2 one")
                alice.follow()
                await alice.ask(b"5")
                first.program.process.kill()
                first.program.wait()
                alice.submit(b"2 two")
                await until(alice, lambda happened: any(isinstance(h, Silent) for h in happened))
            with serving(*journal, str(port)) as second:
                assert words(await until(alice, words)) == ["done"]
                bob = second.udp()
                assert bob.ask(b"1 Bob") == b"Alice"
                assert lines(await until(alice, lines)) == ["Bob has joined"]

    in_loop(scenario())


def test_a_connection_that_is_not_needed_is_not_made_again(server: RunningServer) -> None:
    dialled: list[Connection] = []

    async def dial() -> Connection:
        dialled.append(await transports.load("tcp").connect("127.0.0.1", server.port))
        return dialled[-1]

    async def scenario() -> None:
        async with Session(dial) as alice:
            await alice.ask(b"1 Alice")
            await dialled[0].close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await alice.next()
            assert len(dialled) == 1
            assert words(await alice.ask(b"2 hi")) == ["done"]
            assert len(dialled) == 2

    in_loop(scenario())


# Servers that are not there, or not as they should be.


def test_a_server_that_is_not_there_is_noticed() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        for transport in ("udp", "tcp"):
            with pytest.raises(ConnectionRefusedError):
                asking(dialling(transport, port))


def test_of_several_addresses_the_one_that_answers_is_used(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object) -> list[tuple[int, tuple[str, int]]]:
        return [(socket.AF_INET, ("127.0.0.1", port)) for port in (closed, server.port)]

    monkeypatch.setattr("groupchat.transports.udp.resolve", resolve)
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        closed = held.getsockname()[1]
    assert words(asking(dialling("udp", 0), b"1 Alice")) == ["done"]


def test_that_there_is_no_answer_is_told_every_second() -> None:
    async def scenario() -> list[Any]:
        with socket.socket(type=socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            async with Session(dialling("udp", silent.getsockname()[1])) as alice:
                return await until(alice, lambda happened: len(happened) == 2)

    first, second = in_loop(scenario())
    assert first.seconds >= 2
    assert second.seconds >= first.seconds + 0.9


class Scripted:
    """A TCP server: for each connection, *answers* yields what it says to each line."""

    def __init__(self, *answers: Iterator[bytes | Reply]) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for answers in self._answers:
            peer, _ = self._listener.accept()
            with peer, peer.makefile("rb") as stream, contextlib.suppress(OSError):
                for request in stream:
                    self.requests.append(request)
                    answer = next(answers, None)
                    if answer is None:
                        break
                    if not isinstance(answer, bytes):
                        answer = answered(request, answer) + b"\n\n"
                    peer.sendall(answer)
        self._listener.close()


OPENED = Opened(TOKEN)


def test_a_connection_that_owes_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redial, "ANSWER_MILLISECONDS", 100)
    answer = Answer(1, ("done",), Mark(0), Mark(0), 0)
    server = Scripted(iter([OPENED, b""]), iter([answer]))

    assert words(asking(dialling("tcp", server.port), b"5")) == ["done"]
    assert server.requests[1] == server.requests[2]


def test_a_server_that_ends_every_connection_is_given_up() -> None:
    server = Scripted(*(iter([]) for _ in range(9)))
    with pytest.raises(ConnectionResetError):
        asking(dialling("tcp", server.port))


def test_a_reply_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MAX_REPLY_BYTES", 1_000_000)
    long = b"x" * 99 + b"\n"
    server = Scripted(*(iter([long * 30_000]) for _ in range(9)))
    with pytest.raises(ConnectionAbortedError, match="too long a reply"):
        asking(dialling("tcp", server.port))


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


def test_a_server_that_has_become_a_plain_one_is_noticed() -> None:
    refusal = b"Illegal request\n\n"
    server = Scripted(iter([refusal]))
    saved = Saved(TOKEN, 7, 20, joined=True)

    async def scenario() -> None:
        async with Session(dialling("tcp", server.port), saved) as alice:
            assert await alice.ask() == [NoSessions()]
            with pytest.raises(ConnectionError, match="the session is over"):
                await alice.next()

    in_loop(scenario())


def test_a_session_that_the_server_does_not_know_is_over(server: RunningServer) -> None:
    saved = Saved(TOKEN, 7, 0, joined=True, commands=(b"2 hi",))

    async def scenario() -> list[Any]:
        async with Session(dialling("udp", server.port), saved) as alice:
            return [happening async for happening in alice]

    assert in_loop(scenario()) == [Lost((b"2 hi",))]


class Narrow:
    """A connection that carries short messages alone."""

    lossy = True

    async def send(self, _: bytes) -> None:
        raise ValueError("too long")

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def close(self) -> None:
        pass


def test_a_transport_that_cannot_carry_a_session_has_none() -> None:
    async def dial() -> Connection:
        return Narrow()

    assert asking(dial) == [NoSessions()]
