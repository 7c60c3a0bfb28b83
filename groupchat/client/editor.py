"""The line that somebody types at a terminal.

What lives here: line editing, by readline where there is one, and the modes of the terminal. What
must not: what a line means.

Theory. To read a line blocks, so a thread does it, and that thread alone uses readline, which was
not made for two. So when something has been shown in the place of what was typed, the thread draws
that again: it is woken by a signal, and then runs what Python calls the input hook, between two
keys. Thus what is seen is what will be sent.

It must be known where the line is, wherever in it the cursor stands and whatever the width of its
characters. So it is one row: a line that is longer than the window scrolls sideways.

Whoever stops the program (Ctrl-Z) and goes on has a shell in between, which leaves the terminal in
a mode of its own.
"""

import contextlib
import ctypes
import importlib
import os
import shutil
import signal
import sys
import threading
from typing import Any

__all__ = ["PROMPT", "Editor"]

PROMPT = "> "


class Editor:
    """Reads lines at the terminal that is standard input."""

    def __init__(self) -> None:
        self.prompting = False
        """Whether the last row on the screen is the prompt, and what is typed."""
        self._thread: int | None = None
        self._readline = _imported("readline")  # gives input() line editing; Windows has its own
        self._termios = _imported("termios")
        self._before = self._modes()
        self._editing: Any = None  # the modes in which a line is edited
        self._update = _forced_update(self._readline)
        if hasattr(self._readline, "set_pre_input_hook"):
            self._readline.set_pre_input_hook(self._note_modes)
        if self._update is not None:
            self._readline.parse_and_bind("set horizontal-scroll-mode on")
            self._hook = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyOS_InputHook")
            self._redraw = ctypes.CFUNCTYPE(ctypes.c_int)(self._draw)

    def read(self) -> str:
        """Show the prompt and return the line that is typed; in a thread.

        Raises:
            EOFError: there is none any more.
            OSError: nor is there a terminal.
        """
        self._thread = threading.get_ident()
        self.prompting = True
        try:
            return input(PROMPT)
        finally:
            self.prompting = False

    def wiping(self) -> str:
        """Return what wipes the row of the prompt away, and has the next text stand there."""
        if os.environ.get("TERM", "dumb") == "dumb":
            return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r"
        return "\r\x1b[J"

    def drawing(self) -> str:
        """Return what draws the prompt, and what has been typed, at the beginning of a row; once
        it has been written, :meth:`draw` is to be called."""
        if self._update is not None:
            return ""
        return PROMPT + (str(self._readline.get_line_buffer()) if self._readline else "")

    def draw(self) -> None:
        """Have readline draw what :meth:`drawing` did not."""
        if self._update is not None and self._thread is not None and self.prompting:
            self._hook.value = ctypes.cast(self._redraw, ctypes.c_void_p).value
            signal.pthread_kill(self._thread, signal.SIGWINCH)  # which readline may ignore

    def _draw(self) -> int:
        """Draw the line; in the thread that reads it. Perhaps it has just begun to be read, and its
        prompt is there already."""
        self._hook.value = None
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), self.wiping().encode())
        self._update()
        return 0

    def go_on(self) -> bool:
        """Edit on, if we are in the foreground; return whether the line is to be drawn again."""
        try:
            foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except OSError:  # the terminal is gone
            return False
        if not self.prompting or not foreground:
            return False
        self._set(self._editing)
        return True

    def restore(self) -> None:
        """Leave the terminal as it was."""
        self._set(self._before)

    def _note_modes(self) -> None:
        self._editing = self._modes()

    def _modes(self) -> Any:  # noqa: ANN401  as termios has it
        if self._termios is None:
            return None
        with contextlib.suppress(self._termios.error):
            return self._termios.tcgetattr(sys.stdin.fileno())

    def _set(self, modes: Any) -> None:  # noqa: ANN401  as termios has it
        if modes is not None:
            with contextlib.suppress(self._termios.error):  # it is gone
                self._termios.tcsetattr(sys.stdin.fileno(), self._termios.TCSANOW, modes)


def _imported(name: str) -> Any:  # noqa: ANN401  a module, or None: mypy knows it by no name
    """Return a module that not every system has; else None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _forced_update(readline: Any) -> Any:  # noqa: ANN401  a function of C, which has no types
    """Return GNU readline's function that draws the line anew; None if it cannot be had."""
    if "GNU" not in (getattr(readline, "__doc__", None) or ""):
        return None
    try:
        return ctypes.CDLL(getattr(readline, "__file__", None)).rl_forced_update_display
    except (OSError, AttributeError):  # it is a part of a Python that does not show it
        return None
