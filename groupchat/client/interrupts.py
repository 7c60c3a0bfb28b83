"""Ctrl-C, SIGTERM and SIGHUP, by which a program that waits is ended; SIGCONT, by which it goes on.

What lives here: signals. What must not: what is left to do at the end.

Theory. What waits for the network, or for a line, ends at once, and nothing else does: what is
done between two waits is done to its end, so that a file, say, is not left half written. The one
exception is a write to somebody who does not read: if it has not returned a moment later, it never
will.

A terminal that is closed hangs up, often twice: the system tells all that ran in it, and the shell
passes it on. So a second time is no haste. Whoever was told to ignore it, by ``nohup``, still does.

A handler runs in the main thread, but a signal can arrive in another one, and on Windows nothing
but a socket wakes a loop that waits for sockets. So there is one.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Final, Self, TypeVar

__all__ = ["STUCK_SECONDS", "Interrupts"]

T = TypeVar("T")

STUCK_SECONDS: Final = 0.2
"""How long a write may take once everything is to end."""

_HANGUP: Final = getattr(signal, "SIGHUP", None)  # neither on Windows
_CONTINUE: Final = getattr(signal, "SIGCONT", None)


class Interrupts:
    """Runs coroutines, and ends them on SIGINT, SIGTERM and SIGHUP. A context manager.

    Args:
        runner: runs them.
        writing: tells whether a write is under way that may never end.
        go_on: called when the program was stopped (Ctrl-Z) and goes on.
    """

    def __init__(
        self, runner: asyncio.Runner, writing: Callable[[], bool], go_on: Callable[[], None]
    ) -> None:
        self._runner = runner
        self._writing = writing
        self._go_on = go_on
        self._task: asyncio.Task[Any] | None = None
        self._stuck = False  # perhaps, in a write
        self._looks_again = False  # the next SIGINT is our own
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Shells start background jobs with SIGINT ignored, and then nothing would end the wait.
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
            numbers.append(_HANGUP)
        self._before = {number: signal.signal(number, self._interrupt) for number in numbers}
        if _CONTINUE is not None:
            self._before[_CONTINUE] = signal.signal(_CONTINUE, self._continue)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
            self._task, self._stuck = None, False

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if number == _HANGUP:
            signal.signal(number, signal.SIG_IGN)
        looks_again, self._looks_again = self._looks_again, False
        if looks_again and not self._stuck:
            return  # the write has ended after all
        if self._task is None or (self._stuck and self._writing()):
            raise KeyboardInterrupt
        self._task.cancel()
        if self._writing():
            self._stuck = True
            timer = threading.Timer(STUCK_SECONDS, self._look_again)
            timer.daemon = True
            timer.start()

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        if self._task is not None:  # not now: we may be in the middle of a write
            self._task.get_loop().call_soon(self._go_on)

    def _look_again(self) -> None:
        if self._stuck and self._writing() and sys.platform != "win32":
            self._looks_again = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


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
