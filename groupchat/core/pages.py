"""Rendered lines, a page at a time, and how they are read.

What lives here: lines, where each begins, when it came and whose it is; and excerpts of them. What
must not: who reads what, and how far he has come.

Theory. Lines are kept in *pages*, each line ended by a line feed, with an index of where each ends,
when it came, and whose it is. A reader gets an *excerpt*: where to start, where to stop, and the
pages in between, which become *spans* of lines, cut at each of his own events, as he reads.

An excerpt can wait long to be read, and many can wait. So it has no page itself, but the *place* of
each, the same as the timeline: a page that is put away leaves memory, whoever has yet to read it.

Sessions are told more of each line: its position, time and kind, the *stamp* in front of it. Stamps
are made whenever somebody reads: to keep them, too, would take more memory than the lines, and
who reads much is limited by what a link carries.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

from attrs import define, field, frozen

__all__ = ["NOBODY", "AnyPage", "Excerpt", "Page", "Place", "Shelved", "Span"]

NOBODY: Final = -1
"""The author of an event that every reader is shown."""


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
    authors: "array[int]" = field(factory=lambda: array("q"))
    """Whose each event is: the ``author`` of a cursor, or :data:`NOBODY`."""
    kinds: bytearray = field(factory=bytearray)
    """What kind of event each is: one ASCII letter."""

    @property
    def stop(self) -> int:
        """The position after the last line."""
        return self.first + len(self.ends)

    @property
    def size(self) -> int:
        """How many bytes it takes, for the most part, in memory and stored; without stamps."""
        columns = (self.ends, self.times, self.authors)
        return len(self.lines) + len(self.kinds) + sum(len(c) * c.itemsize for c in columns)

    def load(self) -> "Page":
        """Return this page."""
        return self

    def start(self, index: int) -> int:
        """Return the offset at which the line number *index* of this page begins."""
        return self.ends[index - 1] if index else 0

    def truncate(self, count: int) -> None:
        """Keep the first *count* lines alone."""
        del self.lines[self.start(count) :]
        for column in (self.ends, self.times, self.authors, self.kinds):
            del column[count:]

    def stamped(self, start: int, stop: int, room: int | None = None) -> tuple[bytes, int]:
        """Return some of the lines number *start* to *stop*, without *stop*, each with its stamp in
        front: position, time and kind, with a space after each.

        Args:
            start: the first line.
            stop: the one after the last.
            room: most bytes to return; None for all.

        Returns:
            As many whole lines as have room, and how many those are.

        Raises:
            ValueError: the lines are not where :attr:`ends` says.
        """
        if room is not None:  # with its stamp a line is longer than without: so many at the most
            stop = bisect_right(self.ends, self.start(start) + room, start, stop)
        count = stop - start
        # All by one format, whose loop is in C, which is faster than one for each line.
        fields: list[object] = [None] * (4 * count)
        fields[0::4] = range(self.first + start, self.first + stop)
        fields[1::4] = self.times[start:stop]
        fields[2::4] = self.kinds[start:stop]
        fields[3::4] = self.text(start, stop).split(b"\n")[:-1]  # the last ends the last line
        whole = b"%d %d %c %b\n" * count % tuple(fields)
        if room is None or len(whole) <= room:
            return whole, count
        fitting = whole[: whole.rfind(b"\n", 0, room) + 1]
        return fitting, fitting.count(b"\n")

    def text(self, start: int, stop: int) -> bytes:
        """Return the lines number *start* to *stop*, without *stop*."""
        return bytes(memoryview(self.lines)[self.start(start) : self.start(stop)])


@frozen(eq=False)
class Shelved:
    """A page that is not in memory."""

    first: int
    stop: int
    bring: Callable[[int], Page]
    """Returns the page with the given first position."""

    def load(self) -> Page:
        """Return the page."""
        return self.bring(self.first)


AnyPage: TypeAlias = Page | Shelved


@define(eq=False)
class Place:
    """Where a page is. The timeline and all its excerpts have one and the same for each."""

    page: AnyPage

    @property
    def first(self) -> int:
        """The position of the first line."""
        return self.page.first

    @property
    def stop(self) -> int:
        """The position after the last line."""
        return self.page.stop

    def load(self) -> Page:
        """Return the page."""
        return self.page.load()

    def shelve(self, bring: Callable[[int], Page]) -> None:
        """Let go of the page, which *bring* can bring back."""
        self.page = Shelved(self.first, self.stop, bring)


@define(eq=False)
class Span:
    """Some consecutive lines of one page: numbers *start* to *stop*, without *stop*."""

    page: Page
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def position(self) -> int:
        """The position of its first line."""
        return self.page.first + self.start

    def text(self) -> bytes:
        """Return the lines, each ended by a line feed."""
        return self.page.text(self.start, self.stop)

    def stamped(self, room: int | None = None) -> tuple[bytes, int]:
        """Return the first lines with their stamps, each ended by a line feed, as many as have
        *room* in bytes (None: all); and how many those are."""
        return self.page.stamped(self.start, self.stop, room)

    def first(self) -> bytes:
        """Return its first line with its stamp, ended by a line feed."""
        return self.page.stamped(self.start, self.start + 1)[0]

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield position, time and line (without its line feed) of each."""
        times = self.page.times[self.start : self.stop]
        lines = self.text().split(b"\n")
        # The last of those is what follows the last line feed: nothing.
        yield from zip(range(self.position, self.position + len(self)), times, lines, strict=False)


