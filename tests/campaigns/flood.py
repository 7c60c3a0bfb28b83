"""Ten members chat while others, some of them members too, ask the server for as much as they can.

``make flood`` prints what was asked (:data:`ATTACKS`), how the
ten members' requests fared, and the server's memory. Half of them speak the plain protocol, half
have sessions, all by UDP, where a flood can crowd them out. Each sends its next request when
the last is answered, and asks again after half a second.
"""

import argparse
import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from attrs import define, field, frozen

__all__ = ["ATTACKS", "MEMORY_BOUND", "Fared", "flood"]

MEMBERS: Final = 10
NONCE: Final = b"0f" * 8
RETRY_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 30
CONNECTIONS: Final = 1_000
ATTACKS: Final = {
    "one": "datagrams from one address",
    "spoof": "datagrams with senders made up",
    "member": "datagrams of one more member",
    "stream": "requests of one more member, on a connection",
    "reset": "connections that ask and are reset",
    "silent": "connections that say nothing",
}
MEMORY_BOUND: Final = 96 << 20
"""Bytes that the server's process may have, with its default limits, whatever floods it."""


@frozen
class Fared:
    """How the members' requests fared."""

    at_once: int
    after_retry: int
    later: int
    """By a second retry, or a later one."""
    never: int
    """Not even within :data:`PATIENCE_SECONDS` after the end of the flood."""
    slowest: float
    """Seconds that one request had to wait at the most, with all its tries."""
    attacks: dict[str, int]
    """How much of each attack there was."""
    connections: int
    """Of the connections that say nothing, those that the server let stand."""
    seconds: float
    memory: int
    """The most memory that the server had, in bytes."""

    def __str__(self) -> str:
        attacks = [f"{count:>12,} {ATTACKS[name]}\n" for name, count in self.attacks.items()]
        asked = self.at_once + self.after_retry + self.later + self.never
        return (
            f"In {self.seconds:.0f} s:\n{''.join(attacks)}"
            f"{asked:>12,} requests of {MEMBERS} members: {self.at_once:,} answered at once, "
            f"{self.after_retry:,} after a retry, {self.later:,} later, {self.never:,} never; the "
            f"slowest after {self.slowest:.1f} s\n"
            f"{self.connections:>12,} silent connections stand; the server had "
            f"{self.memory / (1 << 20):.0f} MiB at the most"
        )


@define(eq=False)
class _Asker:
    """One member: plain, or with a session."""

    number: int
    port: int
    session: bool
    tries: int = 0
    asked: float = 0.0
    slowest: float = 0.0
    sent: float = 0.0
    request: bytes = b""
    results: list[int] = field(factory=list)
    token: bytes = b""
    count: int = 0
    mark: bytes = b"0"
    wire: socket.socket = field(factory=lambda: socket.socket(type=socket.SOCK_DGRAM))

    def begin(self) -> None:
        """Join."""
        self.wire.connect(("127.0.0.1", self.port))
        self.wire.settimeout(5)
        name = b"1 member %d" % self.number
        if not self.session:
            self._call(name)
        else:
            cookie = self._call(_sealed(b"open 1 main " + NONCE)).split()[2]
            self.token = self._call(_sealed(b"open 1 main %b %b" % (NONCE, cookie))).split()[2]
            self.count = 1
            reply = self._call(_sealed(b"%b 1 0\x1e%b" % (self.token, name)))
            self.mark = reply.split()[4]
        self.wire.setblocking(False)

    def ask(self) -> None:
        """Send the next request."""
        self.count += 1
        command = b"2 %d says %d" % (self.number, self.count) if self.count % 2 else b"5"
        self.request = command
        if self.session:
            message = b"%b %d %b\x1e%b" % (self.token, self.count, self.mark, command)
            self.request = _sealed(message)
        self.tries = 0
        self.asked = time.monotonic()
        self.again()

    def again(self) -> None:
        """Send the request, once more perhaps."""
        self.tries += 1
        self.sent = time.monotonic()
        with contextlib.suppress(OSError):
            self.wire.send(self.request)

    def take(self) -> bool:
        """Take a reply, and return whether it is the one that is waited for."""
        reply = self.wire.recv(65_536)
        if self.session:
            words = reply.split(b"\n")[0].split()
            if len(words) < 6 or words[1] != b"%d" % self.count:
                return False  # to an earlier try
            self.mark = words[4]
        self.results.append(self.tries)
        self.look()
        return True

    def look(self) -> None:
        """See how long the request has waited by now."""
        self.slowest = max(self.slowest, time.monotonic() - self.asked)

    def _call(self, request: bytes) -> bytes:
        self.wire.send(request)
        return self.wire.recv(65_536)


