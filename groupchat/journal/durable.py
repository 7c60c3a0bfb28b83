"""The durable journal: one write a batch, snapshots, and old pages put away.

What lives here: what is written when. What must not: how bytes get onto a disk (that is a
storage's), what a record means (the chat's), how the state is found again
(:mod:`groupchat.journal.recovery`).

Theory. The log alone decides; all else is there to save time and memory, and can be made again
from it. With a batch, in the same write, go the pages that leave memory; and every
:data:`SNAPSHOT_RECORDS` records, or :data:`SNAPSHOT_BYTES` bytes of them, a snapshot of the state
before the batch, with all pages that somebody has still to read. To open a journal is to check the
whole chain of batches, take the snapshot, and apply the batches that came after it.

A page is written over only by a longer version of itself: whatever a snapshot refers to is in
the pages that are stored, perhaps with lines after it, which are cut off. And pages are let go
of only together with a newer snapshot, in whose state nobody waits for them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from groupchat.core.pages import Page, Place
from groupchat.core.records import SERVER, Drop, Record
from groupchat.journal.interface import Done
from groupchat.journal.recovery import Progress, recover
from groupchat.journal.retention import FOR_EVER, Base, Removal, Retention
from groupchat.journal.rows import PAGE, SNAPSHOT, State, batch_row, page_of, page_row, state_row
from groupchat.journal.storage import Damaged, Row, Storage, Write

__all__ = [
    "CACHED_PAGES",
    "RECENT_PAGES",
    "SNAPSHOT_BYTES",
    "SNAPSHOT_RECORDS",
    "UNSETTLED_RECORDS",
    "DurableJournal",
]

SNAPSHOT_RECORDS: Final = 20_000
"""Records between two snapshots: so many are applied again at the most when a journal is opened."""

SNAPSHOT_BYTES: Final = 16 << 20
"""Bytes of batches between two snapshots, likewise: all that was said in them is in memory then."""

RECENT_PAGES: Final = 16
"""Full pages of the timeline that stay in memory."""

CACHED_PAGES: Final = 32
"""Old pages, brought back from the storage, that stay in memory. A plain reply of 1 MiB, which is
measured before it is sent, has 17."""

UNSETTLED_RECORDS: Final = 1_000
"""Records since the last snapshot that may be when it is decided what to let go of."""

_NOTHING: Final = Drop(0)  # lets go of nothing, but is something to write


class DurableJournal:
    """A journal in a storage.

    Args:
        storage: where it is, or will be.
        retention: how much to keep.
        progress: called now and then, while the journal is read, with how many bytes more have
            been.

    Raises:
        Damaged: what is there cannot be trusted.
    """

    def __init__(
        self, storage: Storage, retention: Retention = FOR_EVER, progress: Progress = bool
    ) -> None:
        self._storage = storage
        self._retention = retention
        self._written: dict[int, int] = {}  # how many lines of a page in memory are stored
        self._cache: OrderedDict[int, Page] = OrderedDict()
        self._last_page: object = None  # when old pages were last looked for
        self._opened = False
        found = recover(storage, self._bring, progress)
        self._opened = True
        self._cache.clear()  # one page of it is the chat's own now
        self.chat = found.chat
        self._end = found.chain
        self._fresh_records = found.fresh  # since the last snapshot
        self._fresh_bytes = found.fresh_bytes
        self._removal = Removal(storage, found.base)
        self._base: Base | None = None  # is to be written together with its Drop
        self._settling = False  # the next write has to have a snapshot

    def append(self, records: Sequence[Record], done: Done) -> None:
        """Write *records* as one batch."""
        end = self._end
        try:
            batch = batch_row(
                end.number + 1,
                records,
                end.checksum,
                end.records,
                self.chat.group.timeline.end,
            )
        except ValueError as error:
            done(OSError(str(error)))
            return
        leaving = self._leaving()
        base = self._base if self._base and _drops(records, self._base) else None
        if base or self._settling or self._is_long_ago():
            what, pages = self._with_snapshot(batch, base)
        else:
            pages = [place.load() for place in leaving]
            what = Write(batch, list(map(page_row, pages)))

        def written(error: OSError | None) -> None:
            if error is None:
                end.add(batch)
                if what.snapshot:
                    self._fresh_records = self._fresh_bytes = 0
                    # What the base lets go of is in this snapshot still, and its pages are stored.
                    self._settling = base is not None
                self._fresh_records += len(records)
                self._fresh_bytes += len(batch.body)
                if base:
                    self._base = None
                if pages:
                    self._note(pages, leaving)
            else:
                self._last_page = None  # pages have yet to leave
            done(error)

        self._storage.write(what, written)

    def outdated(self, now: int) -> Drop | None:
        """Return what to let go of.

        Old batches go with the snapshot in the next write, and old pages with the one after it.

        Raises:
            Damaged: what is to go cannot be read.
        """
        if self._base is None and not self._settling:
            retention, size = self._retention, 0
            if retention.size is not None:
                size = self._storage.size() + sum(page.size for page in self._unwritten())
                if size > retention.size and self._fresh_records > UNSETTLED_RECORDS:
                    self._settling = True  # perhaps it is only that pages nobody needs are there
                    return _NOTHING
            self._base = self._removal.next(
                retention, now, size, self._end.number, self.chat.group.timeline.pages[0].first
            )
        if self._base is not None:
            return Drop(self._base.position)
        return _NOTHING if self._settling else None

    def rest(self, done: Done) -> None:
        """Write a snapshot, for it alone tells how far plain members have read."""
        what, pages = self._with_snapshot(None, None)

        def written(error: OSError | None) -> None:
            if error is None:
                self._fresh_records = self._fresh_bytes = 0
                self._settling = False
                self._note(pages, [])
            done(error)

        self._storage.write(what, written)

    def close(self) -> None:
        """Close the storage."""
        self._storage.close()

    def _is_long_ago(self) -> bool:
        """Whether the last snapshot is."""
        return self._fresh_records >= SNAPSHOT_RECORDS or self._fresh_bytes >= SNAPSHOT_BYTES

    def _leaving(self) -> list[Place]:
        """Return the pages that should leave memory."""
        timeline = self.chat.group.timeline
        last = timeline.pages[-1]
        if last is self._last_page:
            return []
        self._last_page = last
        return timeline.closed(RECENT_PAGES)

    def _with_snapshot(self, batch: Row | None, base: Base | None) -> tuple[Write, list[Page]]:
        """Return the write of *batch* with a snapshot of all before, and the pages in it."""
        timeline, end = self.chat.group.timeline, self._end
        pages = self._unwritten()
        state = State(end.number, end.checksum, end.records, self.chat.snapshot())
        first_page = timeline.pages[0].first
        what = Write(
            batch,
            list(map(page_row, pages)),
            state_row(SNAPSHOT, state),
            first_page,
            {place.first for place in timeline.held if place.first < first_page},
            base.row if base else None,
        )
        return what, pages

    def _unwritten(self) -> list[Page]:
        """Return the pages in memory that are not stored as they are."""
        return [
            page for page in self._in_memory() if self._written.get(page.first) != len(page.ends)
        ]

    def _in_memory(self) -> list[Page]:
        held = self.chat.group.timeline.held
        return [place.page for place in held if isinstance(place.page, Page)]

    def _note(self, pages: list[Page], leaving: list[Place]) -> None:
        """Take note that *pages* are stored, and let go of those that are *leaving*."""
        self._written.update((page.first, len(page.ends)) for page in pages)
        for place in leaving:
            place.shelve(self._bring)
        in_memory = {page.first for page in self._in_memory()}
        self._written = {k: v for k, v in self._written.items() if k in in_memory}

    def _bring(self, first: int) -> Page:
        page = self._cache.pop(first, None)
        if page is None:
            try:
                row = self._storage.page(first)
            except OSError as error:
                if not self._opened:
                    raise
                # To who wants to read it, that is the same.
                raise Damaged(f"{PAGE} {first:,} cannot be read: {error}") from error
            if row is None:
                raise Damaged(f"{PAGE} {first:,} is missing")
            page = page_of(row)
        self._cache[first] = page  # the last to be asked for, and so the last to go
        if len(self._cache) > CACHED_PAGES:
            self._cache.popitem(last=False)
        return page


def _drops(records: Sequence[Record], base: Base) -> bool:
    """Whether it is in *records* that all before *base* is let go of."""
    return any(
        record.sender == SERVER and Drop(base.position) in record.commands for record in records
    )
