"""``groupchat serve``: what people see of a server, as a process."""

import errno
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, cast
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

from groupchat import __version__, transports
from groupchat.cli import main
from groupchat.cli.parameters import retention
from groupchat.core import ILLEGAL_REQUEST
from groupchat.journal.retention import Retention
from groupchat.journal.transcript import Transcript
from groupchat.transports import Connection, Listener, Service, Transport
from tests.processes import (
    DEADLINE,
    Program,
    RunningServer,
    TcpMember,
    UdpMember,
    eventually,
    run,
    serving,
)
from tests.transports.recorder import POSIX
from tests.world import Recorder


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


# What it says.


def test_the_banner_says_where_it_listens_and_how_to_join(server: RunningServer) -> None:
    port = server.port
    server.stop()
    assert [*server.program.out.seen, *server.program.out.rest()] == [
        f"groupchat {__version__}, one group, kept in memory. Ctrl-C ends it.",
        f"Listening on udp 127.0.0.1:{port}",
        f"Listening on tcp 127.0.0.1:{port}",
        "",
        "Join from another terminal:",
        f"  python -m groupchat connect 127.0.0.1 {port}",
        f"  python -m groupchat connect --transport tcp 127.0.0.1 {port}",
        "Only this machine can join. To let the network in: --host 0.0.0.0",
        "",
        "Stopped.",
    ]


def test_the_banner_can_be_printed_whatever_the_journal_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    with serving("--journal", str(tmp_path / "\udcff\n"), "0") as server:
        kept = server.program.out.seen[0]
    assert kept.endswith(f"kept in {tmp_path}/\\udcff\\n. Ctrl-C ends it.")


def test_a_server_that_lets_the_network_in_says_how_to_join_from_here() -> None:
    with serving("0", host="0.0.0.0") as server:
        server.stop()
        banner = "\n".join([*server.program.out.seen, *server.program.out.rest()])
    assert f"Listening on udp 0.0.0.0:{server.port}\n" in banner
    assert f" connect 127.0.0.1 {server.port}\n" in banner
    assert "From other machines, with this machine's address in place of 127.0.0.1." in banner
    assert "Only this machine" not in banner


def test_the_log_tells_who_comes_and_goes_and_never_what_is_said(server: RunningServer) -> None:
    alice, bob = server.udp(), server.tcp()
    alice.ask(b"1 Alice")
    bob.ask(b"1 Zo\xc3\xab")
    alice.ask(b"2 a secret")
    bob.ask(b"5")
    bob.ask(b"3 Bob")
    bob.ask(b"4")
    alice.ask(b"2 another secret\x07")
    assert server.stop() == 0
    log = server.program.err.rest()
    times, lines = zip(*(line.split(" ", 1) for line in log), strict=True)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", time) for time in times)
    ports = [member.socket.getsockname()[1] for member in (alice, bob)]
    assert lines == (
        f"Alice joined (udp 127.0.0.1:{ports[0]}); members: 1",
        f"Zoë joined (tcp 127.0.0.1:{ports[1]} #1); members: 2",
        "Zoë is now called Bob",
        "Bob left; members: 1",
        f"refused udp 127.0.0.1:{ports[0]}: not a legal text",
    )


def test_who_closes_his_connection_is_logged_as_leaving(server: RunningServer) -> None:
    with TcpMember(server.port) as alice:
        alice.ask(b"1 Alice")
    server.program.err.until(r" Alice left; members: 0$")
    with TcpMember(server.port) as stranger:
        assert stranger.ask(b"5") == ILLEGAL_REQUEST
    server.udp().ask(b"1 Bob")
    server.program.err.until(r" Bob joined ")
    assert [line for line in server.program.err.seen if " left" in line] == [
        line for line in server.program.err.seen if "Alice left" in line
    ]


def test_refusals_fill_at_most_one_line_of_the_log_a_second(server: RunningServer) -> None:
    noisy = server.udp()
    begun = time.time()
    for _ in range(1_000):
        assert noisy.ask(b"secret") == ILLEGAL_REQUEST
    lasted = time.time() - begun
    assert server.stop() == 0
    assert 1 <= len(server.program.err.rest()) <= lasted + 1


