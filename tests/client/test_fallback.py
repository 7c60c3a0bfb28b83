"""``groupchat connect`` beside servers that know no sessions, or know them no more."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.client.plain_conversation import PLAIN_HELP
from groupchat.core.sessions.replies import Refusal
from tests.cli.scripted import KEPT, ScriptedServer, SeedServer, Terminal
from tests.client.keyed import answered
from tests.ports import free_port
from tests.processes import Program, eventually, run, serving
from tests.test_transcript import TRANSCRIPT
from tests.transports.recorder import POSIX


class PlainTcpServer:
    """A server of the seed's kind, by TCP: a connection is a member."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[bytes] = []
        self._answer = SeedServer()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, address = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer, address), daemon=True).start()

    def _serve(self, peer: socket.socket, address: tuple[str, int]) -> None:
        with peer, peer.makefile("rb") as stream, contextlib.suppress(OSError):
            for line in stream:
                request = line.rstrip(b"\r\n")
                with self._lock:
                    (reply,) = self._answer(request, address)
                    self.requests.append(request)
                peer.sendall(reply + b"\n\n" if reply else b"\n")


Plain = ScriptedServer | PlainTcpServer


@pytest.fixture(params=["udp", "tcp"])
def plain(request: pytest.FixtureRequest) -> Iterator[tuple[str, Plain]]:
    """The URL of a server that knows no sessions, and the server."""
    if request.param == "udp":
        with ScriptedServer(SeedServer()) as server:
            yield f"udp://127.0.0.1:{server.port}", server
        return
    with contextlib.closing(PlainTcpServer()) as tcp:
        yield f"tcp://127.0.0.1:{tcp.port}", tcp


def asked(server: Plain) -> list[bytes]:
    """Return what *server* was asked, but for sessions."""
    return [request for request in server.requests if not request.startswith(b"@")]


def test_the_plain_protocol_is_spoken_and_nothing_is_said_about_it(
    plain: tuple[str, Plain], sessions: Path
) -> None:
    url, server = plain
    with contextlib.ExitStack() as stack:
        answered: list[bytes] = []
        programs = {
            name: stack.enter_context(Program("connect", url))
            for name in ("Alice", "Bob", "Charlie")
        }
        for exchange in TRANSCRIPT:
            program = programs[exchange.member]
            program.type(exchange.request.decode())
            for line in filter(None, exchange.reply.split(b"\n")):
                assert program.out.next() == line.decode()
            answered.append(exchange.request)
            eventually(lambda: asked(server) == answered)
        assert programs["Charlie"].wait() == 0
        for name in ("Alice", "Bob"):
            programs[name].stdin.close()
            assert programs[name].wait() == 0
        assert [line for program in programs.values() for line in program.err.rest()] == []
    eventually(lambda: asked(server) == [*answered, b"4", b"4"])
    assert list(sessions.iterdir()) == []


def test_with_plain_no_session_is_asked_for(plain: tuple[str, Plain]) -> None:
    url, server = plain
    done = run("connect", "--plain", url, stdin=b"1 Alice\n6\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"Illegal request\n", b"", 0)
    eventually(lambda: server.requests == [b"1 Alice", b"6", b"4"])


def test_the_words_of_sessions_are_sent_as_they_are(plain: tuple[str, Plain]) -> None:
    url, server = plain
    done = run("connect", url, stdin=b"1 Alice\nwho\nseen\n4\n")
    assert (done.stdout, done.stderr) == (b"Illegal request\n" * 2, b"")
    eventually(lambda: asked(server) == [b"1 Alice", b"who", b"seen", b"4"])


def test_there_is_nothing_to_follow_without_a_session(plain: tuple[str, Plain]) -> None:
    url, _ = plain
    done = run("connect", "--follow", url)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"Error: {url}: it knows no sessions, and without one there is nothing to follow.\n"
    )


def test_refusals_that_come_late_are_not_taken_for_answers() -> None:
    """Each refusal of a session comes twice, as over a network that doubles datagrams."""
    seed = SeedServer()
    with ScriptedServer(
        lambda request, sender: seed(request, sender) * (2 if request.startswith(b"@") else 1)
    ) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"1 Alice\n2 hi\n5\n4\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


def test_a_session_is_kept_while_another_server_is_there(sessions: Path) -> None:
    port = free_port()
    journal = ["--journal", str(sessions.parent.parent / "chat.journal"), str(port)]
    url = f"tcp://127.0.0.1:{port}"
    with serving(*journal):
        run("connect", url, stdin=b"1 Alice\n")
    with contextlib.closing(PlainTcpServer(port)):
        done = run("connect", url, stdin=b"5\n1 Bob\n")
        assert done.stdout == b"Illegal request\n"
        assert done.stderr.decode() == (
            "The server knows no sessions now; going on without the one it had.\n"
        )
    with serving(*journal):
        done = run("connect", url, stdin=b"4\n")
        assert done.stderr == b"Resuming as Alice; nothing new.\n"


def test_a_server_that_knows_no_sessions_any_more_is_one_line_and_the_end() -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    with serving(str(port), "--journal", ":memory:") as first, Program("connect", url) as program:
        program.type("1 Alice")
        first.program.err.until("Alice joined")
        assert first.stop() == 0
        with contextlib.closing(PlainTcpServer(port)):
            program.type("2 hi")
            assert program.wait() == KEPT
            assert program.err.rest()[-1] == (
                f"Error: {url}: the server knows no sessions any more."
            )


def test_a_server_of_another_version_gives_no_session() -> None:
    refusal = Refusal("other version")

    def answer(request: bytes, _: object) -> list[bytes]:
        return [answered(request, refusal) if request.startswith(b"@") else b"plain"]

    with ScriptedServer(answer) as server:
        done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n")
        assert done.stdout == b"plain\n"
        assert done.stderr == b"The server gives no session (other version); going on without.\n"


@POSIX
def test_at_a_terminal_the_help_is_that_of_the_plain_protocol(plain: tuple[str, Plain]) -> None:
    url, _ = plain
    with Terminal("connect", url) as terminal:
        assert terminal.until(b"> ").decode() == (
            "The server keeps no sessions, so Ctrl-C and Ctrl-D leave the group.\r\n"
            f"{PLAIN_HELP}\r\n> "
        )
        terminal.type(b"6\r")
        assert terminal.until(b"> ") == b"6\r\nIllegal request\r\n> "
        terminal.type(b"4\r")
        assert terminal.wait() == 0
