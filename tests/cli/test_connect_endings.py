"""``groupchat connect --plain``: however it ends, the member leaves the group."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.scripted import (
    CONNECT,
    NO_ANSWER_YET,
    Address,
    ScriptedServer,
    SeedServer,
    wait_until_idle,
)
from tests.processes import (
    ALICE_CAME_AND_LEFT,
    DEADLINE,
    Member,
    Program,
    RunningServer,
    eventually,
    run,
    saw_alice_come_and_leave,
)
from tests.transports.recorder import POSIX


def test_it_ends_after_4_though_more_could_be_typed(server: RunningServer, watcher: Member) -> None:
    with Program("connect", "--plain", "127.0.0.1", str(server.port)) as program:
        program.type("1 Alice")
        program.type("4")
        assert program.wait() == 0
    assert watcher.ask(b"5").split(b"\n") == ALICE_CAME_AND_LEFT


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_signal_ends_it_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str, number: signal.Signals
) -> None:
    with Program("connect", "--plain", f"{transport}://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        wait_until_idle(program.process)
        program.process.send_signal(number)
        assert program.wait() == 0
        assert program.out.rest() == program.err.rest() == []
    assert saw_alice_come_and_leave(watcher)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_though_an_answer_is_awaited(number: signal.Signals) -> None:
    """The server took the request ``2 hi``, and does not answer it."""
    with (
        ScriptedServer(lambda request, _: [] if request == b"2 hi" else [b""]) as silent,
        Program("connect", "--plain", "127.0.0.1", str(silent.port)) as program,
    ):
        program.type("1 Alice")
        program.type("2 hi")
        eventually(lambda: b"2 hi" in silent.requests)
        program.process.send_signal(number)
        assert program.wait() == 0
        assert not [line for line in program.err.rest() if "Traceback" in line]
    assert silent.requests[0] == b"1 Alice"
    assert silent.requests[-1] == b"4"


@POSIX
def test_a_signal_while_the_join_is_not_yet_answered_leaves_as_well() -> None:
    """The server may have carried out what it has not answered."""
    with (
        ScriptedServer(lambda request, _: [] if request == b"1 Alice" else [b""]) as silent,
        Program("connect", "--plain", "127.0.0.1", str(silent.port)) as program,
    ):
        program.type("1 Alice")
        eventually(lambda: b"1 Alice" in silent.requests)
        program.process.send_signal(signal.SIGINT)
        assert program.wait() == 0
    assert silent.requests[-1] == b"4"


def test_who_joined_though_the_reply_was_lost_leaves_in_the_end() -> None:
    """The first reply is lost; to the server, the repeated request comes from a member."""
    seed = SeedServer()

    def lose_the_first(request: bytes, sender: Address) -> list[bytes]:
        replies = seed(request, sender)
        return replies if lossy.requests else []

    with ScriptedServer(lose_the_first) as lossy:
        done = run("connect", "--plain", "127.0.0.1", str(lossy.port), stdin=b"1 Alice\n")
    assert done.stdout == b"Illegal request\n"
    assert done.stderr.decode().splitlines() == [NO_ANSWER_YET]
    assert done.returncode == 0
    assert lossy.requests == [b"1 Alice", b"1 Alice", b"4"]


@POSIX
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("read_before", [True, False], ids=["later", "from the beginning"])
def test_it_ends_quietly_and_leaves_when_nobody_reads_its_output(
    server: RunningServer, watcher: Member, transport: str, read_before: bool
) -> None:
    """As in ``groupchat connect ... | head -n 1``."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*CONNECT, "--plain", f"{transport}://127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        assert process.stdin
        if read_before:
            process.stdin.write(b"1 Alice\n")
            process.stdin.flush()
            assert os.read(reading, 100) == b"Watcher\n"
            os.close(reading)
            _, err = process.communicate(b"6\n6\n6\n", DEADLINE)
        else:
            os.close(reading)
            _, err = process.communicate(b"1 Alice\n6\n6\n", DEADLINE)
    assert (err, process.returncode) == (b"", 0)
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_it_ends_on_ctrl_c_though_it_was_started_in_the_background(
    server: RunningServer, watcher: Member
) -> None:
    """Shells have their background jobs ignore SIGINT."""
    command = f"trap '' INT; exec {' '.join(CONNECT)} --plain 127.0.0.1 {server.port}"
    with subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"1 Alice\n")
        assert process.stdout.readline() == b"Watcher\n"
        wait_until_idle(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    assert saw_alice_come_and_leave(watcher)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_full_disk_is_one_clear_line_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CONNECT, "--plain", f"{transport}://127.0.0.1:{server.port}"],
            input=b"1 Alice\n5\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert (
        done.stderr
        == b"Not sent: 1 line: 5\nError: the output cannot be written: No space left on device\n"
    )
    assert saw_alice_come_and_leave(watcher)


@POSIX
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_input_or_output_there_is_one_clear_line(
    server: RunningServer, closed: str
) -> None:
    command = f"{' '.join(CONNECT)} --plain 127.0.0.1 {server.port} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=DEADLINE, check=False)
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr == b"Error: standard input and standard output must not be closed\n"
