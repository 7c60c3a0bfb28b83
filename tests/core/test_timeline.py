"""The timeline: one copy of every line, cursors along it, and nothing kept in vain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core.timeline import PAGE_BYTES, Cursor, Span, Timeline


def filled(lines: int, page_bytes: int = 8, author: Cursor | None = None) -> Timeline:
    """Return a timeline that holds the lines b"0", b"1", ..., four to a page of 8 bytes."""
    timeline = Timeline(page_bytes)
    for number in range(lines):
        timeline.append(b"%d" % number, number, author)
    return timeline


def text(spans: list[Span]) -> bytes:
    return b"".join(span.text() for span in spans)


def read(timeline: Timeline, cursor: Cursor, budget: int | None = None) -> bytes:
    """Read what waits for *cursor*, within *budget*, and move it on."""
    spans, position = timeline.pending(cursor, budget)
    timeline.advance(cursor, position)
    return text(spans)


def test_a_new_cursor_sees_what_comes_from_now_on() -> None:
    timeline = filled(3)
    cursor = timeline.open()
    assert timeline.pending(cursor) == ([], 3)
    timeline.append(b"new", 7)
    spans, position = timeline.pending(cursor)
    assert position == 4
    assert [list(span.entries()) for span in spans] == [[(3, 7, b"new")]]


def test_to_look_moves_nothing() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    timeline.append(b"a", 0)
    assert timeline.pending(cursor) == timeline.pending(cursor)
    assert cursor.position == 0


def test_entries_tell_position_time_and_line() -> None:
    timeline = Timeline(page_bytes=8)
    cursor = timeline.open()
    for number in range(6):
        timeline.append(b"%d" % number, 100 + number)
    spans, _ = timeline.pending(cursor)
    assert [len(span) for span in spans] == [4, 2]
    entries = [entry for span in spans for entry in span.entries()]
    assert entries == [(number, 100 + number, b"%d" % number) for number in range(6)]


def test_nobody_is_shown_his_own_lines() -> None:
    timeline = Timeline(page_bytes=8)
    alice, bob = timeline.open(), timeline.open()
    for number, author in enumerate([bob, alice, alice, bob, bob, alice, bob, alice, alice]):
        timeline.append(b"%d" % number, 0, author)
    assert list(alice.own) == [1, 2, 5, 7, 8]
    assert text(timeline.pending(alice)[0]) == b"0\n3\n4\n6\n"
    assert text(timeline.pending(bob)[0]) == b"1\n2\n5\n7\n8\n"


def test_a_cursor_at_the_end_passes_its_own_line_at_once() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    timeline.append(b"mine", 0, cursor)
    assert cursor.position == timeline.end == 1
    assert not cursor.own


def test_a_cursor_never_stops_before_its_own_line() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    for author in (None, cursor, cursor, None, cursor):
        timeline.append(b"x", 0, author)
    timeline.advance(cursor, 1)
    assert cursor.position == 3
    assert list(cursor.own) == [4]
    timeline.advance(cursor, 4)
    assert cursor.position == timeline.end == 5
    assert not cursor.own


@pytest.mark.parametrize(
    ("budget", "line_counts"),
    [
        (0, [1, 1, 1, 1]),
        (1, [1, 1, 1, 1]),
        (3, [1, 1, 1, 1]),
        (4, [1, 1, 1, 1]),
        (6, [1, 1, 1, 1]),
        (7, [2, 1, 1]),
        (11, [2, 2]),
        (12, [3, 1]),
        (17, [4]),
        (None, [4]),
    ],
)
@pytest.mark.parametrize("page_bytes", [1, 8, PAGE_BYTES])
def test_a_budget_cuts_at_whole_lines_but_gives_one(
    budget: int | None, line_counts: list[int], page_bytes: int
) -> None:
    timeline = Timeline(page_bytes)
    cursor = timeline.open()
    for line in (b"123", b"123", b"1234", b"1234"):
        timeline.append(line, 0)
    counts = []
    while count := read(timeline, cursor, budget).count(b"\n"):
        counts.append(count)
    assert counts == line_counts


def test_a_budget_cuts_across_own_lines() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    for number in range(8):
        timeline.append(b"%d" % number, 0, cursor if number in (1, 2, 5) else None)
    assert read(timeline, cursor, 3) == b"0\n3\n"
    assert cursor.position == 4
    assert read(timeline, cursor, 3) == b"4\n6\n"
    assert read(timeline, cursor, 3) == b"7\n"
    assert cursor.position == 8


def test_a_budget_that_is_used_up_at_an_own_line_moves_past_that() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    for author in (None, cursor, None):
        timeline.append(b"x", 0, author)
    spans, position = timeline.pending(cursor, 1)
    assert [len(span) for span in spans] == [1]
    assert position == 2


def test_lines_that_every_cursor_has_passed_are_forgotten() -> None:
    timeline = Timeline(page_bytes=8)
    quick, slow = timeline.open(), timeline.open()
    for number in range(9):
        timeline.append(b"%d" % number, 0)
    assert timeline.start == 0
    read(timeline, quick)
    assert timeline.start == 0
    timeline.advance(slow, 3)
    assert timeline.start == 0
    timeline.advance(slow, 4)
    assert timeline.start == 4
    read(timeline, slow)
    assert timeline.start == 8


def test_a_closed_cursor_holds_nothing_back() -> None:
    timeline = Timeline(page_bytes=8)
    gone, here = timeline.open(), timeline.open()
    for number in range(9):
        timeline.append(b"%d" % number, 0)
    read(timeline, here)
    assert timeline.start == 0
    timeline.close(gone)
    assert timeline.start == 8
    timeline.append(b"9", 0)
    assert read(timeline, here) == b"9\n"


def test_with_no_cursor_at_all_lines_are_forgotten_when_the_next_one_closes() -> None:
    timeline = filled(9)
    cursor = timeline.open()
    timeline.close(cursor)
    assert timeline.start == 8


def test_a_cursor_is_counted_where_it_stands_when_a_page_fills_up() -> None:
    """The line that fills a page moves its author's cursor onto the next page."""
    timeline = Timeline(page_bytes=4)
    author, other = timeline.open(), timeline.open()
    timeline.append(b"1", 0, author)
    timeline.append(b"2", 0, author)
    assert author.position == timeline.end == 2
    read(timeline, other)
    assert timeline.start == 2
    timeline.append(b"3", 0, other)
    timeline.append(b"4", 0, other)
    assert timeline.start == 2
    assert read(timeline, author) == b"3\n4\n"
    assert timeline.start == 4


