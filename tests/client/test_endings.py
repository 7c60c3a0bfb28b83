"""``groupchat connect`` by a session: how it ends when something is wrong, and what is left."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.scripted import CONNECT, KEPT, tells, wait_until_idle
from tests.client.memory import MEASURED_CONNECT, MOST_KILOBYTES
from tests.client.proxy import GOOD, Proxy
from tests.ports import free_port
from tests.processes import DEADLINE, Member, Program, RunningServer, eventually, run
from tests.transports.recorder import POSIX

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
NO_ANSWER_YET = "no answer yet, still trying"
NOT_DONE = "Not done: 6 (not a request)"


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
        done = run("connect", "--timeout", "0.1", url, stdin=piped, silent=True)
    assert (done.stdout, done.returncode) == (b"", 1)
    still_trying, *unsent, last = done.stderr.decode().splitlines()
    assert still_trying == NO_ANSWER_YET
    assert unsent == ["Not sent: 1 line: 1 Alice"] * bool(piped)
    assert tells(last, url, "no answer")
    assert list(sessions.iterdir()) == []


class Babbler:
    """A server, by UDP and TCP, that says something to whatever comes, and on and on by TCP."""

    def __init__(self) -> None:
        self.port = free_port()
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._by_udp, daemon=True).start()
        threading.Thread(target=self._by_tcp, daemon=True).start()

    def _by_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                _, address = self._udp.recvfrom(65_536)
                self._udp.sendto(b"hello", address)

    def _by_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._tcp.accept()
                with peer, contextlib.suppress(OSError):
                    while True:
                        peer.sendall(b"hello\n\n")

    def close(self) -> None:
        self._udp.close()
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()


@TRANSPORTS
def test_a_server_that_says_anything_but_an_answer_is_given_up(transport: str) -> None:
    with contextlib.closing(Babbler()) as babbler:
        url = f"{transport}://127.0.0.1:{babbler.port}"
        done = run("connect", "--timeout", "0.1", url, stdin=b"1 Alice\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert tells(done.stderr.decode().splitlines()[-1], url, "no answer")


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
        done = run("connect", "--timeout", "0.1", url, stdin=b"5\n", silent=True)
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
            assert program.err.next() == NOT_DONE
        proxy.down = True
        program.type("2 hi")
        assert program.err.next() == NO_ANSWER_YET
        program.process.send_signal(number)
        assert program.wait() == 0
        assert program.err.rest() == [
            "Not answered yet, and to be asked again the next time: 2 hi"
            if where == "in the middle"
            else "Not sent: 1 line: 2 hi (and whatever follows in the input)"
        ]


def test_what_was_not_sent_when_the_server_stopped_is_told(server: RunningServer) -> None:
    url = f"udp://127.0.0.1:{server.port}"
    with Program("connect", "--timeout", "0.1", url) as program:
        program.type("1 Alice")
        server.program.err.until("Alice joined")
        server.stop()
        program.type("\n".join(f"2 {number}" for number in range(100)))
        program.stdin.close()
        assert program.wait() == KEPT
        still_trying, *kept, unsent, _ = program.err.rest()
    assert still_trying == NO_ANSWER_YET
    assert kept == [
        f"Not answered yet, and to be asked again the next time: 2 {number}"
        for number in range(len(kept))
    ]
    assert unsent == (f"Not sent: {100 - len(kept)} lines, of which the first is: 2 {len(kept)}")


# When the session cannot be kept.


def connect_without_room(*arguments: str, piped: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run ``connect`` where no file can have a byte."""
    import resource

    return subprocess.run(
        [*CONNECT, *arguments],
        input=piped,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        env={name: text for name, text in os.environ.items() if not name.startswith("COV")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


@POSIX
def test_a_session_that_cannot_be_kept_up_is_left_as_it_is(
    server: RunningServer, watcher: Member, sessions: Path
) -> None:
    connect(server, b"1 Alice\n")
    watcher.ask(b"2 hi")
    url = f"udp://127.0.0.1:{server.port}"
    (path,) = sessions.glob("*.json")
    before = path.read_bytes()
    done = connect_without_room(url, piped=b"5\n2 ho\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr.decode().splitlines() == [
        "Not sent: 2 lines, of which the first is: 5",
        f"Error: {url}: your session as Alice cannot be kept up in {path}: File too large.",
    ]
    assert path.read_bytes() == before
    assert {found.suffix for found in sessions.iterdir()} == {".json", ".lock"}
    assert connect(server, b"5\n") == ["Watcher: hi"]
    assert watcher.ask(b"5") == b""


@POSIX
def test_a_new_session_that_cannot_be_kept_is_one_line_and_leaves(
    server: RunningServer, watcher: Member, sessions: Path
) -> None:
    url = f"udp://127.0.0.1:{server.port}"
    done = connect_without_room(url, piped=b"1 Alice\n2 hi\n")
    assert (done.stdout, done.returncode) == (b"Watcher\n", 0)
    path = sessions / f"127.0.0.1_{server.port}.1.json"
    assert done.stderr.decode() == f"Your session cannot be kept in {path}: File too large.\n"
    assert watcher.ask(b"5") == b"Alice has joined\nAlice: hi\nAlice has left the group"
    assert list(sessions.iterdir()) == []


def test_a_session_that_cannot_be_locked_is_not_silently_left_aside(
    server: RunningServer, sessions: Path
) -> None:
    connect(server, b"1 Alice\n")
    (path,) = sessions.glob("*.json")
    path.with_suffix(".lock").unlink()
    path.with_suffix(".lock").mkdir()
    done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    unsent, last = done.stderr.decode().splitlines()
    assert unsent == "Not sent: 1 line: 5"
    assert f"your session as Alice cannot be kept up in {path}: " in last


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
        "Error: the output cannot be written: No space left on device",
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
        code = process.wait(DEADLINE)
        assert process.stderr
        assert code == 0
        assert process.stderr.read() in (b"", b"Nobody knows what came of: 5\n")
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
def test_an_input_that_does_not_block_is_waited_for(server: RunningServer) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(
        [*CONNECT, "127.0.0.1", str(server.port)],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        for _ in range(2):
            wait_until_idle(process)
            os.write(writing, b"6\n")
            assert process.stdout.readline() == b"Illegal request\n"
        os.close(writing)
        _, err = process.communicate(timeout=DEADLINE)
        assert (err.decode(), process.returncode) == (f"{NOT_DONE}\n", 0)
    os.close(reading)


@POSIX
def test_of_what_is_piped_in_little_is_read_ahead(server: RunningServer) -> None:
    with (
        Proxy(server.port, GOOD) as proxy,
        Program("connect", f"udp://127.0.0.1:{proxy.port}") as program,
    ):
        program.type("6")
        assert program.out.next() == "Illegal request"
        assert program.err.next() == NOT_DONE
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
    assert (done.stdout, done.returncode) == (b"Illegal request\n" * 3, 0)
    assert done.stderr.decode() == f"Not done: 2 {'x' * 97}… (not a request)\n"


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
    assert int(err.splitlines()[-1]) < MOST_KILOBYTES
