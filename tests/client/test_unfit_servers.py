"""A session and servers that are not there, or not as they should be."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from groupchat.client import link, redial
from groupchat.client.session import Session
from groupchat.core.sessions.happenings import Lost, NoSessions
from groupchat.core.sessions.replies import Answer, Opened, Reply
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.wire import Mark
from groupchat.transports import Connection
from tests.client.keyed import answered
from tests.client.loops import in_loop
from tests.client.sessions import asking, dialling, until, words
from tests.processes import RunningServer

TOKEN = "0123456789abcdef" * 2


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
