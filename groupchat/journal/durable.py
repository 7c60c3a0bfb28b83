"""The durable journal: one write a batch, snapshots, and old pages put away.

What lives here: what is written when, and how the state is found again. What must not: how bytes
get onto a disk (that is a storage's) and what a record means (that is the chat's).

Theory. The log alone decides; all else is there to save time and memory, and can be made again
from it. With a batch, in the same write, go the pages that leave memory; and every
:data:`SNAPSHOT_RECORDS` records a snapshot of the state before the batch, with all pages that
somebody has still to read. To open a journal is to check the whole chain of batches, take the
snapshot, and apply the batches that came after it.

A page is written over only by a longer version of itself: whatever a snapshot refers to is in
the pages that are stored, perhaps with lines after it, which are cut off. And pages are let go
of only together with a newer snapshot, in whose state nobody waits for them.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from groupchat.core.chat import Chat
from groupchat.core.records import Drop, Record
from groupchat.core.timeline import Page
from groupchat.journal.interface import Done
from groupchat.journal.retention import FOR_EVER, Retention, older_than
from groupchat.journal.rows import (
    ORIGIN,
    batch_row,
    check_batch,
    page_of,
    page_row,
    records_of,
    snapshot_of,
    snapshot_row,
    time_of,
)
from groupchat.journal.storage import Damaged, Row, Storage, Write

__all__ = ["CACHED_PAGES", "RECENT_PAGES", "SNAPSHOT_RECORDS", "DurableJournal", "checked"]

SNAPSHOT_RECORDS: Final = 20_000
"""Records between two snapshots: so many are applied again at the most when a journal is opened."""

RECENT_PAGES: Final = 16
"""Full pages of the timeline that stay in memory."""

CACHED_PAGES: Final = 16
"""Old pages, brought back from the storage, that stay in memory."""


class DurableJournal:
    """A journal in a storage.

    Args:
        storage: where it is, or will be.
        retention: how much to keep.
        progress: called now and then, while the journal is read, with the bytes read so far.

    Raises:
        Damaged: what is there cannot be trusted.
    """

    def __init__(
        self,
        storage: Storage,
        retention: Retention = FOR_EVER,
        progress: Callable[[int], object] = bool,
    ) -> None:
        self._storage = storage
        self._retention = retention
        self._first_batch: int | None = None  # those before it go with the next snapshot
        self._settling = False  # old pages still have to go
        self._number = 0  # of the last batch
        self._checksum = ORIGIN  # of the last batch
        self._fresh_records = 0  # since the last snapshot
        self._written: dict[int, int] = {}  # how many lines of a page in memory are stored
        self._cache: OrderedDict[int, Page] = OrderedDict()
        self._last_page: object = None  # when old pages were last looked for
        self.chat = self._recover(progress)

    def append(self, records: Sequence[Record], done: Done) -> None:
        """Write *records* as one batch."""
        try:
            batch = batch_row(self._number + 1, records, self._checksum)
        except ValueError as error:
            done(OSError(str(error)))
            return
        leaving = self._leaving()
        if self._fresh_records < SNAPSHOT_RECORDS and not self._settling:
            pages = leaving
            what = Write(batch, list(map(page_row, pages)))
        else:
            what, pages = self._with_snapshot(batch)

        def written(error: OSError | None) -> None:
            if error is None:
                self._number, self._checksum = batch.number, batch.checksum
                self._fresh_records += len(records)
                if what.snapshot:
                    self._fresh_records = len(records)
                    self._settling, self._first_batch = self._first_batch is not None, None
                if pages:
                    self._note(pages, leaving)
            done(error)

        self._storage.write(what, written)

    def outdated(self, now: int) -> Drop | None:
        """Return what to let go of. Old batches go with the snapshot in the next write, and
        old pages with the one after it."""
        timeline = self.chat.group.timeline
        if self._settling:
            return Drop(timeline.start)
        time, excess = -1, 0
        if self._retention.milliseconds is not None:
            time = now - self._retention.milliseconds
        if self._retention.size is not None:
            excess = self._storage.size() - self._retention.size
        last = 0
        for row in self._storage.batches(0):
            written = time_of(row)
            if row.number > self._number or (written > time and excess <= 0):
                break
            time = max(time, written)
            excess -= 2 * len(row.body)  # once in the batch, and once in a page
            last = row.number
        if not last:
            return None
        self._first_batch, self._settling = last + 1, True
        return Drop(older_than(timeline, time))

    def rest(self, done: Done) -> None:
        """Write a snapshot, for it alone tells how far plain members have read."""
        what, pages = self._with_snapshot(None)

        def written(error: OSError | None) -> None:
            if error is None:
                self._fresh_records = 0
                self._note(pages, [])
            done(error)

        self._storage.write(what, written)

    def close(self) -> None:
        """Close the storage."""
        self._storage.close()

    def _recover(self, progress: Callable[[int], object]) -> Chat:
        snapshot = self._storage.snapshot()
        chat, checksum = Chat(), None
        if snapshot is not None:
            state, checksum = snapshot_of(snapshot)
            try:
                chat = Chat.restore(state, self._bring)
            except ValueError as error:
                raise Damaged(f"the snapshot {snapshot.number:,} makes no sense") from error
            self._cache.clear()  # one page of it is the chat's own now
        since = snapshot.number if snapshot else 0
        read = 0
        for row in checked(self._storage.batches(0)):
            read += len(row.body)
            if row.number % 1_024 == 0:
                progress(read)
            self._number, self._checksum = row.number, row.checksum
            if row.number == since and row.checksum != checksum:
                raise Damaged(f"the snapshot {since:,} does not belong to the batches")
            if row.number > since:
                self._replay(chat, row)
        if self._number < since:
            raise Damaged(f"the batches after {self._number:,} are missing")
        for page in chat.group.timeline.pages[:-1]:
            page.load()  # is it there, and whole?
        return chat

    def _replay(self, chat: Chat, row: Row) -> None:
        records = records_of(row)
        try:
            for record in records:
                chat.apply(record)
        except LookupError as error:
            raise Damaged(f"batch {row.number:,} makes no sense: {error}") from error
        self._fresh_records += len(records)

    def _leaving(self) -> list[Page]:
        """Return the pages that should leave memory."""
        timeline = self.chat.group.timeline
        last = timeline.pages[-1]
        if last is self._last_page:
            return []
        self._last_page = last
        return timeline.closed(RECENT_PAGES)

    def _with_snapshot(self, batch: Row | None) -> tuple[Write, list[Page]]:
        """Return the write of *batch* with a snapshot of all before, and the pages in it."""
        timeline = self.chat.group.timeline
        pages = [
            page
            for page in timeline.pages
            if isinstance(page, Page) and self._written.get(page.first) != len(page.ends)
        ]
        snapshot = snapshot_row(self._number, self.chat.snapshot(), self._checksum)
        rows = list(map(page_row, pages))
        return Write(batch, rows, snapshot, timeline.start, self._first_batch), pages

    def _note(self, pages: list[Page], leaving: list[Page]) -> None:
        """Take note that *pages* are stored, and let go of those that are *leaving*."""
        self._written.update((page.first, len(page.ends)) for page in pages)
        self.chat.group.timeline.shelve(leaving, self._bring)
        in_memory = {
            page.first for page in self.chat.group.timeline.pages if isinstance(page, Page)
        }
        self._written = {k: v for k, v in self._written.items() if k in in_memory}

    def _bring(self, first: int) -> Page:
        page = self._cache.pop(first, None)
        if page is None:
            row = self._storage.page(first)
            if row is None:
                raise Damaged(f"the page {first:,} is missing")
            page = page_of(row)
        self._cache[first] = page  # the last to be asked for, and so the last to go
        if len(self._cache) > CACHED_PAGES:
            self._cache.popitem(last=False)
        return page


def checked(batches: Iterable[Row]) -> Iterator[Row]:
    """Yield *batches*, the first of all first, but an anchor; each is checked.

    Raises:
        Damaged: one is not what was written, or is missing.
    """
    number, checksum = 0, ORIGIN
    for row in batches:
        if not number and not row.body:  # an anchor
            number, checksum = row.number, row.checksum
            continue
        if row.number != number + 1:
            raise Damaged(f"batch {number + 1:,} is missing")
        check_batch(row, checksum)
        number, checksum = row.number, row.checksum
        yield row
