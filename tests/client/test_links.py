"""A session over links that lose, move and break."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from groupchat import transports
from groupchat.client import patience, redial, session
from groupchat.client.patience import Silent
from groupchat.client.session import Session
from groupchat.transports import Connection
from tests.client.loops import in_loop
from tests.client.proxy import BAD, GOOD, Proxy
from tests.client.sessions import dialling, lines, until, words
from tests.ports import free_port
from tests.processes import RunningServer, serving


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
