"""A timeline to read in: one letter a line, four lines to a page, and who reads what."""

from groupchat.core.lines import SAID
from groupchat.core.pages import Excerpt, Page, Place
from groupchat.core.timeline import Cursor, Timeline

__all__ = ["Shelf", "append", "filled", "read", "text"]


def append(timeline: Timeline, *lines: bytes, author: Cursor | None = None) -> None:
    """Put *lines* at the end; each has ten times its position as its time."""
    for line in lines:
        timeline.append(line, SAID, 10 * timeline.end, author)


def filled(lines: int, page_bytes: int = 8) -> Timeline:
    """Return a timeline that holds the lines b"0", b"1", ..., four to a page of 8 bytes."""
    timeline = Timeline(page_bytes)
    append(timeline, *(b"%d" % number for number in range(lines)))
    return timeline


def text(excerpt: Excerpt) -> bytes:
    """Return all lines of *excerpt*."""
    return b"".join(span.text() for span in excerpt)


def read(timeline: Timeline, cursor: Cursor, budget: int | None = None) -> bytes:
    """Read what waits for *cursor*, within *budget*, and move it on."""
    excerpt = timeline.pending(cursor, budget)
    shown = text(excerpt)
    timeline.advance(cursor, excerpt.stop)
    return shown


class Shelf:
    """Where pages are put away, and what was asked for again."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self.asked: list[int] = []

    def put(self, *places: Place) -> None:
        """Put the pages at *places* away."""
        for place in places:
            self.pages[place.first] = place.load()
            place.shelve(self.bring)

    def bring(self, first: int) -> Page:
        """Return a page that was put away."""
        self.asked.append(first)
        return self.pages[first]
