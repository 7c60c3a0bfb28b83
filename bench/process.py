"""A process under measurement, and what the kernel says it has used.

What lives here: how a server is started, found and ended, and its CPU time and memory. What must
not: what is asked of it.

Theory. The figures are CPU time, in user and system mode, of the server's process alone, so
neither the load generator nor whatever else the machine does is in them, but for what it does to
the caches. The kernel counts a thread's time when it stops running; so it is read when all threads
have come to rest, which also leaves nothing of one round to be paid for in the next.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

from attrs import frozen

__all__ = ["LOOPBACK", "Process", "free_port", "groupchat", "started", "started_at"]

LOOPBACK: Final = "127.0.0.1"

_REST_SECONDS: Final = 0.001
"""A server that uses no CPU time for so long is at rest. While it has work, it waits for nothing
but a disk, and that is on its way when the last request has been answered."""

_PATIENCE_SECONDS: Final = 60.0
"""For longer nothing is waited for: to start, to rest, to answer."""

_TRY_AGAIN_SECONDS: Final = 0.05

_LISTENING: Final = re.compile(r"Listening on \w+ .*:(\d+)$")
"""What each server under measurement prints when it can be asked."""


@frozen
class Process:
    """A server that runs."""

    pid: int
    port: int
    _connections: contextlib.ExitStack
    """To be closed when it ends."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return LOOPBACK, self.port

    def connect(self) -> socket.socket:
        """Return a new connection to it by TCP, which is closed when it ends.

        Raises:
            OSError: it does not listen.
        """
        connection = socket.create_connection(self.address, _PATIENCE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connections.enter_context(connection)

    def cpu_ns(self) -> int:
        """Wait until it rests, and return the CPU time in nanoseconds that it has used so far.

        Raises:
            RuntimeError: it does not come to rest.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        used = -1
        while used != (now := self._cpu_ns()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {self.pid} does not come to rest")
            used = now
            time.sleep(_REST_SECONDS)  # this is what is measured: that in this time it does nothing
        return used

    def _cpu_ns(self) -> int:
        threads = Path("/proc", str(self.pid), "task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)

    def resident_bytes(self) -> int:
        """Return how many bytes of memory it has in use."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Have :meth:`peak_bytes` count from now on."""
        Path("/proc", str(self.pid), "clear_refs").write_text("5")  # proc(5)

    def peak_bytes(self) -> int:
        """Return the most bytes of memory that it has had in use since :meth:`forget_peak`."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        status = Path("/proc", str(self.pid), "status").read_text()
        return int(cast("re.Match[str]", re.search(rf"{key}:\s+(\d+) kB", status))[1]) * 1_024


@contextlib.contextmanager
def started(command: Sequence[str | Path]) -> Iterator[Process]:
    """Run the server *command*, which says where it listens, for as long as the block does. That
    begins when it listens.

    At the end the server is killed: what it would write down on being told to stop is nobody's.

    Raises:
        RuntimeError: it ended instead.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with (
        contextlib.ExitStack() as connections,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as process,
    ):
        try:
            for line in cast("IO[str]", process.stdout):
                if found := _LISTENING.match(line):
                    break
            else:
                raise RuntimeError(f"it did not start: {' '.join(map(str, command))}")
            yield Process(process.pid, int(found[1]), connections)
        finally:
            process.kill()


@contextlib.contextmanager
def started_at(port: int, command: Sequence[str | Path]) -> Iterator[Process]:
    """The same with a server that says nothing, and will listen by TCP at *port*.

    Raises:
        RuntimeError: it ended instead, or does not listen.
    """
    quiet = subprocess.DEVNULL
    with (
        contextlib.ExitStack() as connections,
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process,
    ):
        try:
            server = Process(process.pid, port, connections)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    server.connect().close()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it does not listen: {' '.join(map(str, command))}")
                time.sleep(_TRY_AGAIN_SECONDS)  # nothing but a connection tells that it listens
            yield server
        finally:
            process.kill()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def groupchat(
    journal: str | Path = ":memory:", transport: str = "udp", *limits: str
) -> list[str | Path]:
    """Return the command of a groupchat server by one *transport*: without limits, or with the
    default ones and those that are said."""
    options = limits or ("--no-limits",)
    serve = [sys.executable, "-m", "groupchat", "serve", *options, "--host", LOOPBACK]
    return [*serve, "--transport", transport, "--journal", journal, "0"]
