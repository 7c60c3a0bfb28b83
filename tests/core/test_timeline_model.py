"""The timeline beside a model so simple that it can be seen to be right: a list of all lines that
there ever were. Pages are put away, dropped, forgotten and brought back at any time; nobody who
reads may notice, but for what was dropped before he came to it.
"""

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from groupchat.core.lines import SAID
from groupchat.core.pages import Page
from groupchat.core.timeline import Cursor, Timeline

READERS = st.integers(0, 3)
BUDGETS = st.none() | st.integers(0, 30)


@define
class Line:
    text: bytes
    time: int
    author: int


class TimelineBesideModel(RuleBasedStateMachine):
    """Readers are numbers; a reader who has not come yet has no cursor."""

    @initialize(page_bytes=st.integers(1, 40))
    def start(self, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self.timeline = Timeline(page_bytes)
        self.lines: list[Line] = []
        self.firsts = [0]  # of all pages there ever were
        self.filled = 0  # bytes in the last of them
        self.dropped = 0  # nothing before this is left
        self.dropped_time = 0
        self.cursors: dict[int, Cursor] = {}
        self.shelf: dict[int, Page] = {}

    @rule(author=st.none() | READERS, length=st.integers(0, 12))
    def one_writes(self, author: int | None, length: int) -> None:
        cursor = None if author is None else self.cursors.get(author)
        lowest = self.lowest()
        line = Line(b"%d:" % len(self.lines) + b"x" * length, len(self.lines) * 7, -1)
        if cursor is not None:
            line.author = cursor.author
        self.timeline.append(line.text, SAID, line.time, cursor)
        self.lines.append(line)
        self.filled += len(line.text) + 1
        if self.filled >= self.page_bytes:
            self.firsts.append(len(self.lines))
            self.filled = 0
        if cursor is not None and self.lowest() > lowest:
            self.everything_passed_is_forgotten()

    @rule(reader=READERS)
    def one_comes(self, reader: int) -> None:
        if reader not in self.cursors:
            self.cursors[reader] = self.timeline.open(reader)
            assert self.cursors[reader].position == len(self.lines)

    @rule(reader=READERS)
    def one_goes(self, reader: int) -> None:
        if reader in self.cursors:
            lowest = self.lowest()
            self.timeline.close(self.cursors.pop(reader))
            if self.lowest() > lowest:
                self.everything_passed_is_forgotten()

    @rule(reader=READERS, budget=BUDGETS)
    def one_reads(self, reader: int, budget: int | None) -> None:
        if reader not in self.cursors:
            return
        cursor = self.cursors[reader]
        start = max(cursor.position, self.dropped)
        expected = [n for n in range(start, len(self.lines)) if self.lines[n].author != reader]
        excerpt = self.timeline.pending(cursor, budget)
        told = [entry for span in excerpt for entry in span.entries()]
        assert told == [(n, self.lines[n].time, self.lines[n].text) for n in expected[: len(told)]]
        if budget is None:
            assert len(told) == len(expected)
        elif told:
            sizes = [len(self.lines[n].text) + 1 for n in expected]
            assert len(told) == 1 or sum(sizes[: len(told)]) <= budget + 1
            assert len(told) == len(expected) or sum(sizes[: len(told) + 1]) > budget + 1
        assert bool(told) == bool(expected)
        assert excerpt.removed == start - cursor.position
        if excerpt.removed:
            assert excerpt.removed_time == self.dropped_time
        # He goes on after the last line that he was told, and misses nothing.
        assert not set(expected[len(told) :]) & set(range(excerpt.stop))
        stamps = b"".join(span.stamped()[0] for span in excerpt)
        assert stamps == b"".join(b"%d %d s %b\n" % entry for entry in told)
        self.move(cursor, excerpt.stop)

    @rule(reader=READERS, steps=st.integers(0, 20))
    def one_acknowledges(self, reader: int, steps: int) -> None:
        if reader in self.cursors:
            cursor = self.cursors[reader]
            self.move(cursor, min(len(self.lines), cursor.position + steps))

    @rule(keep=st.integers(0, 3))
    def pages_are_put_away(self, keep: int) -> None:
        for place in self.timeline.closed(keep):
            self.shelf[place.first] = place.load()
            place.shelve(self.shelf.__getitem__)
        assert sum(isinstance(place.page, Page) for place in self.timeline.held[:-1]) <= keep

    @rule(before=st.integers(-2, 200), time=st.integers(1, 1_000))
    def old_events_are_dropped(self, before: int, time: int) -> None:
        start = self.timeline.start
        before = min(before, len(self.lines))
        self.timeline.drop(before, time)
        if before > start:
            self.dropped, self.dropped_time = before, time
        assert self.timeline.start == max(start, before)
        assert self.timeline.dropped_time == self.dropped_time
        boundary = max((first for first in self.firsts if first <= before), default=0)
        assert self.timeline.pages[0].first >= boundary

    @rule()
    def all_is_written_down_and_read_back(self) -> None:
        pages = [place.page for place in self.timeline.pages]
        self.timeline = Timeline(
            self.page_bytes, self.timeline.end, pages, self.dropped_time, self.dropped
        )
        self.cursors = {
            reader: self.timeline.open(reader, cursor.position)
            for reader, cursor in self.cursors.items()
        }

    def lowest(self) -> int:
        positions = [cursor.position for cursor in self.cursors.values()]
        return min(positions, default=len(self.lines))

    def move(self, cursor: Cursor, position: int) -> None:
        lowest = self.lowest()
        self.timeline.advance(cursor, position)
        assert cursor.position == position
        if self.lowest() > lowest:
            self.everything_passed_is_forgotten()

    def everything_passed_is_forgotten(self) -> None:
        passed = max(first for first in self.firsts if first <= self.lowest())
        assert self.timeline.start == max(self.dropped, passed)

    @invariant()
    def nothing_that_somebody_has_to_read_is_gone(self) -> None:
        assert self.timeline.start <= max(self.dropped, self.lowest())
        assert self.timeline.end == len(self.lines)

    @invariant()
    def everybody_s_place_is_known(self) -> None:
        for reader, cursor in self.cursors.items():
            others = [c.position for r, c in self.cursors.items() if r != reader]
            assert self.timeline.passed(cursor) == min(others, default=len(self.lines))


TestTimelineBesideModel = TimelineBesideModel.TestCase
TestTimelineBesideModel.settings = settings(max_examples=200, stateful_step_count=40)
