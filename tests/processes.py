"""Real servers and raw clients for the tests: processes and sockets, nothing in between."""

import contextlib
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Final, Protocol, Self, cast

from attrs import define, field

from groupchat.core import ILLEGAL_REQUEST

__all__ = [
    "ALICE_CAME_AND_LEFT",
    "DEADLINE",
    "MEANT_TO_FAIL",
    "REFUSAL",
    "Member",
    "Program",
    "RunningServer",
    "TcpMember",
    "UdpMember",
    "eventually",
    "news_until",
    "reset",
    "run",
    "saw_alice_come_and_leave",
    "serving",
]

MEANT_TO_FAIL: Final = "GROUPCHAT_TEST_MEANT_TO_FAIL" in os.environ
"""Whether the code is wrong on purpose, and all that counts is that a test notices."""

DEADLINE: Final = 8 if MEANT_TO_FAIL else 30
"""Seconds after which a test gives up waiting for what must come."""

REFUSAL = ILLEGAL_REQUEST + b"\n\n"
"""The refusal of a request as it comes over TCP, with its empty line."""


def run(
    *arguments: str, stdin: bytes = b"", silent: bool = False
) -> "subprocess.CompletedProcess[bytes]":
    """Run ``groupchat`` with *arguments* to its end, with *stdin* piped in.

    Unless the server is to be *silent*, what is said while an answer takes long is left out: how
    long it takes on a busy machine is not for a test to say.
    """
    done = subprocess.run(
        [sys.executable, "-m", "groupchat", *arguments],
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    if not silent:
        done.stderr = done.stderr.replace(b"no answer yet, still trying\n", b"")
    return done


def eventually(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds; fail if it does not come to hold."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "what had to come true did not"
        time.sleep(0.01)


class Program:
    """A ``groupchat`` process whose output can be waited for, line by line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "groupchat", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.stdin = cast("IO[bytes]", self.process.stdin)
        self.out = _Lines(cast("IO[bytes]", self.process.stdout))
        self.err = _Lines(cast("IO[bytes]", self.process.stderr))

    def type(self, line: str) -> None:
        self.stdin.write(line.encode() + b"\n")
        self.stdin.flush()

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self.stdin.close()
        self.out.close()
        self.err.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines:
    """The lines of a pipe, read by a thread so that a test can wait with a deadline."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.seen: list[str] = []
        self._pipe = pipe
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self._queue.put(line.decode().rstrip("\r\n"))
        self._queue.put(None)

    def next(self) -> str:
        """Return the next line."""
        line = self._queue.get(timeout=DEADLINE)
        if line is None:
            self._queue.put(None)
            raise EOFError("\n".join(["no more lines after:", *self.seen]))
        self.seen.append(line)
        return line

    def until(self, pattern: str) -> "re.Match[str]":
        """Return the match of the next line that *pattern* is found in."""
        while True:
            found = re.search(pattern, self.next())
            if found:
                return found

    def rest(self) -> list[str]:
        """Return all further lines until the end of the output."""
        lines = []
        with contextlib.suppress(EOFError):
            while True:
                lines.append(self.next())
        return lines

    def close(self) -> None:
        self._thread.join(DEADLINE)
        self._pipe.close()


@define
class RunningServer:
    """A server process, and the port it listens on."""

    program: Program
    port: int
    host: str = "127.0.0.1"
    sockets: contextlib.ExitStack = field(factory=contextlib.ExitStack)

    def udp(self) -> "UdpMember":
        return self.sockets.enter_context(UdpMember(self.port, self.host))

    def tcp(self) -> "TcpMember":
        return self.sockets.enter_context(TcpMember(self.port, self.host))

    def member(self, transport: str) -> "Member":
        """Return a raw client by the transport called *transport*."""
        return self.udp() if transport == "udp" else self.tcp()

    def stop(self) -> int:
        """End the server as an operator would; return its exit code."""
        self.program.process.send_signal(signal.SIGTERM)
        return self.program.wait()


@contextlib.contextmanager
def serving(*arguments: str, host: str = "127.0.0.1") -> Iterator[RunningServer]:
    """Run ``groupchat serve`` with *arguments*, on a free port unless they say otherwise."""
    with Program("serve", "--host", host, *(arguments or ["0"])) as program:
        port = int(program.out.until(r"^Listening on \w+ .*:(\d+)$")[1])
        program.out.until(r"^$")
        server = RunningServer(program, port, host)
        with server.sockets:
            yield server
        if program.process.poll() is None:
            code = server.stop()
            assert code == 0 or sys.platform == "win32"  # where to stop is to kill
        program.err.rest()
        assert not [line for line in program.err.seen if "Traceback" in line]


class Member(Protocol):
    """Somebody who asks a server and gets answers."""

    def ask(self, request: bytes) -> bytes:
        """Send *request* and return the reply, without framing."""


def news_until(member: Member, line: bytes) -> list[bytes]:
    """Have *member* ask for news until *line* has come; return all lines that came."""
    lines: list[bytes] = []

    def has_come() -> bool:
        lines.extend(filter(None, member.ask(b"5").split(b"\n")))
        return line in lines

    eventually(has_come)
    return lines


ALICE_CAME_AND_LEFT = [b"Alice has joined", b"Alice has left the group"]


def saw_alice_come_and_leave(watcher: Member) -> bool:
    """Have *watcher* ask until Alice has left; tell whether nothing else happened."""
    return news_until(watcher, b"Alice has left the group") == ALICE_CAME_AND_LEFT


def reset(connection: socket.socket) -> None:
    """End *connection* by a reset, as a crash or a cut line does, and not in good order."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class UdpMember:
    """A raw UDP socket: a datagram a request, a datagram a reply."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect((host, port))

    def ask(self, request: bytes) -> bytes:
        self.socket.send(request)
        return self.socket.recv(65_536)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class TcpMember:
    """A raw TCP connection: a line a request; a reply is its lines and then an empty line."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", receive_buffer: int | None = None
    ) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect((host, port))
        self.stream = self.socket.makefile("rb")

    def ask(self, request: bytes) -> bytes:
        self.socket.sendall(request + b"\n")
        return self.receive()

    def receive(self) -> bytes:
        lines = []
        while (line := self.stream.readline()) != b"\n":
            if not line:
                raise EOFError("the server closed the connection")
            lines.append(line)
        return b"".join(lines).removesuffix(b"\n")

    def rest(self) -> bytes:
        """Return everything until the server closes the connection."""
        return self.stream.read()

    def reset(self) -> None:
        """End the connection by a reset."""
        self.stream.close()
        reset(self.socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()