def test_a_full_page_has_the_bytes_it_was_said_to_have() -> None:
    timeline = Timeline()
    cursor = timeline.open()
    for _ in range(PAGE_BYTES // 16 + 1):
        timeline.append(b"x" * 15, 0)
    assert [len(span) for span in timeline.pending(cursor)[0]] == [PAGE_BYTES // 16, 1]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=60),
    st.integers(1, 40),
    st.integers(0, 30) | st.none(),
    st.data(),
)
def test_every_cursor_reads_every_line_of_others_once_in_order(
    appended: list[tuple[int, int]], page_bytes: int, budget: int | None, data: st.DataObject
) -> None:
    """Whoever writes, however pages and budgets cut, and whenever somebody reads."""
    timeline = Timeline(page_bytes)
    cursors = [timeline.open() for _ in range(3)]
    seen: list[list[bytes]] = [[] for _ in cursors]
    expected: list[list[bytes]] = [[] for _ in cursors]
    for number, (author, length) in enumerate(appended):
        line = b"%d:" % number + b"x" * length
        timeline.append(line, number, cursors[author] if author < 3 else None)
        for reader in range(3):
            if reader != author:
                expected[reader].append(line)
        if data.draw(st.booleans()):
            reader = data.draw(st.integers(0, 2))
            seen[reader] += read(timeline, cursors[reader], budget).split(b"\n")[:-1]
            oldest = min(cursor.position for cursor in cursors)
            assert timeline.start <= oldest
    for reader, cursor in enumerate(cursors):
        while piece := read(timeline, cursor, budget):
            assert budget is None or len(piece) <= budget + 1 or piece.count(b"\n") == 1
            seen[reader] += piece.split(b"\n")[:-1]
        assert cursor.position == timeline.end
        assert not cursor.own
    assert seen == expected
