"""Journals of all kinds of batches, and what a reader finds in them."""

from pathlib import Path

from groupchat.core import Send
from groupchat.journal.reader import Gap, Reader
from groupchat.journal.storage import Row
from tests.journal.making import batch, conversation, journal, many

__all__ = ["PAGE", "read", "rows", "various", "where"]

PAGE = 8_192


def various(path: Path) -> Path:
    """Make the journal *path*, with batches that are short, long, and longer than a page."""
    one = journal(path)
    conversation(one)
    many(one, 600, size=300, a_batch=10)
    batch(one, *[("udp 1", Send("long " * 700))] * 4)
    many(one, 100, size=100, a_batch=1)
    one.rest()
    one.journal.close()
    return path


def rows(path: Path) -> list[Row]:
    """Return what is in the journal *path*, which must be whole."""
    with Reader(path) as reader:
        found = [row for row in reader.log() if isinstance(row, Row)]
        assert not reader.troubles
    return found


def read(path: Path) -> tuple[list[Row], list[str], list[str]]:
    """Return what can be read, the gaps, and what else is wrong."""
    with Reader(path) as reader:
        found = list(reader.log())
        return (
            [row for row in found if isinstance(row, Row)],
            [str(row) for row in found if isinstance(row, Gap)],
            reader.troubles,
        )


def where(path: Path, row: Row) -> int:
    """Return where in the file the body of *row* begins."""
    at = path.read_bytes().index(row.body[:100])
    assert at > 0
    return at
