"""The server under measurement: a process of its own, and what the kernel says it has used."""

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

__all__ = ["ServerProcess", "running"]

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 60_000)
"""Where members' sockets are bound, so that each has an address of its own."""


class ServerProcess:
    """A ``groupchat serve`` with UDP alone, without limits, and with its group in memory."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._proc = Path("/proc") / str(process.pid)
        out = cast("IO[str]", process.stdout)
        found = None
        while found is None:
            line = out.readline()
            if not line:
                raise RuntimeError("the server did not start")
            found = re.match(r"Listening on udp .*:(\d+)$", line)
        self._address = (LOOPBACK, int(found[1]))
        self._free_ports = iter(PORTS)

    def cpu_ns(self) -> int:
        """Nanoseconds of CPU time that the process has used, in user and system mode."""
        return int((self._proc / "schedstat").read_text().split()[0])

    def resident_bytes(self) -> int:
        """Bytes of memory that the process has in use."""
        status = (self._proc / "status").read_text()
        return int(cast("re.Match[str]", re.search(r"VmRSS:\s+(\d+) kB", status))[1]) * 1_024

    def join(self, name: str) -> socket.socket:
        """Return the socket of a new member."""
        member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        member.settimeout(10)
        for port in self._free_ports:
            with contextlib.suppress(OSError):
                member.bind((LOOPBACK, port))
                break
        member.connect(self._address)
        member.send(f"1 {name}".encode())
        member.recv(65_536)
        return member


@contextlib.contextmanager
def running() -> Iterator[ServerProcess]:
    """Start a server for as long as the block runs."""
    options = ["--no-limits", "--transport", "udp"]
    arguments = [sys.executable, "-m", "groupchat", "serve", *options, "0"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield ServerProcess(process)
        finally:
            process.terminate()
