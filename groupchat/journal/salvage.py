"""What is left of a journal that SQLite cannot read any more.

What lives here: how to find all rows in a file that is in disorder.

Theory. Rows lie in leaf pages; other pages only say where those are. So if one of these others is
broken, or the file ends too early, most rows are there still, and can be found by looking at every
page. A page that is not in use any more can have rows, too; they are what was written once, so
they do no harm: a batch never changes, and of all else the newest counts. The same is true of the
WAL behind where it is damaged.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from groupchat.journal.errors import on_failure
from groupchat.journal.rawfile import RawFile
from groupchat.journal.rows import BASE, BATCH, PAGE, SNAPSHOT
from groupchat.journal.storage import Row

__all__ = ["Salvage"]


@frozen(order=True)
class _Leaf:
    """A page with batches."""

    first: int
    page: int


class Salvage(RawFile):
    """The rows that can be found in the journal *path*: a
    :class:`~groupchat.journal.storage.Reading`. Use it as a context.

    Args:
        path: the file.
        progress: called now and then with how many bytes more have been read.

    Raises:
        OSError: it cannot be read at all.
    """

    def __init__(self, path: Path, progress: Callable[[int], object] = bool) -> None:
        super().__init__(path)
        self._leaves: list[_Leaf] = []
        self._pages: dict[int, int] = {}  # where each page of the timeline is
        self._newest: dict[str, Row] = {}  # snapshot and base
        with on_failure(self.close):
            self._look(progress)

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches after *after*, in order. Some may be missing."""
        for leaf in self._leaves:
            for kind, row in self.rows(leaf.page):
                if kind == BATCH and row.number > after:
                    after = row.number
                    yield row
        if self.proven(after) > after:
            yield from self.beyond(after)

    def page(self, first: int) -> Row | None:
        """Return the page *first*."""
        for kind, row in self.rows(self._pages.get(first, 0)):
            if kind == PAGE and row.number == first:
                return row
        return None

    def pages(self, after: int = -1) -> Iterator[Row]:
        """Yield the pages whose first position is greater than *after*."""
        for first in sorted(self._pages):
            row = self.page(first) if first > after else None
            if row is not None:
                yield row

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        return self._newest.get(SNAPSHOT)

    def base(self) -> Row | None:
        """Return the base."""
        return self._newest.get(BASE)

    def size(self) -> int:
        """Return how many bytes there are."""
        return self.count * self.page_size

    def _look(self, progress: Callable[[int], object]) -> None:
        """Look at every page once, and take note of what is where."""
        longest: dict[int, int] = {}  # of several versions of a page of the timeline
        for number in range(1, self.count + 1):
            progress(self.page_size)
            first = True
            for kind, row in self.rows(number):
                if kind == BATCH and first:
                    self._leaves.append(_Leaf(row.number, number))
                    first = False
                elif kind == PAGE and len(row.body) >= longest.get(row.number, 0):
                    self._pages[row.number], longest[row.number] = number, len(row.body)
                elif kind in (SNAPSHOT, BASE):
                    before = self._newest.get(kind)
                    if before is None or before.number <= row.number:
                        self._newest[kind] = row
        self._leaves.sort()
