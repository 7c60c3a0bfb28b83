"""The one sequence of events of a group, and the cursors that read along it.

What lives here: the rendered lines, where each begins, and how far every reader has come. What
must not: any rule about members or names; nothing here knows what a line says.

Theory. Everybody reads the same events in the same order, so there is one copy of them, and a
reader is no queue but a *cursor*: the position of the next event he has not had. One thing
differs between readers: nobody is shown his own events, so a cursor also keeps the positions
of those that its owner caused and that still lie ahead of it. To append is therefore the same
work with two readers or 100,000, and to read is the work of copying what is read.

Lines are kept in *pages*, each line ended by a line feed, with an index of where each ends and
when it came. A reply is some *spans* of pages: the pages in between, cut where the cursor stands,
cut at each of the reader's own events, and cut by bisection where the reply would be too
long. A page that every cursor has passed is forgotten; to know when, each page counts the
cursors that stand in it.

::

    position    0   1   2   3   4 | 5   6   7   8   9 | 10  11
    page        ------- 0 ------- | ------- 1 ------- | --- 2 ---
    Alice           ^cursor      own: 4, 6            |
                      [ 1..3 ]      [5]   [ 7..9 ]      [10..11]   her spans
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import Final

from attrs import define, field, frozen

__all__ = ["PAGE_BYTES", "Cursor", "Page", "Span", "Timeline"]

PAGE_BYTES: Final = 65_536
"""A page is closed once it holds this many bytes of lines."""


@define(eq=False)
class Page:
    """A run of consecutive lines."""

    first: int
    """Position of the first line."""
    lines: bytearray = field(factory=bytearray)
    """The lines, each ended by a line feed."""
    ends: "array[int]" = field(factory=lambda: array("I"))
    """Where each line ends: the offset after its line feed."""
    times: "array[int]" = field(factory=lambda: array("q"))
    """When each event came, in milliseconds since 1970."""
    cursors: int = 0
    """How many cursors stand in this page."""

    def start(self, index: int) -> int:
        """Return the offset at which the line number *index* of this page begins."""
        return self.ends[index - 1] if index else 0


@frozen
class Span:
    """Some consecutive lines of one page: numbers *start* to *stop*, without *stop*."""

    page: Page
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def text(self) -> bytes:
        """Return the lines, each ended by a line feed."""
        page = self.page
        return bytes(memoryview(page.lines)[page.start(self.start) : page.start(self.stop)])

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield position, time and line (without its line feed) of each."""
        lines = self.text().split(b"\n")
        for index in range(self.start, self.stop):
            yield self.page.first + index, self.page.times[index], lines[index - self.start]


@define(eq=False)
class Cursor:
    """How far one reader has come. Only its timeline changes it."""

    position: int
    """The position of the next event that its owner has not passed."""
    own: "array[int]" = field(factory=lambda: array("q"))
    """The positions, ascending, of its owner's own events from there on."""


class Timeline:
    """An append-only sequence of lines, forgotten from the front once everybody has read them.

    Args:
        page_bytes: how full a page gets before the next one begins, in bytes.
    """

    def __init__(self, page_bytes: int = PAGE_BYTES) -> None:
        self._page_bytes = page_bytes
        self._pages = [Page(0)]
        self.end = 0
        """The position that the next event will get."""

    @property
    def start(self) -> int:
        """The position of the oldest event that is still kept."""
        return self._pages[0].first

    def open(self) -> Cursor:
        """Return a new cursor that stands at the end: it will see what comes from now on."""
        self._pages[-1].cursors += 1
        return Cursor(self.end)

    def close(self, cursor: Cursor) -> None:
        """Forget *cursor*, which must not be used any more, and what only it had not read."""
        self._pages[self._index(cursor.position)].cursors -= 1
        self._forget()

    def append(self, line: bytes, time: int, author: Cursor | None = None) -> None:
        """Put *line* at the end. The owner of the cursor *author* will not be shown it."""
        page = self._pages[-1]
        page.lines += line
        page.lines += b"\n"
        page.ends.append(len(page.lines))
        page.times.append(time)
        position = self.end
        self.end = position + 1
        if len(page.lines) >= self._page_bytes:
            # At once, and before any cursor can stand at the new end: a cursor is counted
            # in the page that its position belongs to, and that must not change under it.
            self._pages.append(Page(self.end))
        if author is None:
            return
        if author.position == position:
            self.advance(author, self.end)
        else:
            author.own.append(position)

    def pending(self, cursor: Cursor, budget: int | None = None) -> tuple[list[Span], int]:
        """Return what lies ahead of *cursor*, and where it will stand once it has had that.

        Args:
            cursor: whose reader asks; it is not moved.
            budget: most bytes to return, counting one line feed between two lines; None for
                no bound. At least one line is returned if there is any.
        """
        if cursor.position == self.end:
            return [], self.end
        room = None if budget is None else budget + 1  # for the line feed that ends the last
        spans: list[Span] = []
        for page, start, stop in self._runs(cursor):
            if room is not None:
                offset = page.start(start)
                fitting = bisect_right(page.ends, offset + room)
                if fitting < stop:
                    if not spans and fitting == start:
                        fitting = start + 1
                    if fitting > start:
                        spans.append(Span(page, start, fitting))
                    return spans, page.first + fitting
                room -= page.start(stop) - offset
            spans.append(Span(page, start, stop))
        return spans, self.end

    def advance(self, cursor: Cursor, position: int) -> None:
        """Move *cursor* forward to *position*, and past its own events that follow there."""
        own = cursor.own
        if own:
            del own[: bisect_left(own, position)]
            while own and own[0] == position:
                del own[0]
                position += 1
        if cursor.position < self._pages[-1].first:
            self._pages[self._index(cursor.position)].cursors -= 1
            self._pages[self._index(position)].cursors += 1
            self._forget()
        cursor.position = position

    def _runs(self, cursor: Cursor) -> Iterator[tuple[Page, int, int]]:
        """Yield page, start and stop of each run of lines ahead that are not the owner's."""
        own = cursor.own
        start, skipped = cursor.position, 0
        for number in range(self._index(start), len(self._pages)):
            page = self._pages[number]
            stop = page.first + len(page.ends)
            while start < stop:
                nearest = own[skipped] if skipped < len(own) else stop
                if nearest >= stop:
                    yield page, start - page.first, stop - page.first
                    start = stop
                else:
                    if nearest > start:
                        yield page, start - page.first, nearest - page.first
                    start = nearest + 1
                    skipped += 1

    def _index(self, position: int) -> int:
        """Return which of the pages kept *position* belongs to."""
        return bisect_right(self._pages, position, key=attrgetter("first")) - 1

    def _forget(self) -> None:
        """Drop the pages at the front in which no cursor stands, but never the last page."""
        kept = 0
        while kept < len(self._pages) - 1 and not self._pages[kept].cursors:
            kept += 1
        del self._pages[:kept]
