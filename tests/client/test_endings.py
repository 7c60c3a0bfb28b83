"""``groupchat connect`` by a session: how it ends when something is wrong, and what is left."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groupchat.cli.connect import KEPT
from tests.cli.scripted import CONNECT, tells, wait_until_idle
from tests.client.memory import MEASURED_CONNECT, MOST_KILOBYTES
from tests.client.proxy import GOOD, Proxy
from tests.processes import DEADLINE, Member, Program, RunningServer, eventually, run
from tests.transports.recorder import POSIX

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
NO_ANSWER_YET = "no answer yet, still trying"


def connect(server: RunningServer, piped: bytes) -> list[str]:
    done = run("connect", "127.0.0.1", str(server.port), stdin=piped)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


# When nobody answers.


@pytest.mark.parametrize("piped", [b"", b"1 Alice\n"])
def test_a_server_that_never_answers_is_given_up(piped: bytes, sessions: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{silent.getsockname()[1]}"
        done = run("connect", "--timeout", "0.1", url, stdin=piped)
    assert (done.stdout, done.returncode) == (b"", 1)
    still_trying, *unsent, last = done.stderr.decode().splitlines()
    assert still_trying == NO_ANSWER_YET
    assert unsent == ["Not sent: 1 line: 1 Alice"] * bool(piped)
    assert tells(last, url, "no answer")
    assert list(sessions.iterdir()) == []


@TRANSPORTS
def test_a_closed_port_is_one_clear_line(transport: str, sessions: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"{transport}://127.0.0.1:{held.getsockname()[1]}"
        done = run("connect", url, stdin=b"1 Alice\n5\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    unsent, last = done.stderr.decode().splitlines()
    assert unsent == "Not sent: 2 lines, of which the first is: 1 Alice"
    assert tells(last, url, "connection refused")
    assert list(sessions.iterdir()) == []


def test_a_pipe_gives_up_in_the_end_and_the_next_goes_on(
    server: RunningServer, watcher: Member
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        url = f"udp://127.0.0.1:{proxy.port}"
        with Program("connect", "--timeout", "0.1", url) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            proxy.down = True
            program.type("2 hi")
            assert program.wait() == KEPT
            *told, last = program.err.rest()
            assert told == [
                NO_ANSWER_YET,
                "Not answered yet, and to be asked again the next time: 2 hi",
            ]
            assert tells(last, url, "no answer")
        # Nobody is there, so what is known is kept.
        done = run("connect", "--timeout", "0.1", url, stdin=b"5\n")
        assert done.returncode == KEPT
        assert done.stderr.decode().splitlines()[1:-1] == [
            "Not answered yet, and to be asked again the next time: 2 hi",
            "Not sent: 1 line: 5",
        ]
        proxy.down = False
        done = run("connect", url, stdin=b"2 ho\n")
        assert done.stderr == b"Resuming as Alice; nothing new.\nDone, from before: 2 hi\n"
    assert watcher.ask(b"5") == b"Alice has joined\nAlice: hi\nAlice: ho"


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["at the beginning", "in the middle"])
def test_a_signal_ends_it_though_an_answer_is_awaited(
    server: RunningServer, number: signal.Signals, where: str
) -> None:
    with (
        Proxy(server.port, GOOD) as proxy,
        Program("connect", f"udp://127.0.0.1:{proxy.port}") as program,
    ):
        if where == "in the middle":
            program.type("6")
            assert program.out.next() == "Illegal request"
        proxy.down = True
        program.type("2 hi")
        assert program.err.next() == NO_ANSWER_YET
        began = time.monotonic()
        program.process.send_signal(number)
        assert program.wait() == 0
        assert time.monotonic() - began < DEADLINE / 2
        assert program.err.rest() == [
            "Not answered yet, and to be asked again the next time: 2 hi"
            if where == "in the middle"
            else "Not sent: 1 line: 2 hi (and whatever follows in the input)"
        ]


# When what it shows cannot be written.


@POSIX
@TRANSPORTS
def test_it_ends_quietly_when_nobody_reads_its_output_and_the_next_shows_it(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    """As in ``groupchat connect ... | head -n 1``."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*CONNECT, f"{transport}://127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        assert process.stdin
        process.stdin.write(b"1 Alice\n")
        process.stdin.flush()
        assert os.read(reading, 100) == b"Watcher\n"
        os.close(reading)
        watcher.ask(b"2 hi")
        _, err = process.communicate(b"5\n6\n6\n", DEADLINE)
    assert (err, process.returncode) == (b"", 0)
    assert connect(server, b"5\n") == ["Watcher: hi"]