@define(eq=False)
class Excerpt:
    """What lies between two positions, without the reader's own events: an iterable of spans.

    It stays valid, and keeps the places that it shows, whatever happens to the timeline later.
    Shelved pages are loaded one at a time, as they are reached.
    """

    start: int
    stop: int
    author: int = NOBODY
    removed: int = 0
    """How many events in front of *start* the reader has not had, and never will."""
    removed_time: int = 0
    """When they were dropped, in milliseconds since 1970."""
    _pages: Sequence[Place] = ()

    def __iter__(self) -> Iterator[Span]:
        position = self.start
        for place in self._pages:
            if position >= self.stop:
                return
            page = place.page.load()
            index = position - page.first
            position = min(self.stop, page.stop)
            last = position - page.first
            while index < last:
                own = last
                if self.author != NOBODY:
                    try:
                        own = page.authors.index(self.author, index, last)
                    except ValueError:
                        pass  # no more of his own in this page
                if own > index:
                    yield Span(page, index, own)
                index = own + 1

    def cut(self, room: int, *, some: bool = False) -> "Excerpt":
        """Return as much of it, from its start, as has no more than *room* bytes, counting every
        line with its line feed; but at least one line if there is any, unless *some* other is
        told before it."""
        page = self._pages[0].page if self._pages else None
        if isinstance(page, Page):  # nearly always, all that is wanted is in the first one
            first, start = page.first, self.start - page.first
            fitting = bisect_right(page.ends, page.start(start) + room, start)
            if first + fitting >= self.stop:
                return self
            # What comes next may be his own, which has no bytes for him.
            has_own = self.author in page.authors[start : fitting + 1]
            if start < fitting < len(page.ends) and not has_own:
                return self._until(first + fitting, NOBODY)  # so nobody need look again
        for span in self:
            page = span.page
            offset = page.start(span.start)
            fitting = max(span.start, bisect_right(page.ends, offset + room))
            if fitting < span.stop:
                stop = page.first + (fitting if some or fitting > span.start else fitting + 1)
                return self._until(stop, self.author)
            room -= page.start(span.stop) - offset
            some = True
        return self

    def _until(self, stop: int, author: int) -> "Excerpt":
        pages = self._pages
        if pages[-1].first >= stop:  # then many may wait to be read: so none keeps what is beyond
            pages = pages[: bisect_left(pages, stop, key=attrgetter("page.first"))]
        return Excerpt(self.start, stop, author, self.removed, self.removed_time, pages)