@POSIX
def test_nobody_has_to_wait_for_whoever_reads_the_log() -> None:
    """A terminal that is paused, or a pipe whose other end hangs."""
    with subprocess.Popen(
        [sys.executable, "-m", "groupchat", "serve", "--no-limits", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        out, err = cast("IO[bytes]", server.stdout), cast("IO[bytes]", server.stderr)
        while not (line := out.readline()).startswith(b"Listening on tcp "):
            assert line
        lines: list[str] = []
        names = itertools.count(1)

        def read() -> None:
            lines.extend(line.decode().rstrip("\n") for line in err)

        def rename() -> None:
            assert alice.ask(b"3 Alice %d" % next(names)) == b""

        def is_up_to_date() -> bool:
            rename()
            return any("left out" in line for line in lines)

        with TcpMember(int(line.rpartition(b":")[2])) as alice:
            alice.ask(b"1 Alice 0")
            for _ in range(4_000):  # more than a pipe takes, and more than may wait
                rename()
            reader = threading.Thread(target=read)  # now somebody reads it again
            reader.start()
            eventually(is_up_to_date)
        eventually(lambda: lines[-1].endswith(" left; members: 0"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE) == 0
        reader.join()
    last = next(names) - 1
    _, *told = [re.sub("^[0-9:]{8} ", "", line) for line in lines]
    everything = [f"Alice {n} is now called Alice {n + 1}" for n in range(last)]
    everything.append(f"Alice {last} left; members: 0")
    (gap,) = (place for place, line in enumerate(told) if "left out" in line)
    after = told[gap + 1 :]
    left_out = len(everything) - gap - len(after)
    assert left_out > 100
    assert told[gap] == f"{left_out:,} lines of the log are left out here"
    assert told[:gap] == everything[:gap]
    assert after == everything[-len(after) :]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"7", "not a request"),
        (b"5", "not a member"),
        (b"1 a:b", "not a legal name"),
        (b"1 ALICE", "the name is in use"),
    ],
)
def test_the_log_says_why_something_was_refused(
    server: RunningServer, request_: bytes, reason: str
) -> None:
    assert server.tcp().ask(b"1 Alice") == b""
    assert server.udp().ask(request_) == ILLEGAL_REQUEST
    server.program.err.until(rf"refused udp 127\.0\.0\.1:\d+: {reason}$")


# What it listens on.


@pytest.mark.parametrize("own_first", [True, False])
def test_each_transport_can_have_a_port_of_its_own(own_first: bool) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    udp, tcp = ["--transport", "udp"], ["--transport", f"tcp:{own}"]
    with Program("serve", *(tcp + udp if own_first else udp + tcp), "0") as program:
        banner = "\n".join(iter(program.out.next, "Join from another terminal:"))
        assert f"Listening on tcp 127.0.0.1:{own}\n" in banner
        found = re.search(r"Listening on udp 127\.0\.0\.1:(\d+)\n", banner)
        assert found
        udp_port = int(found[1])
        joins = sorted([program.out.next(), program.out.next()])
        assert joins[0].endswith(f" connect --transport tcp 127.0.0.1 {own}")
        assert joins[1].endswith(f" connect 127.0.0.1 {udp_port}")
        with UdpMember(udp_port) as alice, TcpMember(own) as bob:
            assert alice.ask(b"1 Alice") == b""
            assert bob.ask(b"1 Bob") == b"Alice"
        program.process.send_signal(signal.SIGTERM)
        program.wait()


def test_one_transport_alone_can_be_served() -> None:
    with serving("--transport", "tcp", "0") as server:
        assert server.tcp().ask(b"1 Alice") == b""
        with UdpMember(server.port) as stranger, pytest.raises(ConnectionRefusedError):
            stranger.ask(b"1 Bob")


def test_port_0_is_any_free_one_and_the_same_for_all(server: RunningServer) -> None:
    assert server.port > 0
    assert server.udp().ask(b"1 Alice") == b""
    assert server.tcp().ask(b"1 Bob") == b"Alice"


