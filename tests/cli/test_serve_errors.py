"""``groupchat serve``: what it cannot do is one clear line, with what to type next."""

import errno
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

from groupchat import __version__, transports
from groupchat.cli import main
from groupchat.transports import Transport
from tests.processes import DEADLINE, RunningServer, run


def one_line(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the one line that *done* ended with, after click's reminder of the usage if any."""
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    if lines[0].startswith("Usage: "):
        assert done.returncode == 2
        del lines[:3]
    else:
        assert done.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="there it is found otherwise")
@pytest.mark.parametrize(
    "command", [["serve"], ["connect", "127.0.0.1", "9"], ["journal", "check"]], ids=" ".join
)
def test_who_has_no_home_is_told_what_to_do(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd  # not on Windows

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    done = CliRunner().invoke(main, command)
    told = "this user has no home directory to keep things in; set the variable HOME to a folder"
    assert (done.exit_code, done.output) == (1, f"Error: {told}\n")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that is in use by UDP and by TCP."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        while True:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            stream.listen()
            datagrams.bind(("127.0.0.1", port))
            break
        yield port


def failing(error: Exception) -> Callable[[str], object]:
    """Return what loads a transport that cannot listen."""
    return lambda _: SimpleNamespace(listen=AsyncMock(side_effect=error))


# What it cannot listen on.


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_port_in_use_is_one_clear_line(taken_port: int, transport: str) -> None:
    done = run("serve", "--transport", transport, str(taken_port))
    assert one_line(done) == (
        f"Error: port {taken_port} ({transport}) is in use; is a server running already? "
        f"Choose another port: python -m groupchat serve {taken_port % 65_535 + 1}"
    )


def test_a_second_server_does_not_take_the_port_of_the_first(server: RunningServer) -> None:
    assert "is in use" in one_line(run("serve", str(server.port)))
    assert server.udp().ask(b"1 Alice") == b""


def test_if_one_transport_cannot_listen_none_does(taken_port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = run("serve", "--transport", "udp", "--transport", f"tcp:{taken_port}", str(port))
    assert f"port {taken_port} (tcp) is in use" in one_line(done)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a..b", "a" * 64 + ".invalid"])
def test_an_unknown_host_is_one_clear_line(host: str) -> None:
    done = run("serve", "--host", host, "0")
    assert done.returncode == 1
    assert one_line(done) == (
        f"Error: no address is known for the host {host!r}. For this machine: --host 127.0.0.1"
    )


def test_the_address_of_another_machine_is_one_clear_line() -> None:
    # 192.0.2.0/24 is for examples (RFC 5737): no machine has an address of it.
    assert one_line(run("serve", "--host", "192.0.2.1", "0")) == (
        "Error: this machine does not have the address 192.0.2.1. For any it has: --host 0.0.0.0"
    )


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "port 80 (failing) is not allowed for you; ports below 1024 are often reserved. ",
        ),
        (
            OSError(errno.ENOBUFS, "No buffer space available"),
            "cannot listen at 127.0.0.1, port 80 (failing): No buffer space available",
        ),
        (
            OSError("the modem is off"),
            "cannot listen at 127.0.0.1, port 80 (failing): the modem is off",
        ),
    ],
    ids=["privileged port", "no buffers", "no number"],
)
def test_what_else_keeps_it_from_listening_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    """In this process: whoever runs the tests may be allowed every port."""
    monkeypatch.setattr(transports, "load", failing(error))
    done = CliRunner().invoke(main, ["serve", "--transport", "failing", "80"])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {line}")
    assert "Traceback" not in done.output
    assert done.output.count("\n") == 1


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    ("argv0", "on_the_path", "shown"),
    [
        ("/usr/bin/groupchat", True, "groupchat"),
        ("/opt/venv/bin/groupchat", False, "/opt/venv/bin/groupchat"),
        ("/src/groupchat/__main__.py", True, "python -m groupchat"),
    ],
)
def test_the_command_to_type_next_is_one_that_works(
    monkeypatch: pytest.MonkeyPatch, argv0: str, on_the_path: bool, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [argv0])
    monkeypatch.setattr("shutil.which", lambda _: argv0 if on_the_path else None)
    monkeypatch.setattr(transports, "load", failing(OSError(errno.EADDRINUSE, "in use")))
    done = CliRunner().invoke(main, ["serve", "5000"])
    assert done.exit_code == 1
    assert done.output.endswith(f"Choose another port: {shown} serve 5001\n")


# What else is wrong.


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["65536"], "65536 is not in the range"),
        (["-5"], "No such option"),
        (["http"], "'http' is not a valid port."),
        (["1", "2"], "Got unexpected extra argument"),
        (["--transport", "udp:65536"], "'65536' is not a port (0 to 65535)."),
        (["--transport", "udp:"], "'' is not a port (0 to 65535)."),
        (["--transport", "udp:-1"], "'-1' is not a port (0 to 65535)."),
        (["--transport", "udp:²"], "'²' is not a port (0 to 65535)."),
        (["--transport", "tpc"], "no transport 'tpc' is installed, only "),
        (["--transport", ""], "no transport '' is installed, only "),
        (["--transport", "udp:99999999999999999999"], "is not a port (0 to 65535)."),
        (["--transport", "udp", "--transport", "udp"], "the same transport is there twice"),
        (["--port", "80"], "No such option"),
        (["--journal", ""], "Invalid value for --journal: it is empty."),
        (["--max-members", "many"], "'many' is not a valid number."),
    ],
)
def test_a_bad_option_is_one_clear_line(arguments: list[str], what: str) -> None:
    done = run("serve", *arguments)
    assert done.returncode == 2
    assert what in one_line(done)


def test_a_transport_that_lacks_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: str) -> Transport:
        raise ImportError("No module named 'websockets'")

    monkeypatch.setattr(transports, "load", load)
    for command in (["serve", "--transport", "ws"], ["connect", "--transport", "ws", "localhost"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1
        assert done.output == (
            "Error: the transport 'ws' cannot be loaded: No module named 'websockets'\n"
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_clear_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "groupchat", "serve", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.stderr, done.returncode) == (
        b"Error: the output cannot be written: No space left on device\n",
        1,
    )


def test_the_help_shows_examples_and_the_version_is_told() -> None:
    helped = run("serve", "--help")
    assert helped.returncode == 0
    assert b"Examples:" in helped.stdout
    assert run("--version").stdout == f"groupchat, version {__version__}\n".encode()
