"""Writes a journal anew: ``groupchat journal compact``.

What lives here: what the new file has, and when it takes the place of the old one.

Theory. The new file has the same log, in large batches instead of many small ones, a snapshot of
now, and those pages that somebody has still to read. Nothing that anybody is still to get is lost,
and nothing that was said. It is made beside the old one, and takes its name when it is whole and
on the disk, so whatever happens in between leaves the old one.

If a snapshot or a page is damaged, or SQLite's arrangement of the file, all that is made again
from the log, as long as that can be read.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen

from groupchat.core.chat import Chat
from groupchat.core.pages import Page
from groupchat.journal.chain import Chain
from groupchat.journal.errors import on_failure, refusals
from groupchat.journal.files import connect, create, discard, lock, publish
from groupchat.journal.reader import Reader
from groupchat.journal.recovery import Recovered, beginning, recover, replay, restore, without_pages
from groupchat.journal.rows import (
    BASE,
    BATCH,
    PAGE,
    SNAPSHOT,
    State,
    first_time_of,
    header_of,
    page_of,
    page_row,
    seal,
    state_row,
    time_of,
)
from groupchat.journal.sqlite import SQLiteReading, put
from groupchat.journal.storage import Damaged, Reading, Row, Write

__all__ = ["BATCH_BYTES", "BATCH_MILLISECONDS", "Compacted", "compact"]

BATCH_BYTES: Final = 8_192
"""Bytes of records after which a batch of the new journal ends. What damage hits is lost by the
batch, so it is not made larger than it need be."""

BATCH_MILLISECONDS: Final = 3_600_000
"""Milliseconds from its oldest record to its newest; for old batches are let go of whole."""


@frozen
class Compacted:
    """What has come of it."""

    before: int
    """Bytes of the old file, its WAL included."""
    after: int
    """Bytes of the new one."""
    mended: str
    """What was wrong with the old one, and is made again; empty if nothing was."""


def compact(path: Path, progress: Callable[[int], object] = bool) -> Compacted:
    """Write the journal *path* anew.

    Args:
        path: the file.
        progress: called now and then with how many bytes more have been read.

    Raises:
        FileNotFoundError: there is none.
        Unusable: it is no journal, or somebody has it.
        Damaged: its log is not whole.
        OSError: it cannot be read, or the new one not be written.
    """
    path = Path(os.path.realpath(path))
    Reader(path).close()  # before there is a lock beside somebody else's file
    with contextlib.closing(lock(path)), contextlib.ExitStack() as stack:
        before = sum(
            file.stat().st_size
            for file in (path, path.with_name(path.name + "-wal"))
            if file.exists()
        )
        reader = stack.enter_context(Reader(path, progress, alone=True))
        with on_failure(partial(discard, path)):
            made = create(path)
            stack.callback(made.close)
            mended = _Copy(reader, made).run(progress)
            reader.close()
            _settle(path)
            publish(path, made)
        return Compacted(before, path.stat().st_size, mended)


class _Copy:
    """Fills the new journal *made* with what *reader* has."""

    def __init__(self, reader: Reader, made: sqlite3.Connection) -> None:
        self._reader = reader
        self._made = made
        made.text_factory = bytes
        self._new = SQLiteReading(made)
        self._chain = Chain()
        self._lines: list[bytes] = []
        self._size = 0
        self._since = 0  # when its first record was taken
        self._events = 0  # before the batch that is being gathered

    def run(self, progress: Callable[[int], object]) -> str:
        """Return what had to be made again."""
        reader, mended = self._reader, ""
        found: Recovered | None = None
        source: Reading = reader.reading()
        try:
            if reader.troubles:
                raise Damaged(reader.troubles[0])
            reader.check()
            found = recover(source, lambda first: _page(source, first), progress)
        except Damaged as error:
            mended = str(error)
        base = reader.base()
        chat = restore(BASE, base or beginning(), without_pages) if found is None else found.chat
        if base is not None:
            self._chain = Chain(base.number, base.checksum, base.records)
            self._put(Write(base=state_row(BASE, base)))
        for row in self._batches(base):
            self._gather(row)
            if found is None:
                replay(chat, row)
                self._shelve(chat)
        self._end_batch()
        self._keep(chat, source)
        return mended

    def _batches(self, base: State | None) -> Iterator[Row]:
        for row in self._reader.log(base):
            if not isinstance(row, Row):
                raise Damaged(str(row))
            yield row

    def _gather(self, row: Row) -> None:
        """Put the records of *row* into the batch that is being gathered."""
        if time_of(row) - self._since > BATCH_MILLISECONDS:
            self._end_batch()
        if not self._lines:
            self._events, self._since = header_of(row).events, first_time_of(row)
        self._lines.append(row.body.partition(b"\n")[2])
        self._size += len(row.body)
        if self._size >= BATCH_BYTES:
            self._end_batch()

    def _end_batch(self) -> None:
        if not self._lines:
            return
        chain = self._chain
        number = chain.number + 1
        head = b"%d %d %d %d" % (number, chain.checksum, chain.records, self._events)
        row = seal(BATCH, number, b"\n".join([head, *self._lines]))
        self._put(Write(row))
        chain.add(row)
        self._lines, self._size = [], 0

    def _shelve(self, chat: Chat) -> None:
        """Take full pages of *chat* out of memory."""
        places = chat.group.timeline.closed(1)
        if places:
            self._put(Write(pages=[page_row(place.load()) for place in places]))
            for place in places:
                place.shelve(lambda first: _page(self._new, first))

    def _keep(self, chat: Chat, source: Reading) -> None:
        """Write the snapshot, and the pages that are not there yet."""
        pages = chat.group.timeline.pages
        for place in pages:
            if isinstance(place.page, Page):
                self._put(Write(pages=[page_row(place.page)]))
            elif self._new.page(place.first) is None:
                self._put(Write(pages=[page_row(_page(source, place.first))]))
        chain = self._chain
        state = State(chain.number, chain.checksum, chain.records, chat.snapshot())
        self._put(Write(None, (), state_row(SNAPSHOT, state), pages[0].first))

    def _put(self, what: Write) -> None:
        with refusals():
            put(self._made, what)


def _page(reading: Reading, first: int) -> Page:
    row = reading.page(first)
    if row is None:
        raise Damaged(f"{PAGE} {first:,} is missing")
    return page_of(row)


def _settle(path: Path) -> None:
    """Have the WAL of the old journal go: it must not be taken for that of the new one."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        with refusals(), contextlib.closing(connect(path, "rw")) as old:
            (busy, _, _) = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OSError("somebody else has it open")
    wal.unlink(missing_ok=True)
