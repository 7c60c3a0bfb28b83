"""The program's log, on standard error.

Theory. Whoever reads the log may stop reading: a terminal is paused with Ctrl-S, a pipe's other
end hangs. A server that waited for him would let its members wait. So lines are handed to a
thread that writes them, and if too many wait for that, the next are left out, and counted.
"""

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Final

from groupchat.core.quantity import counted

__all__ = ["WAITING_LINES", "log_to_stderr"]

WAITING_LINES: Final = 1_000
"""Lines that wait for a reader who is slow; more are left out."""

_FORMAT: Final = "%(asctime)s %(message)s"
_TIME: Final = "%H:%M:%S"


class _Writer(logging.Handler):
    """Hands lines to a thread, and never waits."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue(WAITING_LINES)
        self._left_out = 0
        self._descriptor = descriptor
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one line, if there is room."""
        room = WAITING_LINES - self._lines.qsize()  # nobody else hands over any
        if room <= bool(self._left_out):
            self._left_out += 1
            return
        if self._left_out:
            lines, are = counted(self._left_out, "line"), "is" if self._left_out == 1 else "are"
            self._lines.put_nowait(f"{lines} of the log {are} left out here")
            self._left_out = 0
        self._lines.put_nowait(self.format(record))

    def flush(self) -> None:
        """Do not wait: see above."""

    def _write(self) -> None:
        while True:
            line = self._lines.get().encode(errors="backslashreplace") + b"\n"
            with contextlib.suppress(OSError):  # nobody reads it any more
                # Not by sys.stderr: to wait inside of that would keep Python from ending.
                while line:
                    line = line[os.write(self._descriptor, line) :]
            self._lines.task_done()

    def drain(self, seconds: float) -> None:
        """Wait, for so long at the most, until everything is written."""
        waiter = threading.Thread(target=self._lines.join, daemon=True)
        waiter.start()
        waiter.join(seconds)


def log_to_stderr() -> Callable[[float], None]:
    """Write the log to standard error from now on.

    Returns:
        What waits, for a number of seconds at the most, until all of it is written.
    """
    if sys.stderr is None:  # it was closed from the start
        return lambda _: None
    try:
        writer = _Writer(sys.stderr.fileno())
    except OSError:  # it is no file, but something in this very process
        logging.basicConfig(format=_FORMAT, datefmt=_TIME, level=logging.INFO)
        return lambda _: None
    writer.setFormatter(logging.Formatter(_FORMAT, _TIME))
    logging.basicConfig(handlers=[writer], level=logging.INFO)
    return writer.drain
