"""A file that holds a session with a server, so that another program can go on with it.

What lives here: what such a file says, and how it is written. What must not: which file it is, and
who may use it, which :mod:`groupchat.client.slots` knows.

Theory. A file is a few lines, each of them the whole session as one object of JSON, for people to
read; the last one counts. To write is to add a line, and, if the request that it allows is new, to
wait until the disk has it: a session of which the numbers have been used twice would be no session
any more. That only more has been shown need not wait: whoever is killed does not lose it, and if
the power fails, something is shown once more. When the file is long, one of a single line takes its
place. So at any moment the file holds what was written last, and perhaps the beginning of a line;
and what could not be written has changed nothing.

Each line has a checksum, for a position that is wrong by one would cost a message without a
sound. The token in it is all that is needed to speak in its owner's name, so nobody else may read
it.
"""

import contextlib
import errno
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final
from zlib import crc32

from groupchat.core.sessions.saved import Saved

__all__ = ["FILE_BYTES", "VERSION", "Newer", "StateFile"]

VERSION: Final = 1
"""The version of the files."""

FILE_BYTES: Final = 65_536
"""Bytes that a file has before it is begun anew."""

_MAX_FILE_BYTES: Final = 1 << 22  # more is not read: it is none of ours
_ANY_BYTES: Final = "surrogateescape"  # what is not UTF-8 comes back as it was
_TOKEN: Final = re.compile("[0-9a-f]{32}")
_KINDS: Final = {
    "name": str,
    "token": str,
    "number": int,
    "position": int,
    "joined": bool,
    "group": str,
    "said": int,
    "commands": list,
    "command": str,
}

_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Newer(Exception):
    """The file is of a later version."""


class StateFile:
    """A file for one session. At most one program may write to it.

    Args:
        path: where it is, or is to be.
        server: whose sessions it holds.
    """

    def __init__(self, path: Path, server: str) -> None:
        self.path = path
        self._server = server
        self._file: IO[bytes] | None = None
        self._size = 0

    def read(self) -> tuple[Saved, str]:
        """Return the session that it holds, and its member's name, which may be empty.

        Raises:
            OSError: it cannot be read, or is not there.
            ValueError: it holds none, or another server's.
            Newer: it is of a later version.
        """
        with self.path.open("rb") as file:
            return _decode(file.read(_MAX_FILE_BYTES), self._server)

    def write(self, saved: Saved, name: str, *, wait: bool) -> None:
        """Have it hold *saved* and *name*; with *wait*, return when the disk has them.

        Raises:
            OSError: that cannot be. It holds what it held.
        """
        line = _encode(saved, name, self._server)
        if self._file is None or self._size + len(line) > FILE_BYTES:
            self._begin(line)
        else:
            self._add(self._file, line, wait=wait)

    def remove(self) -> None:
        """Have it hold nothing any more."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, line: bytes) -> None:
        """Have a file with *line* alone take the place of this one."""
        self.close()
        beside = self.path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # somebody was killed as he wrote it
        try:
            self._create(beside, line)
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        _sync_folder(self.path.parent)
        self._file = self.path.open("ab", buffering=0)
        self._size = len(line)

    @staticmethod
    def _create(beside: Path, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(line)
            file.flush()
            _sync(file.fileno())

    def _add(self, file: IO[bytes], line: bytes, *, wait: bool) -> None:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(line)
        if wait:
            _sync(file.fileno())


def _encode(saved: Saved, name: str, server: str) -> bytes:
    fields: dict[str, Any] = {
        "groupchat session": VERSION,
        "server": server,
        "name": name,
        "token": saved.token,
        "number": saved.number,
        "position": saved.position,
        "joined": saved.joined,
        "group": saved.group,
        "said": saved.said,
        "commands": [_text(command) for command in saved.commands],
        "command": _text(saved.command),
    }
    return json.dumps({**fields, "check": _check(fields)}).encode() + b"\n"


def _decode(data: bytes, server: str) -> tuple[Saved, str]:
    """Return the session that *data* holds, and its member's name. Raises what ``read`` does."""
    *lines, _ = data.split(b"\n")  # whoever was killed may have left the beginning of one more
    try:
        fields = json.loads(lines[-1])
        if not isinstance(fields, dict):
            raise ValueError(fields)
        version = fields["groupchat session"]
        if isinstance(version, int) and version > VERSION:
            raise Newer
        check = fields.pop("check")
        if version != VERSION or check != _check(fields) or fields["server"] != server:
            raise ValueError(version)
        fields.setdefault("command", "")  # which older files do not have
        if any(type(fields[name]) is not kind for name, kind in _KINDS.items()):
            raise ValueError(fields)
        if not _TOKEN.fullmatch(fields["token"]):
            raise ValueError(fields)
        saved = Saved(
            fields["token"],
            fields["number"],
            fields["position"],
            fields["joined"],
            fields["group"],
            tuple(_bytes(command) for command in fields["commands"]),
            fields["said"],
            _bytes(fields["command"]),
        )
        return saved, fields["name"]
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"not a session: {error!r}") from error


def _text(command: bytes) -> str:
    """Return *command*, which may be any bytes, so that JSON can hold it, and people read it."""
    return command.decode(errors=_ANY_BYTES)


def _bytes(text: str) -> bytes:
    return text.encode(errors=_ANY_BYTES)


def _check(fields: dict[str, Any]) -> str:
    return f"{crc32(json.dumps(fields, sort_keys=True).encode()):08x}"


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # where it cannot be
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # not on this kind of file system
            raise
    finally:
        os.close(descriptor)
