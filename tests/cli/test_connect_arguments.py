"""``groupchat connect``: how the server is named, and what is said about a name that is wrong."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

import groupchat
from groupchat import transports
from groupchat.cli import main
from tests.cli.scripted import tells
from tests.processes import DEADLINE, Member, RunningServer, run, saw_alice_come_and_leave, serving
from tests.transports.recorder import IPV6


@pytest.mark.parametrize(
    "arguments",
    [
        ["127.0.0.1", "{port}"],
        ["127.0.0.1:{port}"],
        ["--transport", "tcp", "localhost:{port}"],
        ["localhost", "{port}"],
        ["--transport", "udp", "127.0.0.1", "{port}"],
        ["--transport", "tcp", "127.0.0.1", "{port}"],
        ["127.0.0.1", "{port}", "--transport", "tcp"],
        ["udp://127.0.0.1:{port}"],
        ["tcp://127.0.0.1:{port}"],
        ["TCP://localhost:{port}/"],
    ],
    ids=" ".join,
)
def test_a_server_can_be_named_in_many_ways(
    server: RunningServer, watcher: Member, arguments: list[str]
) -> None:
    filled = [argument.format(port=server.port) for argument in arguments]
    done = run("connect", *filled, stdin=b"1 Alice\n4\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    assert saw_alice_come_and_leave(watcher)


@IPV6
@pytest.mark.parametrize(
    "arguments",
    [
        ["::1", "{port}"],
        ["[::1]", "{port}"],
        ["[::1]:{port}"],
        ["udp://[::1]:{port}"],
        ["tcp://[::1]:{port}"],
    ],
    ids=" ".join,
)
def test_a_server_can_be_named_by_its_ipv6_address(arguments: list[str]) -> None:
    with serving("0", host="::1") as server:
        filled = [argument.format(port=server.port) for argument in arguments]
        done = run("connect", "--plain", *filled, stdin=b"1 Alice\n6\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"Illegal request\n", b"", 0)
        server.program.err.until(r"Alice joined \((udp|tcp) \[::1\]:\d+")
        server.program.err.until("Alice left")


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        (["localhost"], "udp://localhost:12345"),
        (["localhost", "80"], "udp://localhost:80"),
        (["::1"], "udp://[::1]:12345"),
        (["--transport", "tcp", "::1"], "tcp://[::1]:12345"),
        (["udp://localhost"], "udp://localhost:12345"),
        (["udp://[::1]"], "udp://[::1]:12345"),
        (["quic://localhost:80/"], "quic://localhost:80"),
    ],
)
def test_what_is_not_said_has_a_default(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], server: str
) -> None:
    """In this process, so that nobody need listen on the default port."""
    names: list[str] = []
    connect = AsyncMock(side_effect=OSError("no answer"))

    def load(name: str) -> object:
        names.append(name)
        return SimpleNamespace(connect=connect)

    monkeypatch.setattr(transports, "load", load)
    done = CliRunner().invoke(main, ["connect", *arguments])
    assert done.exit_code == 1
    assert tells(done.output, server, "no answer")
    name, _, rest = server.partition("://")
    host, _, port = rest.rpartition(":")
    assert names == [name]
    connect.assert_awaited_once_with(host.strip("[]"), int(port))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Missing argument 'HOST|URL'"),
        (["udp://"], "is not like 127.0.0.1:12345"),
        (["udp://:12345"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:http"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:65536"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:0"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:-1"], "is not like 127.0.0.1:12345"),
        (["udp://[::1"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:1/room"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:1?name=Alice"], "is not like 127.0.0.1:12345"),
        (["udp://localhost:1#Alice"], "is not like 127.0.0.1:12345"),
        (["udp://user@localhost:1"], "is not like 127.0.0.1:12345"),
        (["localhost:http"], "is not like 127.0.0.1:12345"),
        (["localhost:0"], "is not like 127.0.0.1:12345"),
        (["[::1"], "is not like 127.0.0.1:12345"),
        (["localhost:1", "1"], "HOST says the port"),
        (["12345"], "12345 is a port, and HOST is missing. For this machine: 127.0.0.1"),
        ([""], "HOST is empty"),
        ([" "], "HOST is empty"),
        (["--as", "Alice", "--plain", "localhost"], "leave out --plain"),
        (["--as", "Alice", "--new", "localhost"], "say one of them"),
        (["--timeout", "nan", "localhost"], "'nan' is not a number"),
        (["udp://localhost:1", "1"], "the URL says it all"),
        (["--plain", "--follow", "localhost"], "leave out --plain"),
        (["--plain", "--new", "localhost"], "leave out --plain"),
        (["--timeout", "0", "localhost"], "0.0 is not in the range"),
        (["--timeout", "soon", "localhost"], "'soon' is not a valid number."),
        (["--transport", "udp", "udp://localhost:1"], "the URL says it all"),
        (["smoke://localhost:1"], "Invalid value for HOST|URL: no transport 'smoke' is "),
        (["--transport", "smoke", "localhost"], "Invalid value for --transport: no transport "),
        (["localhost", "0"], "0 is not in the range"),
        (["localhost", "65536"], "65536 is not in the range"),
        (["localhost", "http"], "'http' is not a valid port."),
        (["localhost", "1", "2"], "Got unexpected extra argument"),
    ],
)
def test_a_bad_option_is_one_clear_line(arguments: list[str], what: str) -> None:
    done = CliRunner().invoke(main, ["connect", *arguments])
    assert done.exit_code == 2
    usage, _, blank, line = done.output.splitlines()
    assert usage.startswith("Usage: ")
    assert blank == ""
    assert what in line


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 64 + ".invalid"])
def test_an_unknown_host_is_one_clear_line(host: str, transport: str) -> None:
    done = run("connect", "--transport", transport, host, "1")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr.decode() == f"Error: {transport}://{host}:1: no such host.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other words for it")
@pytest.mark.parametrize("mode", ["--new", "--plain"])
def test_an_address_that_is_not_for_us_is_one_clear_line(mode: str) -> None:
    done = run("connect", mode, "255.255.255.255", "9", stdin=b"5\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr.decode().splitlines() == [
        "Not sent: 1 line: 5",
        "Error: udp://255.255.255.255:9: this machine lets nobody send there.",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["connect", "--help"]])
def test_help_that_cannot_be_written_is_one_clear_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "groupchat", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.stderr, done.returncode) == (
        b"Error: the output cannot be written: No space left on device\n",
        1,
    )


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="there it is another variable")
@pytest.mark.parametrize("empty", ["", "somewhere"])
def test_nothing_is_kept_in_the_folder_one_happens_to_be_in(
    server: RunningServer, sessions: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    here = sessions.parent.parent
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(Path(groupchat.__file__).parent.parent))
    monkeypatch.setenv("XDG_CONFIG_HOME", empty)
    run("connect", "127.0.0.1", str(server.port), stdin=b"1 Alice\n")
    assert [path.name for path in here.iterdir()] == [".config"]
    assert len(list((here / ".config" / "groupchat" / "sessions").glob("*.json"))) == 1
