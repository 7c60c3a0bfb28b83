"""``groupchat connect`` in a pipe: what goes in is sent as it is, and only replies come out."""

import asyncio
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

from groupchat import transports
from groupchat.cli import main
from groupchat.core import MAX_TEXT_BYTES
from tests.processes import (
    Member,
    Program,
    RunningServer,
    news_until,
    run,
    saw_alice_come_and_leave,
)

MODES = pytest.mark.parametrize("mode", ["--new", "--plain"], ids=["session", "plain"])


@MODES
def test_a_pipe_gets_the_replies_and_nothing_else(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    done = run("connect", mode, "127.0.0.1", str(server.port), stdin=b"1 Alice\n5\n4\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    assert saw_alice_come_and_leave(watcher)


@MODES
def test_a_pipe_gets_every_reply_byte_for_byte(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    texts = ["tab\tand no-break\u00a0space", "👨\u200d👩\u200d👧", "x" * MAX_TEXT_BYTES]
    with Program("connect", mode, f"tcp://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        for text in texts:
            assert watcher.ask(f"2 {text}".encode()) in (b"", b"Alice has joined")
        program.type("5")
        assert [program.out.next() for _ in texts] == [f"Watcher: {text}" for text in texts]
        program.type("5")  # empty: no line at all
        program.type("6")
        assert program.out.next() == "Illegal request"
        program.type("4")
        assert program.out.rest() == []
        assert program.err.rest() == ["Not done: 6 (not a request)"] * (mode == "--new")
        assert program.wait() == 0


@MODES
@pytest.mark.parametrize(
    "piped",
    [
        b"1 Alice\n2 hi\n4",
        b"1 Alice\r\n2 hi\r\n4\r\n",
        b"\n1 Alice\n\n\r\n2 hi\n\n4\n",
        b"1 Alice\n2 hi\n4\n6\n",
    ],
    ids=["no last line end", "CRLF", "empty lines", "more after 4"],
)
def test_lines_may_end_in_any_way(
    server: RunningServer, watcher: Member, mode: str, piped: bytes
) -> None:
    done = run("connect", mode, "127.0.0.1", str(server.port), stdin=piped)
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    came = news_until(watcher, b"Alice has left the group")
    assert came == [b"Alice has joined", b"Alice: hi", b"Alice has left the group"]


@MODES
def test_whatever_is_piped_in_is_sent_as_it_is(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    piped = b"1 Alice\n2 caf\xe9\n\xff\xfe\n2 caf\xc3\xa9\n 5\n4\n"
    done = run("connect", mode, "127.0.0.1", str(server.port), stdin=piped)
    refusals = b"Illegal request\n" * 3
    assert (done.stdout, done.returncode) == (b"Watcher\n" + refusals, 0)
    told = ["Not done: 2 caf\ufffd (not a request)"] if mode == "--new" else []
    assert done.stderr.decode().splitlines() == told
    assert news_until(watcher, b"Alice has left the group")[1:-1] == ["Alice: café".encode()]


@MODES
def test_what_is_not_utf8_can_be_the_last_that_is_under_way(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    """The request to leave is asked alone."""
    piped = b"1 Alice\n2 caf\xe9\n4\n"
    done = run("connect", mode, "127.0.0.1", str(server.port), stdin=piped)
    assert (done.stdout, done.returncode) == (b"Watcher\nIllegal request\n", 0)
    told = ["Not done: 2 caf\ufffd (not a request)"] if mode == "--new" else []
    assert done.stderr.decode().splitlines() == told
    assert saw_alice_come_and_leave(watcher)


def test_a_line_that_the_transport_cannot_carry_is_told_and_skipped(
    server: RunningServer, watcher: Member
) -> None:
    piped = b"1 Alice\n2 " + b"x" * 70_000 + b"\n6\n"
    done = run("connect", "--plain", "127.0.0.1", str(server.port), stdin=piped)
    assert done.stdout == b"Watcher\nIllegal request\n"
    assert done.stderr == b"udp carries 65,507 bytes at the most\n"
    assert done.returncode == 0
    assert saw_alice_come_and_leave(watcher)


class Narrow:
    """A connection that carries one byte, and each as its own reply."""

    lossy = False

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._unanswered: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, request: bytes) -> None:
        if len(request) > 1:
            raise ValueError("too long for a narrow transport")
        self.requests.append(request)
        self._unanswered.put_nowait(request)

    async def receive(self) -> bytes:
        return await self._unanswered.get()

    async def close(self) -> None:
        self.requests.append(b"closed")


@pytest.mark.usefixtures("signal_handlers")
def test_a_transport_of_another_package_has_limits_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = Narrow()
    transport = SimpleNamespace(connect=AsyncMock(return_value=narrow))
    monkeypatch.setattr(transports, "load", lambda _: transport)
    done = CliRunner().invoke(main, ["connect", "narrow://x"], input="5\n2 hi\n6\n")
    assert (done.stdout, done.stderr) == ("5\n6\n", "too long for a narrow transport\n")
    assert done.exit_code == 0
    assert narrow.requests == [b"closed", b"5", b"6", b"closed"]  # the first was for a session


@MODES
def test_nothing_piped_in_is_nothing_asked(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    done = run("connect", mode, "127.0.0.1", str(server.port), stdin=b"")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
    assert watcher.ask(b"5") == b""


@MODES
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_who_never_got_in_does_not_leave(server: RunningServer, transport: str, mode: str) -> None:
    done = run("connect", mode, f"{transport}://127.0.0.1:{server.port}", stdin=b"5\n1 a:b\n")
    assert (done.stdout, done.returncode) == (b"Illegal request\n" * 2, 0)


def test_two_of_it_chat_over_two_transports(server: RunningServer) -> None:
    with (
        Program("connect", "--plain", f"udp://127.0.0.1:{server.port}") as alice,
        Program("connect", f"tcp://127.0.0.1:{server.port}") as bob,
    ):
        alice.type("1 Alice")
        server.program.err.until("Alice joined")
        bob.type("1 Bob")
        assert bob.out.next() == "Alice"
        alice.type("5")
        assert alice.out.next() == "Bob has joined"
        alice.type("3 Zoë")
        server.program.err.until("Alice is now called Zoë")
        bob.type("5")
        assert bob.out.next() == "Alice changed his name to Zoë"
        alice.stdin.close()
        assert alice.wait() == 0
        bob.type("5")
        assert bob.out.next() == "Zoë has left the group"
