"""Where a program keeps its session with a server, so that the next one can go on with it.

What lives here: files. What must not: what a session is, which is
:class:`~groupchat.core.sessions.client.Saved`, or when one is written.

Theory. A server has a few numbered *slots* in a folder that is private to the user, each a file for
one session and, beside it, an empty one that is locked while a program uses the slot. So two
programs at the same time have two sessions. A program takes the slot that was used last and is
free; if there is none, or a new session is wanted, the first number that is.

A file is a few lines, each of them the whole session as one object of JSON, for people to read; the
last one counts. To write is to add a line, and, if the request that it allows is new, to wait until
the disk has it: a session of which the numbers have been used twice would be no session any more.
That only more has been shown need not wait: whoever is killed does not lose it, and if the
power fails, something is shown once more. When the file is long, one of a single line takes its
place. So at any moment the file holds what was written last, and perhaps the beginning of a line.

Each line has a checksum, for a position that is wrong by one would cost a message without a
sound. The token in it is all that is needed to speak in its owner's name, so nobody else may read
it. A file that cannot be read, or is of a later version, stays as it is, and is passed over.
Whoever cannot write goes on without; then the file must go, because its numbers have been used.
"""

import contextlib
import errno
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import quote
from zlib import crc32

from groupchat.client.lock import Lock
from groupchat.core.sessions.client import Saved

__all__ = ["FILE_BYTES", "VERSION", "Slot", "server_name"]

VERSION: Final = 1
"""The version of the files."""

FILE_BYTES: Final = 65_536
"""Bytes that a file has before it is begun anew."""

_MAX_FILE_BYTES: Final = 1 << 22  # more is not read: it is none of ours
_MAX_NAME_BYTES: Final = 100  # of the part of a file's name that stands for the server

Tell = Callable[[str], None]
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Slot:
    """A place for one session with one server, used by this program alone."""

    def __init__(self, path: Path | None, server: str, lock: Lock | None, tell: Tell) -> None:
        self.saved: Saved | None = None
        """The session that is there; None for none. To be read."""
        self.name = ""
        """Its member's name, for people, which is kept with it; may be empty."""
        self.kept = path is not None
        """Whether what is written is kept. If not, somebody has been told why."""
        self._path = path
        self._server = server
        self._lock = lock
        self._tell = tell
        self._file: IO[bytes] | None = None
        self._size = 0
        self._written: tuple[Saved, str] | None = None

    @classmethod
    def take(cls, folder: Path, server: str, tell: Tell, *, new: bool = False) -> "Slot":
        """Take a slot.

        Args:
            folder: where the slots of all servers are. It is made if need be.
            server: which server; see :func:`server_name`.
            tell: called with a line for people if something is wrong.
            new: whether to begin a new session, although another could be gone on with.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077 and sys.platform != "win32":
                folder.chmod(0o700)
            stem = _stem(server)
            if not new:
                for path in _used_last(folder, stem):
                    slot = cls._taken(path, server, tell)
                    if slot is not None and slot._load():
                        return slot
            for number in itertools.count(1):
                path = folder / f"{stem}.{number}.json"
                slot = None if path.exists() else cls._taken(path, server, tell)
                if slot is not None:
                    if not path.exists():  # nor has it come to be meanwhile
                        return slot
                    slot.close()
        except OSError as error:
            tell(f"Your session cannot be kept in {folder}: {error.strerror or error}.")
        return cls(None, server, None, tell)

    @classmethod
    def _taken(cls, path: Path, server: str, tell: Tell) -> "Slot | None":
        lock = Lock.take(path.with_suffix(".lock"))
        return cls(path, server, lock, tell) if lock else None

    def write(self, saved: Saved) -> None:
        """Have *saved*, and the name, be kept, if they are new. When this returns, they are safe,
        unless nothing is new but how much has been told."""
        if self._path is None or not self.kept or self._written == (saved, self.name):
            return
        before = self._written[0] if self._written else None
        told_more = (
            before is not None
            and saved.number == before.number
            and saved.commands in (before.commands, ())
        )
        line = _encode(saved, self.name, self._server)
        try:
            if self._file is None or self._size + len(line) > FILE_BYTES:
                self._begin(self._path, line)
            else:
                self._add(self._file, line, wait=not told_more)
            self._written = (saved, self.name)
        except OSError as error:
            self._tell(f"Your session cannot be kept in {self._path}: {error.strerror or error}.")
            self.forget()
            self.kept = False

    def forget(self) -> None:
        """Have nothing kept of the session."""
        self._end()
        self.saved, self.name, self._written = None, "", None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others take the slot."""
        self._end()
        if self._lock is not None:
            self._lock.release(keep=self._path is not None and self._path.exists())
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> bool:
        """Read the file; return whether the slot can be used."""
        assert self._path is not None
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES)
            found = _decode(data, self._server)
        except OSError as error:
            why = error.strerror or str(error)
            self._tell(f"{self._path} cannot be read: {why}. Beginning a new session.")
        except _Newer:
            self._tell(f"{self._path} is of a newer groupchat. Beginning a new session.")
        except ValueError:
            aside = self._path.with_suffix(".damaged")
            self._path.replace(aside)
            self._tell(f"Your session is damaged, and now in {aside}. Beginning a new one.")
            return True
        else:
            if found[0].joined or found[0].commands:  # else there is nothing to go on with
                self.saved, self.name = self._written = found
            return True
        self.close()
        return False

    def _begin(self, path: Path, line: bytes) -> None:
        """Have a file with *line* alone take the place of the one at *path*."""
        self._end()
        beside = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # somebody was killed as he wrote it
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(line)
            file.flush()
            _sync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
        self._file = path.open("ab", buffering=0)
        self._size = len(line)

    def _add(self, file: IO[bytes], line: bytes, *, wait: bool) -> None:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(line)
        if wait:
            _sync(file.fileno())

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _Newer(Exception):
    """A file is of a later version."""


