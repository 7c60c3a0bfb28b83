"""ngIRCd, an IRC server in C, with its flood protection off: Debian's package ``ngircd``."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.experiment import Skipped
from bench.process import LOOPBACK, Process, free_port, started_at
from bench.room import TEXT, arrived

__all__ = ["Channel", "channel"]

CHANNEL: Final = "#room"

# Penalties would have it read from a member only now and then. Names, PAM and ident are looked up
# by processes of its own, once a connection, and would cost it more than the rest; it gets by
# without.
CONFIGURATION: Final = """\
[Global]
Name = irc.example.net
Info = benchmark
Listen = {host}
Ports = {port}
MotdPhrase = hello
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 86400
[Options]
DNS = no
Ident = no
PAM = no
"""


class Channel:
    """One channel, and its members."""

    request = f"PRIVMSG {CHANNEL} :{TEXT}\r\n".encode()

    def __init__(self, server: Process, followers: int) -> None:
        self.server = server
        self.followers = [self._join(f"f{number}") for number in range(followers)]
        self.writer = self._join("writer")

    def acknowledge(self, messages: int) -> None:
        """IRC knows no acknowledgements."""

    def _join(self, nick: str) -> socket.socket:
        member = self.server.connect()
        member.sendall(f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n".encode())
        _await_line(member, b" 001 ")
        member.sendall(f"JOIN {CHANNEL}\r\n".encode())
        _await_line(member, b" 366 ")  # the end of the list of who is there
        return member


def _await_line(member: socket.socket, code: bytes) -> None:
    arrived(member, lambda data: code in data and data.endswith(b"\n"))


@contextlib.contextmanager
def channel(followers: int) -> Iterator[Channel]:
    """Start ngIRCd, with one channel that so many *followers* are in.

    Raises:
        Skipped: it is not installed.
    """
    program = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin")
    if program is None:
        raise Skipped("ngIRCd is not installed: apt-get install ngircd")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ngircd.conf"
        file.write_text(CONFIGURATION.format(host=LOOPBACK, port=port))
        # It gives up root's rights, and has to read this all the same.
        Path(folder).chmod(0o755)
        with started_at(port, [program, "--nodaemon", "--config", file]) as server:
            yield Channel(server, followers)
