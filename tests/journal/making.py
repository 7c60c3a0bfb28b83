"""Journals for the tests: made quickly, kept in memory, or written to by a real server."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from attrs import define, field

from groupchat.core import Command, Join, Leave, Rename, Send
from groupchat.core.chat import Chat
from groupchat.core.records import SERVER, Record
from groupchat.journal.durable import DurableJournal
from groupchat.journal.files import connect, create, inspect, publish
from groupchat.journal.interface import Done
from groupchat.journal.retention import FOR_EVER, Retention
from groupchat.journal.sqlite import SQLiteReading, put
from groupchat.journal.storage import Row, Write
from tests.core.logs import Writer

__all__ = [
    "START",
    "Keeper",
    "Kept",
    "Quick",
    "batch",
    "conversation",
    "copy_of",
    "fingerprint",
    "flipped",
    "journal",
    "keeper",
    "lines",
    "many",
    "opened",
    "put_into_the_file",
    "reopened",
    "same",
]

START = 1_763_848_800_000
"""When the conversations of the tests begin, in milliseconds since 1970."""


class Kept:
    """A storage in memory. Writes fail while *failing*."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.shelf: dict[int, Row] = {}
        self.newest: Row | None = None
        self.oldest: Row | None = None
        self.failing = False
        self.writes: list[Write] = []

    def write(self, what: Write, done: Done) -> None:
        if self.failing:
            done(OSError("no"))
            return
        self.writes.append(what)
        if what.batch:
            assert what.batch.number not in self.rows
            self.rows[what.batch.number] = what.batch
        self.shelf |= {row.number: row for row in what.pages}
        self.newest = what.snapshot or self.newest
        if what.first_page is not None:
            self.shelf = {
                n: row for n, row in self.shelf.items() if n >= what.first_page or n in what.spared
            }
        if what.base:
            self.oldest = what.base
            self.rows = {n: row for n, row in self.rows.items() if n > what.base.number}
        done(None)

    def batches(self, after: int) -> Iterator[Row]:
        return (row for number, row in sorted(self.rows.items()) if number > after)

    def page(self, first: int) -> Row | None:
        return self.shelf.get(first)

    def pages(self) -> Iterator[Row]:
        return (row for _, row in sorted(self.shelf.items()))

    def snapshot(self) -> Row | None:
        return self.newest

    def base(self) -> Row | None:
        return self.oldest

    def size(self) -> int:
        rows = [*self.rows.values(), *self.shelf.values(), self.newest, self.oldest]
        return sum(len(row.body) for row in rows if row)

    def close(self) -> None:
        pass


class Quick(SQLiteReading):
    """A storage in a file that does not wait for the disk. A test need not close it."""

    left_open: ClassVar[set["Quick"]] = set()

    def __init__(self, path: Path) -> None:
        if not inspect(path):
            publish(path, create(path))
        connection = connect(path, "rw")
        connection.execute("PRAGMA synchronous=OFF")
        super().__init__(connection)
        self.left_open.add(self)

    def write(self, what: Write, done: Done) -> None:
        put(self.connection, what)
        done(None)

    def close(self) -> None:
        self.connection.close()
        self.left_open.discard(self)


@define
class Keeper(Writer):
    """Carries out steps with a journal; each record is a batch."""

    journal: DurableJournal = field(factory=lambda: DurableJournal(Kept()))
    errors: list[OSError] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.chat = self.journal.chat

    def keep(self, *records: Record) -> bool:
        """Append *records* as one batch; return whether that is done."""
        results: list[OSError | None] = []
        self.journal.append(records, results.append)
        (error,) = results
        if error is None:
            for record in records:
                self.chat.apply(record)
                self.records.append(record)
        return error is None

    def tick(self) -> bool:
        """Do as a server does every second; return whether there was anything to do."""
        drop = self.journal.outdated(self.now)
        if drop is None:
            return False
        self.keep(Record(self.now, SERVER, 0, (drop,)))
        return True

    def rest(self) -> None:
        results: list[OSError | None] = []
        self.journal.rest(results.append)
        assert results == [None]

    def _append(self, record: Record) -> None:
        self.keep(record)


