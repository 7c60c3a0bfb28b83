"""``groupchat connect``: requests from a keyboard or a pipe, replies to a screen or a pipe.

What lives here: reading lines, printing replies, and how it all ends. What must not: sockets.

Theory. A pipe gets bytes exactly as they came from the server, on standard output, and nothing
else; all that is for people goes to standard error. A person at a terminal gets a prompt, line
editing where Python has it, and no control characters from a server he may have no reason
to trust. While the prompt waits, nothing else runs: the chat's members contact the server when
they want something from it.
"""

import asyncio
import errno
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Iterator

from groupchat.client.plain import PlainClient
from groupchat.transports import Connection

__all__ = ["HELP", "chat"]

HELP = "1 NAME joins, 2 TEXT says, 3 NAME renames, 5 asks for news, 4 leaves."

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but the tab and the line feed


def chat(runner: asyncio.Runner, connection: Connection) -> None:
    """Send what is typed or piped, print the replies, and leave the group at the end: after
    the request ``4``, at the end of input, and on Ctrl-C or SIGTERM.

    Raises:
        NoAnswer: the server does not answer.
        OSError: the replies cannot be written; but if only their reader has gone, that is an end
            like any other.
    """
    _prepare()
    client = PlainClient(connection, _show, _tell)
    unwritable: OSError | None = None
    try:
        for request in filter(None, _typed() if _interactive() else _piped()):
            try:
                runner.run(client.ask(request))
            except ValueError as error:
                _tell(str(error))
            if request == b"4":
                break
    except KeyboardInterrupt:
        _tell("")
    except OSError as error:
        # Let nothing that is written later, at our exit at the latest, fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        unwritable = None if isinstance(error, BrokenPipeError) else error
    runner.run(client.leave())
    if unwritable:
        raise unwritable


def _prepare() -> None:
    """Make streams and signals fit for a conversation."""
    if sys.stdin is None or sys.stdout is None:
        raise OSError(errno.EBADF, "standard input and standard output must not be closed")
    # What is typed goes out as it is, and what a terminal cannot show is no reason to stop.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    # Shells start background jobs with SIGINT ignored, and then nothing would end the wait.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _typed() -> Iterator[bytes]:
    try:
        importlib.import_module("readline")  # gives input() line editing
    except ImportError:
        pass  # Windows' terminal has its own
    _tell(HELP)
    while True:
        try:
            line = input("> ")
        except EOFError:
            _tell("")
            return
        yield line.encode(errors="surrogateescape")


def _piped() -> Iterator[bytes]:
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _show(reply: bytes) -> None:
    if sys.stdout.isatty():
        print(_CONTROL.sub("\ufffd", reply.decode(errors="replace")), flush=True)
    else:
        sys.stdout.buffer.write(reply + b"\n")
        sys.stdout.buffer.flush()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
