"""A UDP server that says what a test wants, and a terminal to type at."""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.processes import DEADLINE, eventually

__all__ = [
    "CONNECT",
    "KEPT",
    "NO_ANSWER_YET",
    "Address",
    "ScriptedServer",
    "SeedServer",
    "Terminal",
    "tells",
    "wait_until_idle",
]

Address = tuple[str, int]
Answer = Callable[[bytes, Address], list[bytes]]

CONNECT = [sys.executable, "-m", "groupchat", "connect"]
NO_ANSWER_YET = "no answer yet, asking again"

KEPT = 75
"""The exit code of a ``connect`` that has kept something, to ask for it again the next time."""


def tells(line: str, server: str, why: str) -> bool:
    """Whether *line* is one line that says which server it is about, and what is the matter."""
    pattern = rf"Error: {re.escape(server)}\W.*{why}.*\?"
    return re.fullmatch(pattern, line.removesuffix("\n"), re.IGNORECASE) is not None


def wait_until_idle(process: "subprocess.Popen[bytes]") -> None:
    """Wait until *process*, which has nothing else to do, waits for its input.

    A signal that comes in the moment before Python begins to read is noticed only after it has
    read something. No person is as quick; a test is. Where there is no /proc, hope.
    """
    state = Path(f"/proc/{process.pid}/stat")
    if state.exists():
        eventually(lambda: state.read_text().rpartition(") ")[2].startswith("S"))


class ScriptedServer:
    """A UDP socket and a thread that sends whatever *answer* returns for a request."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        """What was asked, each entered after its replies were sent; complete once it has ended."""
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", ("127.0.0.1", self.port))
            self._thread.join(DEADLINE)
        self._socket.close()

    def _serve(self) -> None:
        while (received := self._socket.recvfrom(65_536))[0] != b"stop":
            request, address = received
            for reply in self._answer(request, address):
                self._socket.sendto(reply, address)
            self.requests.append(request)


class SeedServer:
    """What a server of the seed's kind answers: a list of pending strings a member."""

    def __init__(self) -> None:
        self._names: dict[Address, str] = {}
        self._pending: dict[Address, list[str]] = {}

    def __call__(self, request: bytes, sender: Address) -> list[bytes]:
        kind, _, argument = request.decode().partition(" ")
        name = self._names.get(sender)
        if (kind == "1") == (name is not None) or kind not in set("12345"):
            return [b"Illegal request"]
        reply = "\n".join(self._pending.get(sender, []))
        if kind == "1":
            reply = ", ".join(reversed(self._names.values()))
            self._tell(sender, f"{argument} has joined")
        elif kind == "2":
            self._tell(sender, f"{name}: {argument}")
        elif kind == "3":
            self._tell(sender, f"{name} changed his name to {argument}")
        elif kind == "4":
            self._tell(sender, f"{name} has left the group")
            del self._names[sender], self._pending[sender]
            return [b""]
        if kind in "13":
            self._names[sender] = argument
        self._pending[sender] = []
        return [reply.encode()]

    def _tell(self, sender: Address, line: str) -> None:
        for other, lines in self._pending.items():
            if other != sender:
                lines.append(line)


_IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "groupchat", *sys.argv[1:]])
"""


class Terminal:
    """A ``groupchat`` process with a pseudo-terminal as its keyboard and screen; or as its
    screen alone, if *stdin* is piped in."""

    def __init__(
        self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> None:
        self._master, slave = os.openpty()
        reading, writing = os.pipe()
        if stdin is not None:
            os.write(writing, stdin)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL, *arguments],
            stdin=slave if stdin is None else reading,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", **(env or {})},
        )
        for end in (slave, reading, writing):
            os.close(end)
        self.screen = b""
        """Everything that was shown."""
        self._looked_at = 0

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int) -> None:
        """Have the window so many columns, and tell nobody."""
        import termios

        termios.tcsetwinsize(self._master, (24, columns))

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)

    def settings(self) -> list[Any]:
        """Return the modes that the terminal is in."""
        import termios

        return termios.tcgetattr(self._master)

    def change(self, settings: list[Any]) -> None:
        """Put the terminal into the modes *settings*."""
        import termios

        termios.tcsetattr(self._master, termios.TCSANOW, settings)

    def until(self, shown: bytes) -> bytes:
        """Return what was shown since the last call, up to the first *shown* that is new."""
        deadline = time.monotonic() + DEADLINE
        while (found := self.screen.find(shown, self._looked_at)) < 0:
            assert time.monotonic() < deadline, f"not shown: {shown!r}, but {self.screen!r}"
            assert self._look(), f"not shown: {shown!r}, but {self.screen!r}, and it has ended"
        start, self._looked_at = self._looked_at, found + len(shown)
        return self.screen[start : self._looked_at]

    def wait(self) -> int:
        """Return the exit code, once everything has been shown."""
        deadline = time.monotonic() + DEADLINE
        while self._look():
            assert time.monotonic() < deadline, f"still running: {self.screen!r}"
        return self.process.wait(DEADLINE)

    def _look(self) -> bool:
        """Take what is shown next; return whether there may be more."""
        if not select.select([self._master], [], [], 1)[0]:
            return True
        try:
            shown = os.read(self._master, 65_536)
        except OSError:  # how Linux tells that nobody has the other end open
            return False
        self.screen += shown
        return bool(shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._master)
