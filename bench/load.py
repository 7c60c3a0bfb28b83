"""The load: a small C program that writes to a server and counts what its members get.

``load.c`` says what it does. In Python, to read what 100 members get would take longer than to
send it does, and so the figures would be the reader's.

How it was checked that they are not: the kernel tells for how long a thread has run, and for how
long it has waited for a processor (the first two numbers in ``/proc/PID/schedstat``). While
messages were delivered to 100 members, both together were 99 to 100 % of the time for ngIRCd and
for groupchat: they were never without work. The load slept for 20 to 50 % of it, although others
used the machine. For ngIRCd, which writes every message by itself, it took 0.8 times the CPU time
of the server; for groupchat and NATS, 0.2 times. What it took is printed with each figure.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import socket
from typing import Final

from attrs import frozen

from bench.experiment import Skipped
from bench.room import MARKER

__all__ = ["Bursts", "Load", "compiled"]

SOURCE: Final = Path(__file__).with_name("load.c")


@frozen
class Bursts:
    """What came of some bursts of messages."""

    each_ns: Sequence[int]
    """How long each took, in nanoseconds, until the last member had its last message."""
    cpu_ns: int
    """CPU time that the load itself has used."""
    bytes_read: int


class Load:
    """The compiled program."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(
        self,
        writer: socket,
        receivers: Sequence[socket],
        request: bytes,
        messages: int,
        *,
        bursts: int = 1,
        expected: int | None = None,
        pause_us: int = 0,
    ) -> Bursts:
        """Have *writer* send *request* so many times, and wait until each of *receivers* has all.

        Args:
            writer: who writes; if there are no *receivers*, he is the one.
            receivers: who is told.
            request: what says one message.
            messages: in a burst.
            bursts: how often to do it.
            expected: how many messages each gets for that; None for as many as are written.
            pause_us: microseconds between two bursts.
        """
        connections = [member.fileno() for member in (writer, *receivers)]
        numbers = (bursts, messages, messages if expected is None else expected, pause_us)
        done = subprocess.run(
            [self._program, MARKER, *map(str, (*numbers, *connections))],
            input=request,
            capture_output=True,
            pass_fds=connections,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode().strip())
        *each, cpu, count = map(int, done.stdout.split())
        return Bursts(each, cpu, count)


@contextlib.contextmanager
def compiled() -> Iterator[Load]:
    """Compile the program, for as long as the block runs.

    Raises:
        Skipped: there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Skipped("there is no C compiler: apt-get install gcc libc6-dev")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "load"
        subprocess.run([compiler, "-O3", "-o", program, SOURCE], check=True)
        yield Load(program)
