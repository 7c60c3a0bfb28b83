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
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

from attrs import frozen

__all__ = ["LOOPBACK", "Process", "groupchat", "started"]

LOOPBACK: Final = "127.0.0.1"

_REST_SECONDS: Final = 0.001
"""A server that uses no CPU time for so long is at rest. While it has work, it waits for nothing
but a disk, and that is on its way when the last request has been answered."""

_LISTENING: Final = re.compile(r"Listening on \w+ .*:(\d+)$")
"""What each server under measurement prints when it can be asked."""


@frozen
class Process:
    """A server that runs."""

    pid: int
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return LOOPBACK, self.port

    def cpu_ns(self) -> int:
        """Wait until it rests, and return the CPU time in nanoseconds that it has used so far."""
        used = -1
        while used != (now := self._cpu_ns()):
            used = now
            time.sleep(_REST_SECONDS)
        return used

    def _cpu_ns(self) -> int:
        threads = Path("/proc", str(self.pid), "task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)

    def resident_bytes(self) -> int:
        """Return how many bytes of memory it has in use."""
        status = Path("/proc", str(self.pid), "status").read_text()
        return int(cast("re.Match[str]", re.search(r"VmRSS:\s+(\d+) kB", status))[1]) * 1_024


@contextlib.contextmanager
def started(command: Sequence[str | Path]) -> Iterator[Process]:
    """Run the server *command* for as long as the block does. It begins when the server listens.

    At the end the server is killed: what it would write down on being told to stop is nobody's.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            for line in cast("IO[str]", process.stdout):
                if found := _LISTENING.match(line):
                    break
            else:
                raise RuntimeError(f"it did not start: {' '.join(map(str, command))}")
            yield Process(process.pid, int(found[1]))
        finally:
            process.kill()


def groupchat(journal: str | Path = ":memory:") -> list[str | Path]:
    """Return the command of a groupchat server by UDP, without limits."""
    serve = [sys.executable, "-m", "groupchat", "serve", "--no-limits"]
    return [*serve, "--transport", "udp", "--journal", journal, "0"]
