"""Journals for the tests of ``groupchat journal``, and what the command says of them."""

import sqlite3
from pathlib import Path

from attrs import frozen

from groupchat.journal.reader import Reader
from groupchat.journal.retention import Retention
from groupchat.journal.storage import Row
from tests.journal.making import conversation, flipped, journal, many
from tests.processes import run

__all__ = [
    "TOLD",
    "Done",
    "Rows",
    "ask",
    "break_row",
    "lengthened",
    "let_go",
    "made",
    "replace_row",
    "rows_of",
]

TOLD = """\
Alice has joined
Bob has joined
Alice: Hello \u2744
Bob changed his name to Robert
Robert: It's me
Carol has joined
Carol: a
Carol: b
Alice: 0 of 5, with a tab\t.
Alice: 1 of 5, with a tab\t.
Alice: 2 of 5, with a tab\t.
Alice: 3 of 5, with a tab\t.
Alice: 4 of 5, with a tab\t.
Robert has left the group
Dora has joined
Alice: the end
"""
"""The conversation in the journals of these tests, as a whole."""


@frozen
class Done:
    """What a command has come to."""

    code: int
    out: str
    err: str


def ask(*arguments: str | Path) -> Done:
    """Run ``groupchat journal`` with *arguments*."""
    done = run("journal", *map(str, arguments))
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def made(path: Path, *, snapshot: bool = True) -> Path:
    """Make the journal *path*: a short conversation, in twelve batches, and unless the server was
    killed, a snapshot and a page."""
    one = journal(path)
    conversation(one)
    if snapshot:
        one.rest()
    one.journal.close()
    return path


def lengthened(path: Path, count: int, size: int = 200) -> Path:
    """Have *count* things said in the journal *path*, each of *size* bytes, in a batch each."""
    one = journal(path)
    many(one, count, size=size, a_batch=1)
    one.rest()  # with a page for Bob, who has read nothing
    one.journal.close()
    return path


def let_go(path: Path) -> Path:
    """Make the journal *path*, of which all that is older than a minute was let go: 102 events."""
    one = journal(path, Retention(milliseconds=60_000))
    many(one, 100)
    one.now += 200_000
    many(one, 5)
    while one.tick():
        pass
    one.journal.close()
    return path


@frozen
class Rows:
    """What is in a journal."""

    batches: list[Row]
    pages: list[Row]
    snapshot: Row | None
    base: Row | None


def rows_of(path: Path) -> Rows:
    """Return what is in the journal *path*, which must be whole."""
    with Reader(path) as reader:
        batches = [row for row in reader.log() if isinstance(row, Row)]
        reading = reader.reading()
        found = Rows(batches, list(reading.pages()), reading.snapshot(), reading.base())
        assert not reader.troubles
    return found


def break_row(path: Path, row: Row, offset: int = 40) -> None:
    """Change a byte of *row* in the file."""
    at = path.read_bytes().index(row.body[:60])
    flipped(path, at + offset)


def replace_row(path: Path, table: str, row: Row) -> None:
    """Put *row* in the place of the one with its number, or among the others."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",
        (row.number, row.body, row.checksum),
    )
    connection.close()
