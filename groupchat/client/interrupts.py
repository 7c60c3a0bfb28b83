"""Ctrl-C and SIGTERM: how a program that waits is ended.

What lives here: signals. What must not: what is left to do at the end.

Theory. What waits for the network, or for a line, ends at once, and nothing else does: what is
done between two waits is done to its end, so that a file, say, is not left half written. The one
exception is a write to somebody who does not read, which would never return.

A handler runs in the main thread, but a signal can arrive in another one, and on Windows nothing
but a socket wakes a loop that waits for sockets. So there is one.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Final, Self, TypeVar

__all__ = ["Interrupts"]

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Runs coroutines, and ends them on SIGINT and SIGTERM. A context manager.

    Args:
        runner: runs them.
        writing: tells whether a write is under way that may never end.
    """

    def __init__(self, runner: asyncio.Runner, writing: Callable[[], bool]) -> None:
        self._runner = runner
        self._writing = writing
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        # Shells start background jobs with SIGINT ignored, and then nothing would end the wait.
        for number in _SIGNALS:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* and return what it returns.

        Raises:
            KeyboardInterrupt: it was ended.
        """

        async def awakened() -> T:
            self._task = asyncio.current_task()
            with _woken_by_signals():
                return await coroutine

        try:
            return self._runner.run(awakened())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._task = None

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._task is None or self._writing():
            raise KeyboardInterrupt
        self._task.cancel()


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[None]:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        loop.add_reader(here, here.recv, 4_096)
        before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(here)
