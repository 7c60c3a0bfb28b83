"""What a person types, or what is piped in.

What lives here: reading standard input. What must not: what a line means.

Theory. Reading blocks, so a thread does it, and while an answer is awaited the next lines are
already there. Of a pipe it reads a little ahead, and then waits until that is taken, so whoever
writes into the pipe is slowed down to the pace of the chat. At a terminal it shows a prompt, and
reads a line, only when it is told to. The thread is not waited for at the end: nothing can make
it return from its read.
"""

import asyncio
import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from groupchat.client.screen import PROMPT, Screen

__all__ = ["MAX_LINE_BYTES", "READ_BYTES", "Keyboard"]

READ_BYTES: Final = 65_536
"""Bytes that are read from a pipe at a time. Twice as much may wait."""

MAX_LINE_BYTES: Final = 131_072
"""Bytes that are kept of a line; the rest is cut off. No request is nearly as long."""

_READS_AHEAD: Final = 2


class Keyboard:
    """Standard input, a line at a time, without line ends and empty lines.

    Args:
        screen: where the prompt is.
    """

    def __init__(self, screen: Screen) -> None:
        self.ended = False
        """Whether there will be no more lines than wait."""
        self._screen = screen
        self._lines: deque[bytes] = deque()
        self._reads: deque[int] = deque()  # how many lines are left of each
        self._room = threading.Semaphore(0 if screen.interactive else _READS_AHEAD)
        self._asked = False
        self._started = False
        self._arrived = asyncio.Event()
        self._call: Callable[[], None] = self._arrived.set
        self._restore = _terminal_settings() if screen.interactive else None

    def start(self, call: Callable[[], None] | None = None) -> None:
        """Begin to read, in the event loop that runs.

        Args:
            call: called, from now on, whenever lines have arrived, or the end has.
        """
        if call is not None:
            self._call = call
        if not self._started:
            self._started = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, args=(loop,), daemon=True).start()

    def prompt(self) -> None:
        """At a terminal: ask for a line, unless that has been done and it has not come."""
        if self._screen.interactive and not self._asked and not self.ended:
            self._asked = True
            self._room.release()

    @property
    def first(self) -> bytes | None:
        """The next line, if there is one. It stays."""
        return self._lines[0] if self._lines else None

    def take(self) -> bytes:
        """Take the next line, which is there."""
        self._reads[0] -= 1
        if not self._reads[0]:
            self._reads.popleft()
            if not self._screen.interactive:
                self._room.release()
        return self._lines.popleft()

    async def next(self) -> bytes | None:
        """Wait for the next line and take it; None at the end."""
        self.start(self._arrived.set)
        while not self._lines:
            if self.ended:
                return None
            self.prompt()
            self._arrived.clear()
            await self._arrived.wait()
        return self.take()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._restore is not None:
            self._restore()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read until the end; in a thread."""
        with contextlib.suppress(OSError, RuntimeError):  # no terminal any more; no loop
            for lines in self._typed() if self._screen.interactive else self._piped():
                loop.call_soon_threadsafe(self._arrive, lines)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end)

    def _arrive(self, lines: list[bytes]) -> None:
        self._asked = False
        self._lines.extend(lines)
        self._reads.append(len(lines))
        self._call()

    def _end(self) -> None:
        self.ended = True
        self._call()

    def _typed(self) -> Iterator[list[bytes]]:
        while True:
            self._room.acquire()
            line = b""
            while not line:
                self._screen.prompting = True
                try:
                    line = input(PROMPT).encode(errors="surrogateescape")
                except EOFError:
                    return
                finally:
                    self._screen.prompting = False
            yield [line]

    def _piped(self) -> Iterator[list[bytes]]:
        # Not by the buffer: at our exit, Python could not take its lock from this thread.
        source: Any = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        rest = b""
        while True:
            self._room.acquire()
            lines: list[bytes] = []
            while not lines:
                data = source.read(READ_BYTES)
                *complete, rest = (rest + data).split(b"\n")
                if not data:  # the last line needs no line end
                    complete, rest = [rest], b""
                rest = rest[:MAX_LINE_BYTES]
                lines = [line for end in complete if (line := end.removesuffix(b"\r"))]
                if not data:
                    if lines:
                        yield lines
                    return
            yield lines


def _terminal_settings() -> Callable[[], None] | None:
    """Return what puts the terminal back into the state in which it is now, where that can be
    told."""
    try:
        import termios  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    descriptor = sys.stdin.fileno()
    settings = termios.tcgetattr(descriptor)

    def restore() -> None:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(descriptor, termios.TCSANOW, settings)

    return restore
