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
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from groupchat.client.editor import Editor
from groupchat.client.screen import Screen

__all__ = ["END_SECONDS", "MAX_LINE_BYTES", "READ_BYTES", "Keyboard"]

READ_BYTES: Final = 65_536
"""Bytes that are read from a pipe at a time. Twice as much may wait."""

MAX_LINE_BYTES: Final = 131_072
"""Bytes that are kept of a line; the rest is cut off. No request is nearly as long."""

END_SECONDS: Final = 0.1
"""How long to wait for the end of the input, to be able to say whether more follows."""

_READS_AHEAD: Final = 2


class Keyboard:
    """Standard input, a line at a time, without line ends and empty lines.

    Args:
        screen: where the prompt is, if somebody types.
    """

    def __init__(self, screen: Screen) -> None:
        self.piped = not sys.stdin.isatty()
        """Whether lines come from a program, or a file."""
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

    async def look(self) -> bytes | None:
        """Wait for the next line, and let it stay; None at the end."""
        self.start(self._arrived.set)
        while not self._lines and not self.ended:
            self._arrived.clear()
            await self._arrived.wait()
        return self.first

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

    async def rest(self) -> tuple[list[bytes], bool]:
        """Return the lines that nobody has taken, and whether more may follow in the input."""
        if self.piped and not self.ended:
            self.start(self._arrived.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):  # it may just be seen
                    while not self.ended:
                        self._arrived.clear()
                        await self._arrived.wait()
        return list(self._lines), self.piped and not self.ended

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read until the end; in a thread."""
        with contextlib.suppress(RuntimeError):  # no loop any more
            editor = self._screen.editor
            try:
                for lines in self._piped() if editor is None else self._typed(editor):
                    loop.call_soon_threadsafe(self._arrive, lines)
            except OSError:
                pass  # no terminal any more
            finally:
                loop.call_soon_threadsafe(self._end)

    def _arrive(self, lines: list[bytes]) -> None:
        self._asked = False
        self._lines.extend(lines)
        self._reads.append(len(lines))
        self._call()

    def _end(self) -> None:
        self.ended = True
        self._call()

    def _typed(self, editor: Editor) -> Iterator[list[bytes]]:
        while True:
            self._room.acquire()
            line = b""
            while not line:
                try:
                    line = editor.read().encode(errors="surrogateescape")
                except EOFError:
                    return
            yield [line]

    def _piped(self) -> Iterator[list[bytes]]:
        # Not by the buffer: at our exit, Python could not take its lock from this thread.
        source: Any = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        rest = b""
        while True:
            self._room.acquire()
            lines: list[bytes] = []
            while not lines:
                while (data := source.read(READ_BYTES)) is None:  # it does not block
                    select.select([source], [], [])
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