def flood(seconds: int, folder: Path, attacks: Collection[str] = ATTACKS) -> Fared:
    """Have members chat for *seconds* under *attacks*."""
    tool = _compiled(folder)
    with _server(folder) as (process, port), contextlib.ExitStack() as open_sockets:
        members = [_Asker(number, port, session=number % 2 == 0) for number in range(MEMBERS)]
        for member in members:
            open_sockets.enter_context(member.wire)
            member.begin()
        count = CONNECTIONS if "silent" in attacks else 0
        idle = [
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(count)
        ]
        running = {
            kind: subprocess.Popen([*tool, kind, str(port), str(seconds)], stdout=subprocess.PIPE)
            for kind in attacks
            if kind != "silent"
        }
        never = _chat(members, seconds)
        counts = {kind: int(found.communicate()[0] or 0) for kind, found in running.items()}
        standing = sum(not _closed(sock) for sock in idle)
        memory = _peak_memory(process.pid)
    results = [tries for member in members for tries in member.results]
    return Fared(
        results.count(1),
        results.count(2),
        sum(tries > 2 for tries in results),
        never,
        max(member.slowest for member in members),
        {**counts, "silent": count},
        standing,
        float(seconds),
        memory,
    )


def _chat(members: list[_Asker], seconds: int) -> int:
    """Have *members* ask for so many *seconds*, and wait for their last answers. Return how many
    of these do not come."""
    now = time.monotonic()
    end = now + seconds
    waiting = {member.wire: member for member in members}
    for member in members:
        member.ask()
    while waiting and now < end + PATIENCE_SECONDS:
        readable, _, _ = select.select(list(waiting), [], [], 0.02)
        now = time.monotonic()
        for sock in readable:
            with contextlib.suppress(OSError):
                if not waiting[sock].take():
                    continue
                if now < end:
                    waiting[sock].ask()
                else:
                    del waiting[sock]
        for member in waiting.values():
            if now - member.sent > RETRY_SECONDS:
                member.again()
        time.sleep(0.002)  # people think, too; and the floods need a core each
    for member in waiting.values():
        member.look()
    return len(waiting)


def _compiled(folder: Path) -> list[str]:
    """Return the command that floods."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("a C compiler is needed; install the package gcc")
    source = Path(__file__).with_suffix(".c")
    subprocess.run([compiler, "-O2", "-o", folder / "flood", source], check=True)
    return [str(folder / "flood")]


@contextlib.contextmanager
def _server(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], int]]":
    journal = str(folder / "flood.journal")
    command = [sys.executable, "-m", "groupchat", "serve", "--journal", journal, "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.match(r"Listening on tcp .*:(\d+)$", line):
                    break
            else:
                raise RuntimeError("the server did not start")
            yield process, int(found[1])
        finally:
            process.terminate()


def _closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


def _sealed(message: bytes) -> bytes:
    return b"@%08x %b" % (crc32(message), message)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="make flood", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--attack", action="append", choices=ATTACKS, help="this one, not all")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("To make up addresses one has to be root.")
    with tempfile.TemporaryDirectory() as folder:
        fared = flood(arguments.seconds, Path(folder), arguments.attack or ATTACKS)
    print(fared)
    sys.exit(bool(fared.later or fared.never) or fared.memory > MEMORY_BOUND)


if __name__ == "__main__":
    main()
