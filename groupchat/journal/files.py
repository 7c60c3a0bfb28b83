"""The files of a journal: what they must be to be ours, who has them, and how they are opened.

What lives here: everything that can go wrong with a file before anything is read from it. What
must not: what is in its tables.

Theory. A journal is a SQLite file, ``chat.journal`` say, and beside it:

=======================  ====================================================================
file                     what it is
=======================  ====================================================================
``chat.journal-wal``     the newest writes, until SQLite puts them into the file itself: a part of
                         the journal. When a server has ended in peace, there is none
``chat.journal-lock``    empty, and locked by the server for as long as that runs
``chat.journal-new``     a journal that is being made; it gets the right name when it is whole
=======================  ====================================================================

Nothing is written, nor made beside it, before the first look has shown that the file is ours; and
nothing is written to it before everything in it has been checked.

SQLite's processes usually find each other in one more file, ``-shm``, which they share as memory.
If the disk fails under that memory, the system ends the process. So a server keeps that index
to itself (the VFS ``unix-excl``), and nobody else can open the file by SQLite meanwhile; see
:mod:`groupchat.journal.peek` for how it is read all the same.
"""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from groupchat.journal.errors import damage, describe, is_busy, on_failure, refusals
from groupchat.journal.storage import Damaged

__all__ = [
    "FORMAT",
    "Look",
    "Newer",
    "Unusable",
    "connect",
    "create",
    "discard",
    "has_wal",
    "identify",
    "inspect",
    "is_served",
    "lock",
    "publish",
]

FORMAT: Final = 1
"""The version of the format that is written, and the newest that is read."""

_PAGE_SIZE: Final = 8_192  # bytes
_MOST_VERSION: Final = 1_000  # what says more is damaged
_APPLICATION: Final = 0x67726368  # "grch": says in the file's header that it is ours
_MAGIC: Final = b"SQLite format 3\0"
_ALONE: Final = "&vfs=unix-excl" if os.name == "posix" else ""
_BUSY_SECONDS: Final = 5.0  # for which a lock of SQLite's own is waited for
_WAL_BYTES: Final = 1 << 24  # to which a WAL that has grown is cut when it can be

_TABLES: Final = tuple(
    f"CREATE TABLE {table} ({key} INTEGER PRIMARY KEY, body NOT NULL, checksum INTEGER NOT NULL)"
    for table, key in (
        ("batches", "number"),
        ("pages", "first"),
        ("snapshot", "number"),
        ("base", "number"),
    )
) + ("CREATE TABLE failures (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)",)


