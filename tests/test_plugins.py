"""Transports from other packages: the example is installed as such a package, and chats."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from groupchat import transports
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import NONCE
from tests.processes import DEADLINE, Program, RunningServer, serving

EXAMPLE = Path(__file__).parent.parent / "examples" / "groupchat-netstring"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install the example where this environment is not changed; return where that is."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *options, str(EXAMPLE)], check=True)
    return str(target)


@pytest.mark.usefixtures("sessions")
def test_a_transport_from_another_package_chats_with_the_built_in_ones(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", installed + os.pathsep + os.environ.get("PYTHONPATH", ""))
    options = ["--transport", "netstring", "--transport", "udp"]
    with Program("serve", *options, "0") as program:
        port = int(program.out.until(r"^Listening on netstring 127\.0\.0\.1:(\d+)$")[1])
        server = RunningServer(program, port)
        with (
            server.sockets,
            Program("connect", "--transport", "netstring", "127.0.0.1", str(port)) as alice,
        ):
            bob = server.udp()
            alice.type("1 Alice")
            program.err.until("Alice joined")
            assert bob.ask(b"1 Bob") == b"Alice"
            assert bob.ask(b"2 Hi Alice") == b""
            alice.type("5")
            assert [alice.out.next(), alice.out.next()] == ["Bob has joined", "Bob: Hi Alice"]
            alice.type("2 Hi Bob")
            alice.type("4")
            assert alice.wait() == 0
            assert bob.ask(b"5") == b"Alice: Hi Bob\nAlice has left the group"


class Netstrings:
    """A raw connection that speaks netstrings."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.stream = self.socket.makefile("rb")

    def send(self, *requests: bytes) -> None:
        self.socket.sendall(b"".join(b"%d:%b," % (len(each), each) for each in requests))

    def receive(self) -> bytes:
        digits = b""
        while (character := self.stream.read(1)) != b":":
            assert character.isdigit()
            digits += character
        payload = self.stream.read(int(digits) + 1)
        assert payload.endswith(b",")
        return payload[:-1]

    def ask(self, request: bytes) -> bytes:
        self.send(request)
        return self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()


@pytest.fixture
def netstring(installed: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """A server that listens by netstrings alone, and lets in two connections from one address."""
    monkeypatch.setenv("PYTHONPATH", installed + os.pathsep + os.environ.get("PYTHONPATH", ""))
    options = ["--max-connections-a-source", "2", "--transport", "netstring"]
    with serving(*options, "0") as server:
        yield server


def test_bytes_that_are_no_netstring_end_that_connection_alone(netstring: RunningServer) -> None:
    with Netstrings(netstring.port) as bad, Netstrings(netstring.port) as good:
        bad.socket.sendall(b"GET / HTTP/1.1\r\n")
        assert bad.stream.read() == b""
        assert good.ask(b"1 Alice") == b""
        assert good.ask(b"6") == b"Illegal request"


def test_replies_come_in_order_also_after_the_last_request(netstring: RunningServer) -> None:
    with Netstrings(netstring.port) as alice:
        alice.send(b"1 Alice", b"junk", *[b"2 hi"] * 50, b"6")
        alice.socket.shutdown(socket.SHUT_WR)
        replies = [alice.receive() for _ in range(53)]
        assert replies == [b"", b"Illegal request", *[b""] * 50, b"Illegal request"]
        assert alice.stream.read() == b""


def test_who_is_not_let_in_is_closed(netstring: RunningServer) -> None:
    with Netstrings(netstring.port) as one, Netstrings(netstring.port) as two:
        assert one.ask(b"1 One") == b""
        assert two.ask(b"1 Two") == b"One"
        with Netstrings(netstring.port) as three:
            assert three.stream.read() == b""
        assert one.ask(b"5") == b"Two has joined"


def test_a_session_waits_is_overtaken_and_follows_by_netstrings(netstring: RunningServer) -> None:
    def told(data: bytes) -> tuple[int, list[bytes]]:
        answer = decode_reply(data, token)
        assert isinstance(answer, Answer)
        return answer.number, [line.split(b" ", 3)[3] for line in answer.body.splitlines()]

    with Netstrings(netstring.port) as alice, Netstrings(netstring.port) as bob:
        opened = decode_reply(alice.ask(Open("main", NONCE).encode()), NONCE)
        assert isinstance(opened, Opened)
        token = opened.token
        assert told(alice.ask(Ask(token, 1, Mark(0), (b"1 Alice",)).encode())) == (1, [])
        alice.send(Ask(token, 2, Mark(1), wait=60).encode())
        assert bob.ask(b"1 Bob") == b"Alice"
        assert told(alice.receive()) == (2, [b"Bob has joined"])
        alice.send(Ask(token, 3, Mark(2), wait=60).encode())
        assert told(alice.ask(Ask(token, 4, Mark(2), follow=True).encode())) == (4, [])
        for text in (b"one", b"two"):
            assert bob.ask(b"2 " + text) == b""
            assert told(alice.receive()) == (0, [b"Bob: " + text])


def test_the_built_in_transports_are_found_by_entry_point() -> None:
    assert {"tcp", "udp"} <= set(transports.installed())
    assert type(transports.load("udp")).__name__ == "UDP"


def test_an_unknown_transport_is_named_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"no transport 'pigeon' is installed, only .*tcp.*udp"):
        transports.load("pigeon")


def test_a_transport_whose_dependency_is_missing_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package is its entry points in a folder beside it."""
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[groupchat.transports]\nbroken = broken:Broken\n")
    (tmp_path / "broken.py").write_text("import a_package_that_is_missing\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Program("serve", "--transport", "broken", "0") as program:
        assert program.wait() == 1
        (line,) = program.err.rest()
        assert line.startswith("Error: the transport 'broken' cannot be loaded: No module named")
