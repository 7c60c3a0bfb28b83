"""A journal's rows in a SQLite file.

What lives here: how rows are read and written. What must not: what they mean, and what can be
wrong with the file (that is for :mod:`groupchat.journal.files`).

Theory. A write is one transaction, in WAL mode with ``synchronous=FULL``: it is on the disk when it
is over, and after a crash there or not at all. Writes are made in a thread of their own, for a
slow disk must not keep anybody from reading. If the disk reports an error at the very end of
a write, when it is to be made durable, nobody knows whether it is there; so the place in the WAL
where it would be is written over, by a write of nothing. If that fails, too, it is tried again
until it is done, and only then is anybody told: what was reported as not stored does not come back.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from groupchat.journal.errors import damage, describe, on_failure, refusals
from groupchat.journal.files import (
    Look,
    Unusable,
    connect,
    create,
    discard,
    identify,
    inspect,
    lock,
    publish,
)
from groupchat.journal.interface import Done
from groupchat.journal.rawfile import RawFile, is_committed
from groupchat.journal.rows import BATCH
from groupchat.journal.storage import Damaged, Row, Write

__all__ = ["SQLiteReading", "SQLiteStorage", "put"]

log = logging.getLogger("groupchat")

_VOID_SECONDS: Final = 0.2  # between two tries to make a failed write void
_CLOSE_SECONDS: Final = 5.0  # for what is under way; to break it off costs nothing that was told
_BEGINNING: Final = 64  # bytes by which a batch is known; they lie on one page
_CHUNK_ROWS: Final = 1_024
_CHUNK_BYTES: Final = 1 << 20
_FETCHED_ROWS: Final = 8  # at a time, which is faster than each by itself; a row can be 4 MiB


class SQLiteReading:
    """The rows of a journal, to be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches after *after*. In between the file is let go of, so that whoever
        reads slowly does not keep the writer from tidying up."""
        query = "SELECT number, CAST(body AS BLOB), checksum FROM batches WHERE number > ? "
        query += f"ORDER BY number LIMIT {_CHUNK_ROWS}"
        while True:
            chunk: list[Row] = []
            size = 0
            with damage(), contextlib.closing(self.connection.execute(query, (after,))) as rows:
                while size < _CHUNK_BYTES and (some := rows.fetchmany(_FETCHED_ROWS)):
                    chunk += map(Row._make, some)
                    size += sum([len(row[1] or b"") for row in some])  # None in a damaged file
            if not chunk:
                return
            yield from chunk
            if chunk[-1].number <= after:
                raise Damaged("the batches are not in order")
            after = chunk[-1].number

    def page(self, first: int) -> Row | None:
        """Return the page *first*."""
        return self._one("pages", "first", "WHERE first = ?", first)

    def pages(self, after: int = -1) -> Iterator[Row]:
        """Yield the pages whose first position is greater than *after*."""
        while True:
            row = self._one("pages", "first", "WHERE first > ? ORDER BY first LIMIT 1", after)
            if row is None:
                return
            yield row
            after = row.number

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        return self._one("snapshot", "number", "ORDER BY number DESC LIMIT 1")

    def base(self) -> Row | None:
        """Return the base."""
        return self._one("base", "number", "ORDER BY number DESC LIMIT 1")

    def size(self) -> int:
        """Return how many bytes are in use in the file."""
        with damage():
            (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
            (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
            (size,) = self.connection.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def check(self) -> None:
        """Check how SQLite has arranged the file: whether every part of it belongs to one thing.

        Raises:
            Damaged: it is not as it should be.
        """
        with damage():
            ((found,),) = self.connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != b"ok":
            lines = found.decode(errors="replace").split("\n")
            raise Damaged(f"the file is not in order: {lines[-1]}")

    def _one(self, table: str, key: str, where: str, *values: int) -> Row | None:
        query = f"SELECT {key}, CAST(body AS BLOB), checksum FROM {table} {where}"
        with damage(), contextlib.closing(self.connection.execute(query, values)) as rows:
            row = rows.fetchone()
        return None if row is None else Row._make(row)


class SQLiteStorage(SQLiteReading):
    """A storage in the file *path*, which is made if it is not there.

    It can be read at once, and written after :meth:`begin`.

    Args:
        path: the file.
        call: has a function called, soon, in the thread of everybody else (asyncio's
            ``loop.call_soon_threadsafe``).

    Raises:
        Unusable: the file cannot be used.
        Damaged: it is no longer what it was.
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: Path, call: Callable[..., object]) -> None:
        self._path = path = Path(os.path.realpath(path))  # one lock, by whatever name it is called
        self._call = call
        self._writes: SimpleQueue[tuple[Write, Done] | None] = SimpleQueue()
        inspect(path)  # before there is a lock beside somebody else's file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(path)
        with on_failure(self._lock.close):
            if not inspect(path):
                publish(path, create(path))
            with RawFile(path) as raw:
                identify(path, raw.header())
            with contextlib.suppress(Unusable):  # not ours, and not in the way
                discard(path)  # what was being made when somebody was killed
            self._look = Look(path)
            super().__init__(self._look.connection)
        self._files: dict[Path, tuple[int, int] | None] = {}  # and which they were
        self._writing: sqlite3.Connection | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Check how SQLite has arranged the file, and that it finds all that is in the WAL."""
        super().check()
        with damage():
            ((last,),) = self.connection.execute(
                "SELECT ifnull(max(number), 0) FROM "
                "(SELECT number FROM batches UNION ALL SELECT number FROM base)"
            )
        with RawFile(self._path) as raw:
            if raw.proven(last) > last:
                raise Damaged(f"the WAL is damaged behind {BATCH} {last:,}")

    def begin(self) -> None:
        """Begin to write.

        Raises:
            OSError: that is not possible.
        """
        self._look.close()
        # If it cannot be written, SQLite would say so too late, when there is a WAL beside it.
        self._path.open("rb+").close()
        self._writing = self._open()
        self.connection = connect(self._path, "ro")
        wal = self._path.with_name(self._path.name + "-wal")
        self._files = {file: _identity(file) for file in (self._path, wal)}
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def write(self, what: Write, done: Done) -> None:
        """Write *what* in the thread for that, and have *done* called."""
        self._writes.put((what, done))

    def close(self) -> None:
        """Finish what is being written, and let go of the file. From a disk that does not answer
        it is only the end of the process that lets go."""
        if self._thread is None:
            self._look.close()
            if self._writing is not None:  # it is to read besides that was not possible
                self._writing.close()
        else:
            self._closing.set()
            self._writes.put(None)
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                log.error("the disk does not answer; what was not answered may be stored or not")
                return
        self._lock.close()

    def _work(self) -> None:
        while (task := self._writes.get()) is not None:
            what, done = task
            error, tried = self._store(what)
            if tried and error is not None and not self._undo(what, error):
                break  # nobody knows whether it is there, so nobody is told
            self._call(done, error)
        # While it is open, SQLite remembers where the WAL ends, and need not look what is in it.
        self.connection.close()
        if self._writing is not None:
            with contextlib.suppress(sqlite3.Error):  # somebody reads, or the disk is full
                self._writing.execute("PRAGMA busy_timeout=0")
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writing.close()

    def _store(self, what: Write) -> tuple[OSError | None, bool]:
        """Write *what*; return what went wrong, and whether it may be there all the same."""
        try:
            self._check_files()
            if self._writing is None:
                self._writing = self._open()
            put(self._writing, what)
        except OSError as error:
            return error, False
        except sqlite3.Error as error:
            return OSError(describe(error)), True
        return None, True

    def _undo(self, what: Write, error: OSError) -> bool:
        """Make sure that *what*, whose write ended in *error*, is not there. Return whether it is
        not; that is left open only when it is time to close."""
        absent, told = self._is_absent(what), False
        while not (self._void() or absent):
            if self._closing.is_set():
                return False
            if not told:
                text = "nobody knows whether the last messages are stored (%s); until that is known"
                self._call(log.error, text + ", nothing is", error)
                told = True
            self._closing.wait(_VOID_SECONDS)
        return True

    def _void(self) -> bool:
        """After a failed write, write nothing in its place. Return whether that is done."""
        connection, self._writing = self._writing, None  # the next one may find things mended
        try:
            if connection is None:
                self._check_files()
                connection = self._open()
            with contextlib.closing(connection):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute(
                    "INSERT INTO failures VALUES (1, 1) ON CONFLICT DO UPDATE SET count=count+1"
                )
        except (OSError, sqlite3.Error):
            return False
        return True

    def _is_absent(self, what: Write) -> bool:
        """Whether the end of the write *what* has not even come into the system's memory, from
        where it could find its way to the disk: it was earlier that something failed."""
        if what.batch is None:
            return True  # a snapshot tells nobody anything new
        try:
            return not is_committed(self._path, what.batch.body[:_BEGINNING])
        except OSError:
            return False

    def _check_files(self) -> None:
        for file, identity in self._files.items():
            if _identity(file) != identity:  # what is written would be found by nobody
                raise OSError(f"{file} has been moved or removed; restart the server")

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, "rw")
        with on_failure(connection.close), refusals():
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("DELETE FROM failures WHERE id < 0")  # can it be written?
        return connection


def put(connection: sqlite3.Connection, what: Write) -> None:
    """Write *what* as one transaction.

    Raises:
        sqlite3.Error: it is not written.
    """
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    if what.batch:
        _insert(connection, "batches", what.batch, text=True)
    for row in what.pages:
        execute("DELETE FROM pages WHERE first = ?", (row.number,))
        _insert(connection, "pages", row)
    if what.snapshot:
        execute("DELETE FROM snapshot")
        _insert(connection, "snapshot", what.snapshot, text=True)
    if what.first_page is not None:
        passed = execute("SELECT first FROM pages WHERE first < ?", (what.first_page,)).fetchall()
        gone = [row for row in passed if row[0] not in what.spared]
        connection.executemany("DELETE FROM pages WHERE first = ?", gone)
    if what.base:
        execute("DELETE FROM base")
        _insert(connection, "base", what.base, text=True)
        execute("DELETE FROM batches WHERE number <= ?", (what.base.number,))
    execute("COMMIT")


def _insert(connection: sqlite3.Connection, table: str, row: Row, text: bool = False) -> None:
    body = row.body.decode() if text else row.body
    connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (row.number, body, row.checksum))


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file has the name *path*; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
