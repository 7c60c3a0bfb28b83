"""Checks a journal in all respects: ``groupchat journal check``.

What lives here: what there is to check, and what is said of it. What must not: anything that
writes.

Theory. There are three questions, and they differ in what the answer means.

1. Is the log whole? Each batch is what was written, and follows the one before. If not, messages
   are lost, and all that is left to do is to save the others.
2. Is what was derived from it (pages, snapshot) whole, and does it say the same as the log? This is
   asked of every line and every member. If not, nothing is lost: it can be made again.
3. Has SQLite arranged the file as it should? If not, the next write could destroy something. Here,
   too, nothing is lost as long as the log can be read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from attrs import define, field

from groupchat.core.lines import render
from groupchat.core.pages import Page
from groupchat.core.quantity import counted
from groupchat.journal.history import Entry, History, kind_of
from groupchat.journal.reader import Gap, Reader, Removed
from groupchat.journal.recovery import recover
from groupchat.journal.rows import (
    BATCH,
    PAGE,
    SNAPSHOT,
    State,
    header_of,
    page_of,
    records_of,
)
from groupchat.journal.storage import Damaged, Row

__all__ = ["Findings", "verify"]

Result = TypeVar("Result")


@define
class Findings:
    """What was found."""

    batches: int = 0
    records: int = 0
    """How many could be read."""
    events: int = 0
    """How many of them are events."""
    let_go: int = 0
    """How many events before them, or in between while a server lets go of some, are not kept."""
    first_time: int | None = None
    """When the first record was taken, in milliseconds since 1970."""
    last_time: int | None = None
    """When the last was."""
    members: int = 0
    pages: int = 0
    snapshot: int | None = None
    """After which batch the snapshot was made."""
    lost: list[str] = field(factory=list)
    """What is wrong with the log, in its order."""
    derived: list[str] = field(factory=list)
    """What is wrong with what can be made again."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong at all."""
        return not self.lost and not self.derived


def verify(path: Path, progress: Callable[[int], object] = bool) -> Findings:
    """Check the journal *path*.

    Args:
        path: the file.
        progress: called now and then with how many bytes more have been read.

    Raises:
        FileNotFoundError: there is none.
        Unusable: it is no journal at all, or from a newer version.
        OSError: it cannot be read.
    """
    with Reader(path, progress) as reader:
        return _Verification(reader).run()


class _Verification:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._found = Findings()

    def run(self) -> Findings:
        reader, found = self._reader, self._found
        self._try(reader.check, found.derived)
        base = self._try(reader.base, found.lost)
        snapshot = self._try(reader.snapshot, found.derived)
        history = History(base)
        found.let_go = history.position
        found.snapshot = snapshot.number if snapshot else None
        pages = _Pages(reader, found.derived)
        if base is not None:
            self._compare(base.number, history, snapshot)
        for row in reader.log(base):
            if isinstance(row, Gap):
                found.lost.append(str(row))
                pages.stop()
            elif isinstance(row, Removed):
                before, history = history, History(row.base)
                found.let_go += history.position - before.position
                self._compare(row.base.number, history, snapshot)
            else:
                self._take(row, history, pages)
                self._compare(row.number, history, snapshot)
        found.members = len(history.members)
        found.pages = pages.finish()
        found.derived += [text for text in reader.troubles if text not in found.derived]
        if not found.lost and not found.derived:
            self._try(self._recovery, found.derived)
        return found

    def _recovery(self) -> None:
        """Do what a server does when it starts."""
        self._reader.retry(lambda: recover(self._reader.reading(), self._bring))

    def _take(self, row: Row, history: History, pages: "_Pages") -> None:
        found = self._found
        try:
            header, records = header_of(row), records_of(row)
        except Damaged as error:
            found.lost.append(str(error))
            return
        if history.position != header.events:
            if not found.lost:
                found.lost.append(f"{BATCH} {row.number:,} does not fit those before it")
            history.position = header.events
        found.batches += 1
        found.records += len(records)
        for record in records:
            found.first_time = record.time if found.first_time is None else found.first_time
            found.last_time = record.time
            for entry in history.tell(record):
                found.events += 1
                pages.compare(entry)

    def _compare(self, number: int, history: History, snapshot: State | None) -> None:
        """After the batch *number*, compare *snapshot* with what the log says, if it is of that."""
        if snapshot is None or snapshot.number != number or self._found.lost:
            return
        chat, which, wrong = snapshot.chat, f"{SNAPSHOT} {snapshot.number:,}", self._found.derived
        members = {sender: (name, joined) for sender, name, joined, *_ in chat["members"]}
        if chat["end"] != history.position:
            self._found.derived.append(
                f"{which} has {counted(chat['end'], 'event')}, not {history.position:,}"
            )
        elif members != history.members:
            wrong.append(f"{which} has other members than the log")
        elif any(history.numbers.get(s, n) != n for s, n, *_ in chat["sessions"]):
            wrong.append(f"{which} has other sessions than the log")

    def _bring(self, first: int) -> Page:
        row = self._reader.reading().page(first)
        if row is None:
            raise Damaged(f"{PAGE} {first:,} is missing")
        return page_of(row)

    @staticmethod
    def _try(check: Callable[[], Result], troubles: list[str]) -> Result | None:
        try:
            return check()
        except Damaged as error:
            troubles.append(str(error))
            return None


class _Pages:
    """The stored pages, compared line by line with the log."""

    def __init__(self, reader: Reader, troubles: list[str]) -> None:
        self._troubles = troubles
        self._count = 0
        self._rows = self._whole(reader)
        self._page: Page | None = next(self._rows, None)
        self._comparing = True

    def compare(self, entry: Entry) -> None:
        """Compare what the page has in the place of *entry*."""
        position = entry.event.position
        while self._page is not None and self._page.stop <= position:
            self._page = next(self._rows, None)
        page = self._page
        if page is None or not self._comparing or position < page.first:
            return
        index = position - page.first
        line = bytes(memoryview(page.lines)[page.start(index) : page.ends[index] - 1])
        event = entry.event
        seen = (line, page.times[index], page.authors[index], page.kinds[index])
        if seen != (render(event), event.time, entry.author, kind_of(event)):
            self._troubles.append(f"{PAGE} {page.first:,} does not say what the log says")
            self._page = next(self._rows, None)

    def stop(self) -> None:
        """Compare no more: something is missing in the log."""
        self._comparing = False

    def finish(self) -> int:
        """Read the rest, and return how many pages there are."""
        for _ in self._rows:
            pass
        return self._count

    def _whole(self, reader: Reader) -> Iterator[Page]:
        after = -1
        while True:
            try:
                row = reader.next_page(after)
            except Damaged as error:
                self._troubles.append(str(error))
                return
            if row is None:
                return
            after = row.number
            self._count += 1
            try:
                yield page_of(row)
            except Damaged as error:
                self._troubles.append(str(error))
