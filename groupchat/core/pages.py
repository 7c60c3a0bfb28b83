"""Rendered lines, a page at a time, and how they are read.

What lives here: lines, where each begins, when it came and whose it is; and excerpts of them. What
must not: who reads what, and how far he has come.

Theory. Lines are kept in *pages*, each line ended by a line feed, with an index of where each ends,
when it came, and whose it is. A reader gets an *excerpt*: where to start, where to stop, and the
pages in between, which become *spans* of lines, cut at each of his own events, as he reads.

Sessions are told more of each line: its position, time and kind, the *stamp* in front of it. Stamps
are made when somebody first asks for them, a block of lines at a time, and once, so who reads a
little of an old page does not pay for all of it, and of many who read the same, one does.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from attrs import define, field, frozen

__all__ = ["NOBODY", "AnyPage", "Excerpt", "Page", "Shelved", "Span"]

NOBODY: Final = -1
"""The author of an event that every reader is shown."""

_BLOCK_LINES: Final = 64


@define(eq=False)
class _Block:
    """Consecutive lines with their stamps."""

    lines: bytearray = field(factory=bytearray)
    ends: "array[int]" = field(factory=lambda: array("I"))
    """Where each line ends: the offset after its line feed."""


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
    _blocks: dict[int, _Block] = field(factory=dict, init=False)

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
        self._blocks.clear()

    def stamped(self, start: int, stop: int, room: int | None = None) -> tuple[bytes, int]:
        """Return some of the lines number *start* to *stop*, without *stop*, each with its stamp in
        front: position, time and kind, with a space after each.

        Args:
            start: the first line.
            stop: the one after the last.
            room: most bytes to return; None for all.

        Returns:
            As many whole lines as have room, and how many those are.
        """
        pieces: list[bytes] = []
        line = start
        while line < stop:
            number, first = divmod(line, _BLOCK_LINES)
            last = min(_BLOCK_LINES, first + stop - line)
            block = self._block(number, last)
            offset = block.ends[first - 1] if first else 0
            fitting = last
            if room is not None:
                fitting = bisect_right(block.ends, offset + room, first, last)
            if fitting > first:
                piece = bytes(memoryview(block.lines)[offset : block.ends[fitting - 1]])
                pieces.append(piece)
                line += fitting - first
                room = None if room is None else room - len(piece)
            if fitting < last:
                break
        return b"".join(pieces), line - start

    def _block(self, number: int, count: int) -> _Block:
        """Return the block with this *number*, with at least its first *count* lines."""
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = _Block()
        done = len(block.ends)
        if done < count:
            base = number * _BLOCK_LINES
            start, stop = self.start(base + done), self.start(base + count)
            lines = bytes(memoryview(self.lines)[start:stop]).split(b"\n")
            for index in range(base + done, base + count):
                block.lines += b"%d %d %c %b\n" % (
                    self.first + index,
                    self.times[index],
                    self.kinds[index],
                    lines[index - base - done],
                )
                block.ends.append(len(block.lines))
        return block


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


@frozen
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
        page = self.page
        return bytes(memoryview(page.lines)[page.start(self.start) : page.start(self.stop)])

    def stamped(self, room: int | None = None) -> tuple[bytes, int]:
        """Return the first lines with their stamps, each ended by a line feed, as many as have
        *room* in bytes (None: all); and how many those are."""
        return self.page.stamped(self.start, self.stop, room)

    def first(self) -> bytes:
        """Return its first line with its stamp, ended by a line feed."""
        return self.page.stamped(self.start, self.start + 1)[0]

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield position, time and line (without its line feed) of each."""
        lines = self.text().split(b"\n")
        for index in range(self.start, self.stop):
            yield self.page.first + index, self.page.times[index], lines[index - self.start]


@frozen(eq=False)
class Excerpt:
    """What lies between two positions, without the reader's own events: an iterable of spans.

    It stays valid, and keeps the pages that it shows, whatever happens to the timeline later.
    Shelved pages are loaded one at a time, as they are reached.
    """

    start: int
    stop: int
    author: int = NOBODY
    removed: int = 0
    """How many events in front of *start* the reader has not had, and never will."""
    removed_time: int = 0
    """When they were dropped, in milliseconds since 1970."""
    _pages: Sequence[AnyPage] = ()

    def __iter__(self) -> Iterator[Span]:
        position = self.start
        for entry in self._pages:
            if position >= self.stop:
                return
            page = entry.load()
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
        last = self._pages[-1] if self._pages else None
        if isinstance(last, Page) and last.first <= self.start:
            first = last.start(self.start - last.first)
            if last.start(self.stop - last.first) - first <= room:
                return self  # nearly always
        for span in self:
            page = span.page
            offset = page.start(span.start)
            fitting = max(span.start, bisect_right(page.ends, offset + room))
            if fitting < span.stop:
                stop = page.first + (fitting if some or fitting > span.start else fitting + 1)
                return Excerpt(
                    self.start, stop, self.author, self.removed, self.removed_time, self._pages
                )
            room -= page.start(span.stop) - offset
            some = True
        return self
