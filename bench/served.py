"""A server of any kind under measurement: its process, and what the kernel says of it.

What lives here: how it is started, awaited and ended, and its CPU time and memory. What must not:
what it speaks. CPU time is that of all its threads: a database's, or a runtime's, is the
server's, too.
"""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast

__all__ = ["LOOPBACK", "Served", "free_port", "serving"]

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0
CONNECTION_SECONDS: Final = 60.0
"""How long an answer is waited for."""


class Served:
    """A server's process, and where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self._port = port
        self._proc = Path("/proc") / str(process.pid)

    def cpu_ns(self) -> int:
        """Nanoseconds of CPU time that its threads have used, in user and system mode."""
        files = self._proc.glob("task/*/schedstat")
        return sum(int(file.read_text().split()[0]) for file in files)

    def resident_bytes(self) -> int:
        """Bytes of memory that it has in use."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """From now on is :meth:`peak_bytes`."""
        (self._proc / "clear_refs").write_text("5")  # proc(5)

    def peak_bytes(self) -> int:
        """The most bytes of memory that it has had in use since :meth:`forget_peak`."""
        return self._status("VmHWM")

    def connect(self) -> socket.socket:
        """Return a new connection to it.

        Raises:
            OSError: it does not listen.
        """
        connection = socket.create_connection((LOOPBACK, self._port), CONNECTION_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def await_start(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.connect().close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self._process.args!r} does not listen")

    def _status(self, key: str) -> int:
        status = (self._proc / "status").read_text()
        return int(cast("re.Match[str]", re.search(rf"{key}:\s+(\d+) kB", status))[1]) * 1_024


@contextlib.contextmanager
def serving(arguments: Sequence[str | Path], port: int) -> Iterator[Served]:
    """Run the server that *arguments* start, and that will listen at *port*, for as long as the
    block runs."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(arguments, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            server = Served(process, port)
            server.await_start()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
