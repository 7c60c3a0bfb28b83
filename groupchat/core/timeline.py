"""The one sequence of events of a group, and the cursors that read along it.

What lives here: the rendered lines, where each begins, and how far every reader has come. What
must not: any rule about members or names; nothing here knows what a line says.

Theory. Everybody reads the same events in the same order, so there is one copy of them, and a
reader is no queue but a *cursor*: the position of the next event he has not had. One thing
differs between readers: nobody is shown his own events. So each event keeps a number for its
*author*, and whoever reads leaves out the events with his own.

Lines are kept in *pages* (:mod:`groupchat.core.pages`). A page that every cursor has passed is
forgotten. A full page can also be *shelved*: put away by somebody who can bring it back (a
journal), so that a reader who is far behind costs no memory. So can one that is forgotten, but in
an excerpt that waits to be read.

::

    position    0   1   2   3   4 | 5   6   7   8   9 | 10  11
    page        ------- 0 ------- | ------- 1 ------- | --- 2 ---
    Alice           ^cursor     hers: 4, 6            |
                      [ 1..3 ]      [5]   [ 7..9 ]      [10..11]   her spans

Old events can also be *dropped*, read or not. Whoever had not read them is told how many.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final
from weakref import WeakSet

from attrs import define

from groupchat.core.pages import NOBODY, AnyPage, Excerpt, Page, Place

__all__ = ["PAGE_BYTES", "Cursor", "Timeline"]

PAGE_BYTES: Final = 65_536
"""A page is closed once it holds this many bytes of lines."""


@define(eq=False)
class Cursor:
    """How far one reader has come. Only its timeline changes it."""

    position: int
    """The position of the next event that its owner has not passed."""
    author: int
    """The number that his own events carry."""


class Timeline:
    """An append-only sequence of lines, forgotten from the front once everybody has read them.

    Args:
        page_bytes: how full a page gets before the next one begins, in bytes.
        end: the position that the next event will get.
        pages: what there is of the events before it, without a gap; the next event goes to the
            last one.
        dropped_time: when events were last dropped, in milliseconds since 1970.
        start: the position before which all have been dropped.

    Raises:
        ValueError: the pages do not end where the timeline does.
    """

    def __init__(
        self,
        page_bytes: int = PAGE_BYTES,
        end: int = 0,
        pages: Sequence[AnyPage] = (),
        dropped_time: int = 0,
        start: int = 0,
    ) -> None:
        self._page_bytes = page_bytes
        self._pages = [Place(page) for page in pages or [Page(end)]]
        self._forgotten: WeakSet[Place] = WeakSet()  # but in an excerpt still
        self._last = self._pages[-1].load()
        self._pages[-1].page = self._last
        if self._last.stop != end:
            raise ValueError(f"the pages end at {self._last.stop}, and the timeline at {end}")
        self.end = end
        """The position that the next event will get."""
        self._standing: dict[int, int] = {}  # how many cursors stand at a position
        self._lowest = end  # no cursor stands before this
        self.dropped_time = dropped_time
        """When events were last dropped, in milliseconds since 1970; 0 for never."""
        self._dropped = start  # nothing before this is told, although its page may be here still

    @property
    def start(self) -> int:
        """The position of the oldest event that is still kept."""
        return max(self._dropped, self._pages[0].first)

    @property
    def pages(self) -> Sequence[Place]:
        """All that is kept, in order. The last one is still being filled."""
        return self._pages

    @property
    def held(self) -> list[Place]:
        """All pages that may be brought back, in order: those that are kept, and those in excerpts
        that somebody has not read to their end."""
        return sorted(self._forgotten, key=attrgetter("page.first")) + self._pages

    def open(self, author: int, position: int | None = None) -> Cursor:
        """Return a new cursor that stands at *position*, or (None) at the end, from where it
        will see what comes from now on. Own events are those with *author*."""
        position = self.end if position is None else position
        if not self._standing or position < self._lowest:
            self._lowest = position
        self._standing[position] = self._standing.get(position, 0) + 1
        return Cursor(position, author)

    def close(self, cursor: Cursor) -> None:
        """Forget *cursor*, which must not be used any more, and what only it had not read."""
        self._depart(cursor.position)

    def append(self, line: bytes, kind: int, time: int, author: Cursor | None = None) -> None:
        """Put *line* at the end. The owner of the cursor *author* will not be shown it."""
        page = self._last
        page.lines += line
        page.lines += b"\n"
        page.ends.append(len(page.lines))
        page.times.append(time)
        page.authors.append(NOBODY if author is None else author.author)
        page.kinds.append(kind)
        position = self.end
        self.end = position + 1
        if len(page.lines) >= self._page_bytes:
            self._last = Page(self.end)
            self._pages.append(Place(self._last))
        if author is not None and author.position == position:
            self.advance(author, self.end)

    def pending(self, cursor: Cursor, budget: int | None = None) -> Excerpt:
        """Return what lies ahead of *cursor*. Once its owner has it, he stands at its ``stop``.

        Args:
            cursor: whose reader asks; it is not moved.
            budget: most bytes to return, counting one line feed between two lines; None for
                no bound. At least one line is returned if there is any.
        """
        excerpt = self.excerpt(cursor.position, cursor.author)
        if budget is None or excerpt.start == self.end:
            return excerpt
        return excerpt.cut(budget + 1)  # for the line feed that ends the last

    def excerpt(
        self,
        position: int,
        author: int = NOBODY,
        most: int | None = None,
        most_pages: int | None = None,
    ) -> Excerpt:
        """Return all from *position* to the end but the events of *author*; or only what there is
        of that among the first events, *most* of them, and on the first pages, *most_pages*."""
        end = self.end
        if position >= self._last.first and position >= self._dropped:
            stop = end if most is None else min(end, position + most)
            return Excerpt(position, stop, author, pages=(self._pages[-1],))
        start = max(position, self.start)
        stop = end if most is None else min(end, start + most)
        first = self._index(start)
        pages = self._pages[first : self._index(stop - 1) + 1][:most_pages]
        if pages:
            stop = min(stop, pages[-1].stop)
        return Excerpt(start, stop, author, start - position, self.dropped_time, pages)

    def authors(self, position: int, stop: int) -> set[int]:
        """Return whose events are kept from *position* to *stop*, without *stop*."""
        found: set[int] = set()
        for place in self._pages[self._index(max(position, self.start)) :]:
            if place.first >= stop:
                break
            page = place.load()
            found.update(page.authors[max(0, position - page.first) : stop - page.first])
        return found

    def pages_ahead(self, position: int) -> int:
        """Return how many pages come after the one that *position* is in."""
        if position >= self._last.first:
            return 0
        return len(self._pages) - 1 - self._index(max(position, self.start))

    def advance(self, cursor: Cursor, position: int) -> None:
        """Move *cursor* forward to *position*."""
        before = cursor.position
        if position != before:
            self._standing[position] = self._standing.get(position, 0) + 1
            cursor.position = position
            self._depart(before)

    def passed(self, cursor: Cursor) -> int:
        """Return the position up to which every cursor but *cursor* has come."""
        lowest = self._lowest
        if cursor.position > lowest or self._standing[lowest] > 1:
            return lowest
        return min(
            (position for position in self._standing if position != lowest), default=self.end
        )

    def closed(self, keep: int) -> list[Place]:
        """Return the full pages in memory, the oldest first, but for the newest *keep*."""
        full = [place for place in self.held[:-1] if isinstance(place.page, Page)]
        return full[: max(0, len(full) - keep)]

    def drop(self, before: int, time: int) -> None:
        """Let go of all events before position *before*, read or not. The pages that they are in
        go when none of their events is left.

        Args:
            before: a position.
            time: when this is, in milliseconds since 1970; readers who had not come so far
                are told.
        """
        before = min(before, self.end)
        if before <= self.start:
            return
        self._dropped = before
        self.dropped_time = time
        self._forget(before)

    def _index(self, position: int) -> int:
        """Return which of the pages kept *position* belongs to."""
        return bisect_right(self._pages, position, key=attrgetter("page.first")) - 1

    def _depart(self, position: int) -> None:
        """Take note that one cursor less stands at *position*."""
        standing = self._standing
        left = standing[position] - 1
        if left:
            standing[position] = left
            return
        del standing[position]
        if position == self._lowest:
            # Mostly the next cursor stands near. If not, to look at all of them is less work than
            # to go through all that was written since somebody went away.
            far = position + len(standing)
            while position < far and position not in standing:
                position += 1
            self._lowest = position if position in standing else min(standing, default=self.end)
            self._forget(self._lowest)

    def _forget(self, before: int) -> None:
        """Forget the pages all of whose events are before position *before*, but never the last."""
        count = 0
        while count < len(self._pages) - 1 and self._pages[count].page.stop <= before:
            count += 1
        if count:
            self._forgotten.update(self._pages[:count])
            del self._pages[:count]
