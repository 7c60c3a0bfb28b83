"""How far something long has come, on a terminal."""

import shutil
import sys
import time
from typing import Final, Self

__all__ = ["PATIENCE_SECONDS", "Progress"]

PATIENCE_SECONDS: Final = 1.0
"""Seconds after which somebody who waits is shown how far it is."""

_SHOW_SECONDS: Final = 0.1
_BAR_CHARACTERS: Final = 24


class Progress:
    """A bar on standard error, if that is a terminal, that goes away at the end. It only comes when
    the work takes a while.

    Args:
        label: what is being done.
        total: how much there is to do, more or less; 0 if nobody knows.
        hidden: whether to show nothing at all.
    """

    def __init__(self, label: str, total: int, *, hidden: bool = False) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._shown = False
        self._next = time.monotonic() + PATIENCE_SECONDS
        self._terminal = not hidden and sys.stderr is not None and sys.stderr.isatty()

    def add(self, amount: int) -> None:
        """Take note that so much more is done."""
        self._done += amount
        if self._terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SHOW_SECONDS
            self._show()

    def hide(self) -> None:
        """Take the bar away, until there is more of it to show."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def _show(self) -> None:
        part = min(1.0, self._done / self._total) if self._total else 0.0
        bar = ("#" * round(part * _BAR_CHARACTERS)).ljust(_BAR_CHARACTERS, "-")
        line = f"{self._label} [{bar}] {part:4.0%}" if self._total else self._label
        sys.stderr.write("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        sys.stderr.flush()
        self._shown = True