def server_name(host: str, port: int) -> str:
    """Return what a server is called here: the same by whatever transport it is reached."""
    host = host.lower().rstrip(".")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stem(server: str) -> str:
    """Return how the names of the files for *server* begin."""
    host, _, port = server.rpartition(":")
    safe = quote(host.strip("[]"), safe="", errors="surrogateescape")
    if len(safe) > _MAX_NAME_BYTES:
        safe = sha256(server.encode(errors="surrogateescape")).hexdigest()
    return f"{safe}_{port}"


def _used_last(folder: Path, stem: str) -> Iterator[Path]:
    """Yield the files of slots, the one that was used last first."""
    pattern = re.compile(re.escape(stem) + r"\.([1-9][0-9]{0,8})\.json")
    found: list[tuple[int, int, Path]] = []
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match:
            with contextlib.suppress(FileNotFoundError):  # its owner has just left
                found.append((-path.stat().st_mtime_ns, int(match[1]), path))
    for _, _, path in sorted(found):
        yield path


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
        "commands": [command.decode() for command in saved.commands],
    }
    return json.dumps({**fields, "check": _check(fields)}).encode() + b"\n"


def _decode(data: bytes, server: str) -> tuple[Saved, str]:
    """Return the session that *data* holds, and its member's name.

    Raises:
        ValueError: there is none, or it is another server's.
        _Newer: it is of a later version.
    """
    *lines, _ = data.split(b"\n")  # whoever was killed may have left the beginning of one more
    try:
        fields = json.loads(lines[-1])
        if not isinstance(fields, dict):
            raise ValueError(fields)
        version = fields["groupchat session"]
        if isinstance(version, int) and version > VERSION:
            raise _Newer
        check = fields.pop("check")
        if version != VERSION or check != _check(fields) or fields["server"] != server:
            raise ValueError(version)
        saved = Saved(
            fields["token"],
            fields["number"],
            fields["position"],
            fields["joined"],
            fields["group"],
            tuple(command.encode() for command in fields["commands"]),
            fields["said"],
        )
        return saved, fields["name"]
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"not a session: {error!r}") from error


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
