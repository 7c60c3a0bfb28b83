"""Servers that do what no server of ours does: the client must stay harmless and alive."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from groupchat.core.plain import NOT_STORED
from groupchat.core.sessions.replies import Answer, Opened, Refusal, Who
from groupchat.core.sessions.requests import Ask, Open, decode_request
from groupchat.core.sessions.wire import Mark
from tests.cli.scripted import ScriptedServer, Terminal
from tests.client.keyed import answered
from tests.client.memory import MEASURED_CONNECT, MOST_KILOBYTES
from tests.processes import DEADLINE, run
from tests.transports.recorder import POSIX

TOKEN = "0123456789abcdef" * 2
EVIL = b"\x1b[2J\x07\x9b1m\x00\r\x7f"

Says = Callable[[Ask], Answer]


@contextlib.contextmanager
def session_server(says: Says) -> Iterator[ScriptedServer]:
    """A server that gives everybody a session, and answers what *says* returns."""

    def answer(request: bytes, _: object) -> list[bytes]:
        message = decode_request(request)
        if isinstance(message, Open):
            return [answered(request, Opened(TOKEN))]
        assert isinstance(message, Ask)
        return [answered(request, says(message))]

    with ScriptedServer(answer) as server:
        yield server


def answering(ask: Ask, **options: Any) -> Answer:  # noqa: ANN401
    stop = options.pop("stop", ask.mark.position)
    words = options.pop("words", ("done",) * len(ask.commands))
    return Answer(ask.number, words, ask.mark, Mark(stop), stop, tries=ask.tries, **options)


def line(text: bytes, position: int = 0) -> bytes:
    return b"%d 5 s %b\n" % (position, text)


@POSIX
def test_no_control_character_reaches_a_terminal() -> None:
    def says(ask: Ask) -> Answer:
        if ask.who is not None:
            return answering(ask, who=Who(0, 1), names=("\x1b[31mBob",))
        return answering(ask, stop=1, body=line(b"Bob: " + EVIL + b"\ttab"))

    with (
        session_server(says) as server,
        Terminal("connect", "127.0.0.1", str(server.port)) as terminal,
    ):
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until("\ufffd[31mBob\r\n> ".encode())
        terminal.type(b"5\r")
        shown = terminal.until(b"\r\n> ").decode()
        assert "Bob: \ufffd[2J\ufffd\ufffd1m\ufffd\ufffd\ufffd\ttab\r\n" in shown
        terminal.type(b"4\r")
        assert terminal.wait() == 0
        assert b"\x1b[" not in terminal.screen


def test_no_control_character_reaches_people_by_standard_error() -> None:
    with ScriptedServer(
        lambda request, _: [
            answered(request, Refusal("\x1b[2J")) if request.startswith(b"@") else b""
        ]
    ) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n")
    assert done.stderr.decode() == "The server gives no session (\ufffd[2J); going on without.\n"


def test_a_pipe_gets_the_bytes_that_the_server_sent() -> None:
    with session_server(lambda ask: answering(ask, stop=1, body=line(EVIL))) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n")
    assert done.stdout == EVIL + b"\n"


def test_what_could_not_be_stored_is_said_as_by_the_plain_protocol() -> None:
    stored = False

    def says(ask: Ask) -> Answer:
        nonlocal stored
        words = ("done" if stored else "not-stored",) * len(ask.commands)
        stored = ask.commands[:1] == (b"4",)
        return answering(ask, words=words)

    with session_server(says) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"2 hi\n4\n4\n6\n")
    assert (done.stdout, done.returncode) == ((NOT_STORED + b"\n") * 2, 0)


def test_a_reason_that_is_new_to_us_is_a_refusal() -> None:
    with session_server(
        lambda ask: answering(ask, words=("too-sunny",) * len(ask.commands))
    ) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"2 hi\n")
    assert done.stdout == b"Illegal request\n"


def test_a_join_can_be_called_done_though_its_name_is_none() -> None:
    with session_server(lambda ask: answering(ask, who=Who(0, 0))) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"1 caf\xe9\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


@pytest.mark.parametrize(
    "body",
    [b"nonsense\n", b"0 5 s\n", b"x" * 30_000, b"0 5 s " + b"x" * 60_000 + b"\n"],
    ids=["no stamp", "no line", "no end", "long"],
)
def test_nonsense_in_an_answer_is_no_answer_and_no_crash(body: bytes) -> None:
    def says(ask: Ask) -> Answer:
        return answering(ask, stop=1, body=body) if ask.tries < 3 else answering(ask)

    with session_server(says) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n")
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout in (b"", b"x" * 60_000 + b"\n")


class Flood:
    """A TCP server that answers the first request with *piece*, again and again, so many times."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._piece = piece
        self._times = times
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                with peer, contextlib.suppress(OSError):
                    while request := peer.recv(65_536):
                        if request.startswith(b"@"):
                            peer.sendall(b"Illegal request\n\n")
                            continue
                        for _ in range(self._times):
                            peer.sendall(self._piece)
                        peer.sendall(b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize(
    ("piece", "times", "complete"),
    [
        (b"x" * 999 + b"\n", 100_000, True),
        (b"x\n" * 1_000, 5_000, True),
        (b"x" * 1_000, 100_000, False),
    ],
    ids=["lines", "short lines", "no line"],
)
@pytest.mark.parametrize("mode", ["--new", "--plain"])
def test_a_server_cannot_make_a_client_keep_much(
    piece: bytes, times: int, complete: bool, mode: str
) -> None:
    """The refused session shows that what follows is by the plain protocol."""
    with contextlib.closing(Flood(piece, times)) as server:
        done = subprocess.run(
            [*MEASURED_CONNECT, mode, f"tcp://127.0.0.1:{server.port}"],
            input=b"5\n",
            capture_output=True,
            timeout=2 * DEADLINE,
            check=False,
        )
    *said, kilobytes = done.stderr.decode().splitlines()
    assert int(kilobytes) < MOST_KILOBYTES
    if complete:
        assert said == []
        assert done.stdout == piece * times
    else:
        assert said[0] == "Nobody knows what came of: 5"
        assert "too long a line" in said[-1]