@pytest.mark.usefixtures("signal_handlers")
def test_a_port_that_is_free_for_one_transport_alone_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can know which port the system will give, so a transport of ours picks it here."""
    picked: list[int] = []

    class Picky:
        async def listen(self, host: str, port: int, service: Service) -> Listener:
            if not port:
                port = taken if not picked else 0
            listener = await transports.load("udp").listen(host, port, service)
            picked.append(listener.port)
            return listener

        async def connect(self, host: str, port: int) -> Connection:
            raise NotImplementedError

    class Enough:
        async def listen(self, host: str, port: int, service: Service) -> Listener:
            listener = await load("tcp").listen(host, port, service)
            signal.raise_signal(signal.SIGTERM)
            return listener

        async def connect(self, host: str, port: int) -> Connection:
            raise NotImplementedError

    load = transports.load
    picky, enough = Picky(), Enough()
    with socket.create_server(("127.0.0.1", 0)) as rival:
        taken = rival.getsockname()[1]
        monkeypatch.setattr(
            transports, "load", {"udp": load("udp"), "picky": picky, "enough": enough}.__getitem__
        )
        done = CliRunner().invoke(
            main, ["serve", "--transport", "picky", "--transport", "enough", "0"]
        )
    assert done.exit_code == 0, done.output
    assert picked[0] == taken
    assert len(picked) == 2
    assert f"Listening on enough 127.0.0.1:{picked[1]}\n" in done.output


def test_an_address_that_is_neither_here_nor_everywhere_is_no_reason_for_advice() -> None:
    with serving("0", host="127.0.0.2") as server:
        server.stop()
        banner = "\n".join([*server.program.out.seen, *server.program.out.rest()])
    assert f" connect 127.0.0.2 {server.port}\n" in banner
    assert "machine" not in banner


# What it refuses to do.


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


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["65536"], "65536 is not in the range"),
        (["-5"], "No such option"),
        (["http"], "'http' is not a valid integer"),
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
    ],
)
def test_a_bad_option_is_one_clear_line(arguments: list[str], what: str) -> None:
    done = run("serve", *arguments)
    assert done.returncode == 2
    assert what in one_line(done)


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


def failing(error: Exception) -> Callable[[str], object]:
    """Return what loads a transport that cannot listen."""
    return lambda _: SimpleNamespace(listen=AsyncMock(side_effect=error))


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
    assert (done.stderr, done.returncode) == (b"Error: No space left on device\n", 1)


# How long it keeps what was said.

SECOND, DAY = 1_000, 24 * 3_600 * 1_000


@pytest.mark.parametrize(
    ("value", "milliseconds", "size"),
    [
        ("90s", 90 * SECOND, None),
        ("5min", 300 * SECOND, None),
        ("12h", DAY // 2, None),
        ("30d", 30 * DAY, None),
        ("30D", 30 * DAY, None),
        ("5KB", None, 5_000),
        ("500MB", None, 500_000_000),
        ("500mb", None, 500_000_000),
        ("2GB", None, 2_000_000_000),
        ("1TB", None, 10**12),
        ("30d,500MB", 30 * DAY, 500_000_000),
        ("2GB, 12h", DAY // 2, 2_000_000_000),
        ("007d", 7 * DAY, None),
    ],
)
def test_what_to_keep_is_an_age_a_size_or_both(
    value: str, milliseconds: int | None, size: int | None
) -> None:
    assert retention(value) == Retention(milliseconds, size)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("", ""),
        ("30", "30"),
        ("d", "d"),
        ("30m", "30m"),  # minutes or months
        ("30x", "30x"),
        ("1.5GB", "1.5GB"),
        ("-1d", "-1d"),
        ("30 d", "30 d"),
        ("\u00b2d", "\u00b2d"),
        ("30d,", ""),
        ("30d,all", "all"),
        ("9999999999d", "9999999999d"),
    ],
)
def test_what_is_neither_is_one_clear_line(value: str, wrong: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--retain", value, "0"])
    assert done.exit_code == 2
    assert done.output.splitlines()[-1] == (
        "Error: Invalid value for '--retain': "
        f"{wrong!r} is neither an age (30d, 12h) nor a size (500MB)."
    )


def test_whoever_missed_what_is_not_kept_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "--retain", "1s", "0") as server:
        alice, bob, carol = server.udp(), server.udp(), server.tcp()
        alice.ask(b"1 Alice")
        bob.ask(b"1 Bob")
        carol.ask(b"1 Carol")
        alice.ask(b"2 old")
        alice.ask(b"2 older than a second soon")

        def has_gone() -> bool:
            with Transcript(path) as transcript:
                return transcript.let_go == 5

        eventually(has_gone)
        assert alice.ask(b"5") == b""  # she has missed nothing
        assert bob.ask(b"5") == b"(3 older events are not kept on this server)"
        assert carol.ask(b"5") == b"(2 older events are not kept on this server)"
        assert carol.ask(b"5") == b""
        carol.ask(b"2 new")
        assert alice.ask(b"5").splitlines()[-1] == b"Carol: new"


# How it ends.


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(server: RunningServer, number: signal.Signals) -> None:
    alice, bob = server.udp(), server.tcp()
    assert alice.ask(b"1 Alice") == b""
    assert bob.ask(b"1 Bob") == b"Alice"
    server.program.process.send_signal(number)
    assert server.program.wait() == 0
    assert server.program.out.rest()[-1] == "Stopped."
    assert bob.stream.read() == b""
    assert not [line for line in server.program.err.rest() if "Traceback" in line]


@pytest.mark.usefixtures("signal_handlers")
def test_before_it_stops_listening_it_sends_its_last_replies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the journal holds of a member by plain UDP, he has been told."""
    happened: list[object] = []

    class Late:
        """A transport by which something arrives just before the end."""

        port, addresses = 1, ("here",)

        async def listen(self, _: str, __: int, service: Service) -> "Late":
            peer = Recorder("late", datagram=65_507)
            peer.reply = happened.append  # type: ignore[assignment, method-assign]
            service.receive(b"1 Alice", peer)
            service.receive(b"2 Hi", peer)
            signal.raise_signal(signal.SIGTERM)
            return self

        async def close(self) -> None:
            happened.append("closed")

    monkeypatch.setattr(transports, "load", lambda _: Late())
    journal = str(tmp_path / "chat.journal")
    done = CliRunner().invoke(main, ["serve", "--transport", "late", "--journal", journal, "1"])
    assert done.exit_code == 0, done.output
    assert happened == [[], [], "closed"]


def test_its_port_is_free_again_at_once_though_connections_were_open() -> None:
    with serving() as first:
        assert first.tcp().ask(b"1 Alice") == b""
        assert first.stop() == 0
        with serving(str(first.port)) as second:
            assert second.port == first.port
            assert second.tcp().ask(b"1 Alice") == b""


# The command itself.


def test_the_help_shows_examples_and_the_version_is_told() -> None:
    helped = run("serve", "--help")
    assert helped.returncode == 0
    assert b"Examples:" in helped.stdout
    assert run("--version").stdout == f"groupchat, version {__version__}\n".encode()


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