def journal(path: Path, retention: Retention = FOR_EVER) -> Keeper:
    """Return what writes to the journal *path*, quickly."""
    return Keeper(journal=DurableJournal(Quick(path), retention), now=START)


def keeper(storage: Kept) -> Keeper:
    """Return who keeps a journal in *storage*."""
    return Keeper(journal=DurableJournal(storage))


def reopened(storage: Kept) -> Chat:
    """Return the chat of the journal in *storage*, opened once more."""
    return DurableJournal(storage).chat


def opened(path: Path) -> DurableJournal:
    """Return the journal *path*, to be looked at."""
    return DurableJournal(Quick(path))


def batch(keeper: Keeper, *said: tuple[str, Command]) -> None:
    """Have *keeper* write a batch: who does what."""
    group = keeper.chat.group
    records = []
    for sender, command in said:
        standing = group.standing(sender) if sender in group else 0
        records.append(Record(keeper.now, sender, standing, (command,), 1_024))
    assert keeper.keep(*records)
    keeper.now += 1_000


def conversation(keeper: Keeper) -> None:
    """Have *keeper* write a short conversation of all kinds of events, in twelve batches."""
    batch(keeper, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")))
    batch(keeper, ("udp 1", Send("Hello \u2744")))
    batch(keeper, ("udp 2", Rename("Robert")), ("udp 2", Send("It's me")))
    keeper.keep(Record(keeper.now, "session c", 0, (Join("Carol"),), None, 1, "done"))
    keeper.now += 1_000
    end = keeper.chat.group.timeline.end
    keeper.keep(
        Record(keeper.now, "session c", end, (Send("a"), Send("b")), None, 2, "done,not-a-request")
    )
    for number in range(5):
        batch(keeper, ("udp 1", Send(f"{number} of 5, with a tab\t.")))
    batch(keeper, ("udp 2", Leave()), ("tcp 3 #1", Join("Dora")))
    batch(keeper, ("udp 1", Send("the end")))


def many(keeper: Keeper, count: int, size: int = 200, a_batch: int = 50) -> None:
    """Have Alice say *count* things, each of *size* bytes, to Bob, who never reads."""
    if "udp 1" not in keeper.chat.group:
        batch(keeper, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")))
    for start in range(0, count, a_batch):
        texts = [f"{n:08}".ljust(size, "x") for n in range(start, min(count, start + a_batch))]
        batch(keeper, *(("udp 1", Send(text)) for text in texts))


def put_into_the_file(keeper: Keeper) -> None:
    """Have SQLite put the WAL into the file, as it does now and then."""
    storage = keeper.journal._storage
    assert isinstance(storage, Quick)
    storage.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def copy_of(path: Path, folder: Path) -> Path:
    """Copy the journal *path*, and its WAL, into a new *folder*: what a server that is killed now
    leaves behind."""
    folder.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, folder)
    return folder / path.name


def lines(chat: Chat, position: int = 0) -> bytes:
    """Return all lines of *chat* from *position* on, with their stamps."""
    return b"".join(span.stamped()[0] for span in chat.group.timeline.excerpt(position))


def same(chat: Chat, other: Chat) -> bool:
    """Whether two chats are in the same state, and have the same events to tell."""
    return chat.snapshot() == other.snapshot() and lines(chat) == lines(other)


def fingerprint(path: Path) -> dict[str, tuple[int, str]]:
    """Return what the journal's file and those beside it hold, its lock excepted."""
    return {
        file.name: (file.stat().st_mode, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(path.parent.iterdir())
        if file.name.startswith(path.name) and not file.name.endswith("-lock")
    }


def flipped(path: Path, offset: int, change: int = 1) -> None:
    """Change one byte of a file."""
    with path.open("rb+") as file:
        file.seek(offset)
        (before,) = file.read(1)
        file.seek(offset)
        file.write(bytes([before ^ change]))