class Unusable(Exception):
    """The file cannot be used as a journal. The message says why, and what to do.

    Args:
        problem: why.
        advice: what to do about it when a server is started.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem


class InUse(Unusable):
    """Somebody writes to it."""


class Newer(Unusable):
    """It is from a newer version."""


def inspect(path: Path) -> bool:
    """Look whether *path* is a journal, without a trace.

    Returns:
        Whether there is anything at all.

    Raises:
        Unusable: it is something else, or from a newer version.
        OSError: it cannot be read.
    """
    another = "choose another --journal"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if has_wal(path):
            raise Unusable(
                f"{path} is gone, but its newest part, {_beside(path, '-wal')}, is there",
                "put the first back, or the second away",
            ) from None
        return False
    if not stat.S_ISREG(mode):  # to open a pipe would wait for ever
        raise Unusable(f"{path} is not a file", another)
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        raise Unusable(f"{path} is empty", f"if it should be, remove it, or {another}")
    identify(path, header)
    return True


def identify(path: Path, header: bytes) -> None:
    """Check that with this *header*, the first bytes of its first page, *path* is ours.

    Raises:
        Unusable: it is something else, or from a newer version.
    """
    another = "choose another --journal"
    ours = int.from_bytes(header[68:72], "big") == _APPLICATION
    version = int.from_bytes(header[60:64], "big")
    ours = ours and 0 < version < _MOST_VERSION and header.startswith(_MAGIC)
    if len(header) < 100 or not ours:
        raise Unusable(f"{path} is not a journal of groupchat", another)
    if version > FORMAT:
        raise Newer(
            f"{path} is from a newer groupchat (format {version}, and this one reads {FORMAT})",
            f"upgrade, or {another}",
        )


def lock(path: Path) -> sqlite3.Connection:
    """Return what holds the lock of the journal *path* for as long as it is open.

    SQLite's own locks, on a file of its own, for they work wherever SQLite does, and end with
    the process.

    Raises:
        Unusable: somebody else holds it, or it would not be the only one.
        OSError: it cannot be had.
    """
    if path.exists() and path.stat().st_nlink > 1:  # each with a lock and a WAL of its own
        raise Unusable(
            f"{path} is the same file as another (by a hard link)",
            "remove all its names but one, or make a copy",
        )
    beside = _beside(path, "-lock")
    # If it exists, only SQLite may open it: whoever closes a file loses all his locks on it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _give(beside, path)
    try:
        held = _connect(beside, "mode=rw", timeout=0.5)
    except sqlite3.Error as error:
        raise OSError(f"{beside}: {describe(error)}") from error
    try:
        held.execute("PRAGMA journal_mode=MEMORY")
        held.execute("BEGIN EXCLUSIVE")
        held.execute("PRAGMA user_version=0")  # if it is read-only, it is only shared
    except sqlite3.Error as error:
        held.close()
        if is_busy(error):
            raise InUse(
                f"{path} is in use",
                "is a server running already, or `groupchat journal` at work? "
                "Stop it, or choose another port or another --journal",
            ) from error
        raise OSError(f"{beside}: {describe(error)}") from error
    return held


def is_served(path: Path) -> bool:
    """Whether somebody holds the lock of the journal *path*."""
    beside = _beside(path, "-lock")
    try:
        with contextlib.closing(_connect(beside, "mode=ro", timeout=0)) as probe:
            probe.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        return is_busy(error)
    return False


def create(path: Path) -> sqlite3.Connection:
    """Make an empty journal that is to become *path*: see :func:`publish`. Only its owner can
    read it, for it holds what people say.

    Raises:
        OSError: it cannot be made.
    """
    new = _beside(path, "-new")
    discard(path)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    _give(new, path)
    with refusals():
        made = _connect(new, "mode=rw")
        with on_failure(made.close):
            made.execute(f"PRAGMA page_size={_PAGE_SIZE}")
            made.execute("PRAGMA journal_mode=OFF")  # until it is published, nobody needs it
            made.execute("PRAGMA synchronous=OFF")
            tables = ";".join(_TABLES)
            made.executescript(
                f"BEGIN; PRAGMA application_id={_APPLICATION}; PRAGMA user_version={FORMAT}; "
                f"{tables}; COMMIT;"
            )
    return made


def publish(path: Path, made: sqlite3.Connection) -> None:
    """Close the journal that :func:`create` has made, and give it the name *path*: on the disk
    there is a whole journal under that name at any time, the old one or this.

    Raises:
        OSError: it cannot be written.
    """
    new = _beside(path, "-new")
    with refusals(), contextlib.closing(made):
        made.execute("PRAGMA journal_mode=WAL")
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    new.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def discard(path: Path) -> None:
    """Remove what is left of a journal that was being made when something ended it.

    Raises:
        Unusable: something else has its name.
    """
    new = _beside(path, "-new")
    if new.exists() and new.stat().st_size:
        inspect(new)
    for suffix in ("-new", "-new-journal", "-new-wal", "-new-shm"):
        _beside(path, suffix).unlink(missing_ok=True)


class Look:
    """The journal *path*, opened to read what is in it.

    Args:
        path: the file.
        wal: whether what is in its WAL is to be seen. That takes a lock, and a file beside it
            until :meth:`close`. Otherwise it leaves no trace.

    Raises:
        Damaged: its tables are not ours.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, wal: bool = True) -> None:
        # SQLite would make a WAL where there is none, unless it is told that nothing changes.
        plain = wal and has_wal(path)
        shared = _beside(path, "-shm")
        self._made = shared if plain and not shared.exists() else None
        with path.open("rb") as file:
            if (
                file.read(20)[18:] != b"\2\2"
            ):  # else SQLite would not look into the WAL, or not write
                raise Damaged("its first bytes are not what they were")
        with refusals():
            self.connection = _connect(path, "mode=ro" if plain else "mode=ro&immutable=1")
        with on_failure(self.close):
            with damage():
                self.connection.text_factory = bytes
                self.connection.execute("PRAGMA cell_size_check=ON")
                schema = self.connection.execute("SELECT sql FROM sqlite_schema")
                tables = {sql for (sql,) in schema}
            if tables != {table.encode() for table in _TABLES}:
                raise Damaged("its tables are not what they were")

    def close(self) -> None:
        """Let go of it."""
        self.connection.close()
        if self._made is not None:
            self._made.unlink(missing_ok=True)


def has_wal(path: Path) -> bool:
    """Whether there is anything in the WAL of *path*."""
    wal = _beside(path, "-wal")
    return wal.exists() and wal.stat().st_size > 0


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the journal *path*, whose lock is ours.

    Args:
        path: the file.
        mode: ``ro`` or ``rw``.

    Raises:
        OSError: that is not possible.
    """
    with refusals():
        connection = _connect(path, f"mode={mode}{_ALONE}")
        with on_failure(connection.close):
            connection.text_factory = bytes
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    return connection


def _give(new: Path, path: Path) -> None:
    """Have *new* belong to whom *path* belongs, if there is that: its server is to use it."""
    if os.name == "posix" and path.exists():
        status = path.stat()
        with contextlib.suppress(PermissionError):  # who may not, is not the superuser
            os.chown(new, status.st_uid, status.st_gid)


def _beside(path: Path, suffix: str) -> Path:
    return path.parent / (path.name + suffix)  # of "/" too, which has no name


def _connect(path: Path, mode: str, timeout: float = _BUSY_SECONDS) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
