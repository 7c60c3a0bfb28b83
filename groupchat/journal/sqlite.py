"""A journal's bytes in a SQLite file.

What lives here: tables and transactions, the lock, and what a file must be to be ours. What must
not: what the bytes mean.

Theory. A write is one transaction, in WAL mode with ``synchronous=FULL``: it is on the disk when it
is over, and after a crash there or not at all. Writes are made in a thread of their own, for a
slow disk must not keep anybody from reading. If the disk reports an error at the very end of
a write, when it is to be made durable, nobody knows whether it is there; so the place in the file
where it would be is written over at once, by a write of nothing. What was reported as not stored
does not come back.

Whatever can go wrong with the file of somebody else is found before anything is written: the
lock is another file, and the first look is for reading alone.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from groupchat.journal.interface import Done
from groupchat.journal.storage import Damaged, Row, Write

__all__ = ["FORMAT", "SQLiteStorage", "Unusable", "inspect"]

FORMAT: Final = 1
"""The version of the format that is written, and the newest that is read."""

_APPLICATION: Final = 0x67726368  # "grch": says in the file's header that it is ours
_MAGIC: Final = b"SQLite format 3\0"
_TABLES: Final = "".join(
    f"CREATE TABLE {table} ({key} INTEGER PRIMARY KEY, body NOT NULL, checksum INTEGER NOT NULL);"
    for table, key in (("batches", "number"), ("pages", "first"), ("snapshot", "number"))
)


class Unusable(Exception):
    """The file cannot be used as a journal. The message says why, and what to do."""


def inspect(path: Path) -> bool:
    """Look whether *path* is a journal.

    Returns:
        Whether there is anything at all.

    Raises:
        Unusable: it is something else, or from a newer version.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return False
    if not header:
        return False
    ours = int.from_bytes(header[68:72], "big") == _APPLICATION
    if len(header) < 100 or not header.startswith(_MAGIC) or not ours:
        raise Unusable(f"{path} is not a journal of groupchat; choose another --journal")
    version = int.from_bytes(header[60:64], "big")
    if version > FORMAT:
        raise Unusable(
            f"{path} is from a newer groupchat (format {version}, and this one reads {FORMAT}); "
            "upgrade, or choose another --journal"
        )
    return True


class SQLiteStorage:
    """A storage in the file *path*, which is made if it is not there.

    Args:
        path: the file.
        call: has a function called, soon, in the thread of everybody else (asyncio's
            ``loop.call_soon_threadsafe``).

    Raises:
        Unusable: the file cannot be used.
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: Path, call: Callable[..., object]) -> None:
        self._path = path
        self._call = call
        self._writes: SimpleQueue[tuple[Write, Done] | None] = SimpleQueue()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            if not inspect(path):
                _create(path)
            self._reading = _open(path, "ro")
        except BaseException:
            self._lock.close()
            raise
        self._thread: threading.Thread | None = None

    def write(self, what: Write, done: Done) -> None:
        """Write *what* in the thread for that, and have *done* called."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        self._writes.put((what, done))

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches after *after*."""
        return _rows(self._reading, "batches", "number", after)

    def page(self, first: int) -> Row | None:
        """Return the page *first*."""
        return next(_rows(self._reading, "pages", "first", first - 1), None)

    def pages(self) -> Iterator[Row]:
        """Yield the pages."""
        return _rows(self._reading, "pages", "first", -1)

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        return next(_rows(self._reading, "snapshot", "number", -1), None)

    def size(self) -> int:
        """Return how many bytes are in use in the file."""
        with _damage():
            (pages,) = self._reading.execute("PRAGMA page_count").fetchone()
            (free,) = self._reading.execute("PRAGMA freelist_count").fetchone()
            (size,) = self._reading.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def close(self) -> None:
        """Finish what is being written, and let go of the file."""
        if self._thread is not None:
            self._writes.put(None)
            self._thread.join()
        self._reading.close()
        self._lock.close()

    def _work(self) -> None:
        writing: sqlite3.Connection | None = None
        while (task := self._writes.get()) is not None:
            what, done = task
            failure: OSError | None = None
            try:
                writing = writing or _open(self._path, "rw")
                _write(writing, what)
            except (sqlite3.Error, OSError) as error:
                failure = OSError(str(error))
                if writing is not None:
                    _void(writing)
            self._call(done, failure)
        if writing is not None:
            writing.close()


def _locked(path: Path) -> sqlite3.Connection:
    """Return what holds the lock of the journal *path* for as long as it is open.

    SQLite's own locks, on a file beside the journal, for they work wherever SQLite does, and end
    with the process.
    """
    beside = path.with_name(path.name + "-lock")
    try:
        lock = sqlite3.connect(beside, timeout=0, isolation_level=None)
        try:
            lock.execute("PRAGMA journal_mode=MEMORY")
            lock.execute("BEGIN EXCLUSIVE")
        except BaseException:
            lock.close()
            raise
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Unusable(
                f"{path} is in use; is a server running already? Stop it, or choose another port "
                "or another --journal"
            ) from error
        raise OSError(f"{path}: {error}") from error
    return lock


def _create(path: Path) -> None:
    """Make an empty journal that only its owner can read: it holds what people say.

    It is made under another name, so that *path* is a whole journal or nothing.
    """
    new = path.with_name(path.name + "-new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with _operational(path), contextlib.closing(sqlite3.connect(new, isolation_level=None)) as made:
        made.execute("PRAGMA page_size=8192")
        made.execute("PRAGMA auto_vacuum=INCREMENTAL")
        made.executescript(
            f"BEGIN; PRAGMA application_id={_APPLICATION}; PRAGMA user_version={FORMAT}; {_TABLES}"
            "CREATE TABLE failures (id INTEGER PRIMARY KEY, count INTEGER NOT NULL); COMMIT;"
        )
        made.execute("PRAGMA journal_mode=WAL")
    new.replace(path)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    with _operational(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=5,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = bytes
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def _write(connection: sqlite3.Connection, what: Write) -> None:
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    for table, key, rows in (
        ("batches", "number", [what.batch] if what.batch else []),
        ("pages", "first", what.pages),
    ):
        for row in rows:
            execute(
                f"INSERT OR REPLACE INTO {table} ({key}, body, checksum) VALUES (?, ?, ?)",
                (row.number, row.body.decode() if table == "batches" else row.body, row.checksum),
            )
    if what.snapshot:
        row = what.snapshot
        execute("DELETE FROM snapshot")
        execute(
            "INSERT INTO snapshot VALUES (?, ?, ?)", (row.number, row.body.decode(), row.checksum)
        )
    if what.first_page is not None:
        execute("DELETE FROM pages WHERE first < ?", (what.first_page,))
    if what.first_batch is not None:
        execute("DELETE FROM batches WHERE number < ?", (what.first_batch - 1,))
        execute("UPDATE batches SET body = '' WHERE number = ?", (what.first_batch - 1,))
    execute("COMMIT")


def _void(connection: sqlite3.Connection) -> None:
    """After a failed write, write nothing in its place."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(
            "INSERT INTO failures VALUES (1, 1) ON CONFLICT DO UPDATE SET count=count+1"
        )


def _rows(connection: sqlite3.Connection, table: str, key: str, after: int) -> Iterator[Row]:
    with _damage():
        query = f"SELECT {key}, body, checksum FROM {table} WHERE {key} > ? ORDER BY {key}"
        for number, body, checksum in connection.execute(query, (after,)):
            yield Row(number, body, checksum)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Damaged(f"cannot be read: {error}") from error


@contextlib.contextmanager
def _operational(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
