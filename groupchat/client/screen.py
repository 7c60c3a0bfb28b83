"""What a person or a pipe gets to see.

What lives here: standard output and standard error. What must not: what is to be said.

Theory. A pipe gets bytes exactly as they came from the server, on standard output, and nothing
else; all that is for people goes to standard error. A terminal gets no control characters from a
server that its owner may have no reason to trust.

Lines can come while somebody types. Then the prompt, and what stands behind it, is wiped away,
and put back below them, which the :mod:`~groupchat.client.editor` knows how to do.
"""

import contextlib
import errno
import io
import os
import re
import sys

from groupchat.client.editor import Editor

__all__ = ["Screen", "Unwritable"]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but the tab and the line feed


class Unwritable(Exception):
    """Standard output does not take any more, because of *error*."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Screen:
    """Standard output and standard error.

    Raises:
        OSError: there is none.
    """

    def __init__(self) -> None:
        if sys.stdin is None or sys.stdout is None:
            raise OSError(errno.EBADF, "standard input and standard output must not be closed")
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        """Whether a person types, and sees at once what comes of it."""
        self.editor = Editor() if self.interactive else None
        """What he types by; None if there is nobody."""
        self.writing = False
        """Whether something is being written now, which can take as long as it is not read."""
        self._terminal = sys.stdout.isatty()
        # What is typed goes out as it is, and what a terminal cannot show is no reason to stop.
        for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=errors)
        self._wiped = False

    def show(self, reply: bytes) -> None:
        """Show a reply, or some lines of one, once :meth:`flush` is called or it is much.

        Raises:
            Unwritable: nobody can see it.
        """
        self._wipe()
        if self._terminal:
            self._write(_CONTROL.sub("\ufffd", reply.decode(errors="replace")) + "\n")
        else:
            self._write(reply + b"\n")

    def tell(self, line: str) -> None:
        """Show a line to people, if there are any."""
        if self.interactive:
            with contextlib.suppress(Unwritable):  # which the next flush() raises again
                self._wipe()
                self.flush(prompt=False)
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print(_CONTROL.sub("\ufffd", line), file=sys.stderr, flush=True)
        if self.interactive:
            with contextlib.suppress(Unwritable):
                self.flush()

    def flush(self, *, prompt: bool = True) -> None:
        """Let everything be seen that has been shown, and the *prompt* where it was.

        Raises:
            Unwritable: it cannot be.
        """
        editor = self.editor if prompt and self._wiped else None
        if editor is not None:
            self._wiped = False
            self._write(editor.drawing())
        self._write(None)
        if editor is not None:
            editor.draw()

    def go_on(self) -> None:
        """After the program was stopped, have the line that was being typed stand here."""
        if self.editor is not None and self.editor.go_on():
            self._wiped = True
            with contextlib.suppress(Unwritable):
                self.flush()

    def end_line(self) -> None:
        """At a terminal: let the prompt be, and have what comes next stand on a line of its own."""
        if self.editor is not None:
            self.editor.prompting = False
            self.tell("")

    def give_up(self) -> None:
        """Let nothing that is written later, at our exit at the latest, fail again."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _write(self, what: str | bytes | None) -> None:
        self.writing = True
        try:
            if isinstance(what, str):
                sys.stdout.write(what)
            elif what is not None:
                sys.stdout.buffer.write(what)
            else:
                sys.stdout.flush()
        except OSError as error:
            raise Unwritable(error) from error
        except KeyboardInterrupt:
            self.give_up()  # nobody reads, and what comes next must not wait for that again
            raise
        finally:
            self.writing = False

    def _wipe(self) -> None:
        if self.editor is not None and self.editor.prompting and not self._wiped:
            self._wiped = True
            self._write(self.editor.wiping())