@FULL
@TRANSPORTS
def test_a_full_disk_is_one_clear_line_and_the_next_shows_it(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    connect(server, b"1 Alice\n")
    watcher.ask(b"2 hi")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CONNECT, f"{transport}://127.0.0.1:{server.port}"],
            input=b"5\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; 1 new.",
        "Error: No space left on device",
    ]
    assert connect(server, b"5\n") == ["Watcher: hi"]


@POSIX
@pytest.mark.parametrize("mode", ["--new", "--plain"])
def test_ctrl_c_ends_it_though_nobody_reads_what_it_writes(
    server: RunningServer, watcher: Member, mode: str
) -> None:
    with subprocess.Popen(
        [*CONNECT, mode, f"tcp://127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"1 Alice\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"Watcher\n"
        for number in range(100):
            watcher.ask(b"2 %d %b" % (number, b"x" * 3_900))
        process.stdin.write(b"5\n")
        process.stdin.flush()
        # It writes until the pipe is full.
        eventually(lambda: _unread(process.stdout.fileno()) > 60_000)  # type: ignore[union-attr]
        wait_until_idle(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        process.stdout.close()
    if mode == "--new":
        assert len(connect(server, b"5\n")) == 100


def _unread(descriptor: int) -> int:
    """Return how many bytes wait in a pipe."""
    import array
    import fcntl
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


@POSIX
def test_without_standard_error_it_works_as_well(server: RunningServer) -> None:
    command = f"printf '1 Alice\\n6\\n' | {' '.join(CONNECT)} 127.0.0.1 {server.port} 2>&-"
    for _ in range(2):  # the second time, there would be something to say
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, timeout=DEADLINE, check=False
        )
        assert (done.stdout, done.stderr, done.returncode) == (b"Illegal request\n", b"", 0)


# What is piped in.


@POSIX
def test_of_what_is_piped_in_little_is_read_ahead(server: RunningServer) -> None:
    with (
        Proxy(server.port, GOOD) as proxy,
        Program("connect", f"udp://127.0.0.1:{proxy.port}") as program,
    ):
        program.type("6")
        assert program.out.next() == "Illegal request"
        proxy.down = True
        os.set_blocking(program.stdin.fileno(), False)
        written = 0
        with contextlib.suppress(BlockingIOError):
            while written < 10_000_000:
                written += os.write(program.stdin.fileno(), b"2 x\n" * 10_000)
        assert program.err.next() == NO_ANSWER_YET  # as long as it has had time to read
        with contextlib.suppress(BlockingIOError):
            while written < 10_000_000:
                written += os.write(program.stdin.fileno(), b"2 x\n" * 10_000)
        assert written < 1_000_000
        os.set_blocking(program.stdin.fileno(), True)
        program.process.kill()


def test_a_line_of_any_length_is_one_request(server: RunningServer) -> None:
    piped = b"1 Alice\n2 " + b"x" * 1_000_000 + b"\n6\n2 hi\n" + b"y" * 300_000
    done = run("connect", f"tcp://127.0.0.1:{server.port}", stdin=piped)
    assert done.stdout == b"Illegal request\n" * 3
    assert (done.stderr, done.returncode) == (b"", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
@pytest.mark.parametrize("mode", ["--new", "--plain"])
def test_a_long_conversation_takes_little_memory(server: RunningServer, mode: str) -> None:
    watcher = server.tcp()
    watcher.ask(b"1 Watcher")
    with subprocess.Popen(
        [*MEASURED_CONNECT, mode, f"tcp://127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"1 Alice\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"Watcher\n"
        text = b"x" * 3_998
        for _ in range(100):
            watcher.socket.sendall((b"2 " + text + b"\n") * 100)
            for _ in range(100):
                watcher.receive()
        out, err = process.communicate(b"5\n" + b"6\n" * 5_000 + b"4\n", DEADLINE)
    assert out == (b"Watcher: " + text + b"\n") * 10_000 + b"Illegal request\n" * 5_000
    assert int(err) < MOST_KILOBYTES
