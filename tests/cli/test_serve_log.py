"""``groupchat serve``: what its log tells people, and what it never tells."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import IO, cast

import pytest

from groupchat.core import ILLEGAL_REQUEST
from tests.processes import DEADLINE, RunningServer, TcpMember, eventually
from tests.transports.recorder import POSIX


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
