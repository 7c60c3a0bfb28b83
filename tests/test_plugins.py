"""Transports from other packages: the example is installed as such a package, and chats."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from groupchat import transports
from tests.processes import Program, RunningServer

EXAMPLE = Path(__file__).parent.parent / "examples" / "groupchat-netstring"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install the example where this environment is not changed; return where that is."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *options, str(EXAMPLE)], check=True)
    return str(target)


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


def test_bytes_that_are_no_netstring_end_that_connection_alone(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", installed + os.pathsep + os.environ.get("PYTHONPATH", ""))
    with Program("serve", "--transport", "netstring", "0") as program:
        port = int(program.out.until(r"^Listening on netstring 127\.0\.0\.1:(\d+)$")[1])
        with socket.create_connection(("127.0.0.1", port), 30) as bad:
            bad.sendall(b"GET / HTTP/1.1\r\n")
            assert bad.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port), 30) as good:
            good.sendall(b"7:1 Alice,1:6,")
            answer = b""
            while not answer.endswith(b"request,"):
                answer += good.recv(100)
            assert answer == b"0:,15:Illegal request,"


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
