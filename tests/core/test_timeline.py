"""The timeline: one copy of every line, cursors along it, and nothing kept in vain."""

import pytest

from groupchat.core.lines import JOINED, SAID
from groupchat.core.pages import NOBODY, Excerpt, Page
from groupchat.core.timeline import PAGE_BYTES, Timeline
from tests.core.reading import append, filled, read, text


def test_a_new_cursor_sees_what_comes_from_now_on() -> None:
    timeline = filled(3)
    cursor = timeline.open(author=1)
    assert list(timeline.pending(cursor)) == []
    timeline.append(b"new", SAID, 7)
    excerpt = timeline.pending(cursor)
    assert (excerpt.start, excerpt.stop, excerpt.removed) == (3, 4, 0)
    assert [list(span.entries()) for span in excerpt] == [[(3, 7, b"new")]]


def test_to_look_moves_nothing() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    append(timeline, b"a")
    assert text(timeline.pending(cursor)) == text(timeline.pending(cursor)) == b"a\n"
    assert cursor.position == 0


def test_an_excerpt_stays_what_it_is() -> None:
    """What happens to the timeline later is none of its business."""
    timeline = Timeline(page_bytes=8)
    cursor = timeline.open(author=1)
    append(timeline, *b"0 1 2 3 4".split())
    excerpt = timeline.pending(cursor)
    timeline.close(cursor)
    append(timeline, *b"5 6 7 8 9".split())
    timeline.drop(8, 1)
    assert timeline.start == 8
    assert text(excerpt) == b"0\n1\n2\n3\n4\n"


@pytest.mark.parametrize("page_bytes", [8, PAGE_BYTES])
def test_an_excerpt_can_be_of_the_first_events_alone(page_bytes: int) -> None:
    timeline = filled(9, page_bytes)
    assert text(timeline.excerpt(2, most=3)) == b"2\n3\n4\n"
    assert text(timeline.excerpt(7, most=3)) == b"7\n8\n"
    timeline.drop(5, time=1)
    assert text(timeline.excerpt(2, most=3)) == b"5\n6\n7\n"


def test_an_excerpt_can_be_of_the_first_pages_alone() -> None:
    timeline = filled(20, page_bytes=8)
    for most, stop in ((1, 4), (2, 8), (9, 20)):
        excerpt = timeline.excerpt(1, most_pages=most)
        assert excerpt.stop == stop
        assert text(excerpt).split() == [b"%d" % number for number in range(1, stop)]
    assert timeline.excerpt(30, most_pages=1).stop == 20
    timeline.drop(20, time=1)
    assert timeline.excerpt(1, most_pages=1).start == 20


def test_entries_tell_position_time_and_line() -> None:
    timeline = Timeline(page_bytes=8)
    cursor = timeline.open(author=1)
    append(timeline, *(b"%d" % number for number in range(6)))
    spans = list(timeline.pending(cursor))
    assert [len(span) for span in spans] == [4, 2]
    entries = [entry for span in spans for entry in span.entries()]
    assert entries == [(number, 10 * number, b"%d" % number) for number in range(6)]


def test_nobody_is_shown_his_own_lines() -> None:
    timeline = Timeline(page_bytes=8)
    alice, bob = timeline.open(author=1), timeline.open(author=2)
    for number, author in enumerate([bob, alice, alice, bob, bob, alice, bob, alice, alice]):
        append(timeline, b"%d" % number, author=author)
    assert text(timeline.pending(alice)) == b"0\n3\n4\n6\n"
    assert [len(span) for span in timeline.pending(alice)] == [1, 1, 1, 1]
    assert [len(span) for span in timeline.excerpt(5, author=3)] == [3, 1]
    assert text(timeline.pending(bob)) == b"1\n2\n5\n7\n8\n"
    assert text(timeline.excerpt(0, author=3)) == b"0\n1\n2\n3\n4\n5\n6\n7\n8\n"


def test_whoever_has_no_lines_of_his_own_is_shown_all_also_those_of_nobody() -> None:
    timeline = Timeline()
    append(timeline, b"0", author=timeline.open(author=1))
    append(timeline, b"1")
    assert list(timeline.pages[0].load().authors) == [1, NOBODY]
    assert text(timeline.excerpt(0)) == text(timeline.excerpt(0, NOBODY)) == b"0\n1\n"


def test_a_cursor_at_the_end_passes_its_own_line_at_once() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    append(timeline, b"mine", author=cursor)
    assert cursor.position == timeline.end == 1


def test_own_lines_alone_are_an_empty_excerpt_that_leads_past_them() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    append(timeline, b"0")
    append(timeline, b"1", b"2", author=cursor)
    timeline.advance(cursor, 1)
    excerpt = timeline.pending(cursor, budget=0)
    assert (list(excerpt), excerpt.start, excerpt.stop) == ([], 1, 3)


BUDGETS = [
    (0, [1, 1, 1, 1]),
    (1, [1, 1, 1, 1]),
    (3, [1, 1, 1, 1]),
    (4, [1, 1, 1, 1]),
    (6, [1, 1, 1, 1]),
    (7, [2, 1, 1]),
    (11, [2, 2]),
    (12, [3, 1]),
    (16, [3, 1]),
    (17, [4]),
    (None, [4]),
]


@pytest.mark.parametrize(("budget", "line_counts"), BUDGETS)
@pytest.mark.parametrize("page_bytes", [1, 8, PAGE_BYTES])
def test_a_budget_cuts_at_whole_lines_but_gives_one(
    budget: int | None, line_counts: list[int], page_bytes: int
) -> None:
    timeline = Timeline(page_bytes)
    cursor = timeline.open(author=1)
    append(timeline, b"123", b"123", b"1234", b"1234")
    counts = []
    while count := read(timeline, cursor, budget).count(b"\n"):
        counts.append(count)
    assert counts == line_counts


def test_a_budget_cuts_across_own_lines() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    for number in range(8):
        append(timeline, b"%d" % number, author=cursor if number in {1, 2, 5} else None)
    assert read(timeline, cursor, 3) == b"0\n3\n"
    assert cursor.position == 4
    assert read(timeline, cursor, 3) == b"4\n6\n"
    assert read(timeline, cursor, 3) == b"7\n"
    assert cursor.position == 8


def test_a_budget_that_is_used_up_at_an_own_line_leads_past_that() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    append(timeline, b"x")
    append(timeline, b"x", author=cursor)
    append(timeline, b"x")
    excerpt = timeline.pending(cursor, 1)
    assert [len(span) for span in excerpt] == [1]
    assert excerpt.stop == 2


@pytest.mark.parametrize("page_bytes", [1, 4, PAGE_BYTES])
@pytest.mark.parametrize(
    ("room", "some", "cut"),
    [
        (-5, False, b"12\n"),
        (0, False, b"12\n"),
        (3, False, b"12\n"),
        (6, False, b"12\n"),
        (7, False, b"12\n345\n"),
        (8, False, b"12\n345\n"),
        (9, False, b"12\n345\n6\n"),
        (99, False, b"12\n345\n6\n"),
        (-5, True, b""),
        (2, True, b""),
        (3, True, b"12\n"),
        (9, True, b"12\n345\n6\n"),
    ],
)
def test_an_excerpt_is_cut_to_the_room_there_is(
    page_bytes: int, room: int, some: bool, cut: bytes
) -> None:
    timeline = Timeline(page_bytes)
    append(timeline, b"", b"12", b"345", b"6")
    whole = timeline.excerpt(1)
    excerpt = whole.cut(room, some=some)
    assert text(excerpt) == cut
    assert (excerpt.start, excerpt.stop) == (1, 1 + cut.count(b"\n"))
    assert text(excerpt.cut(-1)) == cut[:3]
    assert text(whole) == b"12\n345\n6\n"


def test_of_nothing_there_is_nothing_to_cut() -> None:
    assert list(Excerpt(5, 5).cut(0)) == []
    assert list(filled(3).excerpt(3).cut(0)) == []


def test_lines_that_every_cursor_has_passed_are_forgotten() -> None:
    timeline = Timeline(page_bytes=8)
    quick, slow = timeline.open(author=1), timeline.open(author=2)
    append(timeline, *(b"%d" % number for number in range(9)))
    assert timeline.start == 0
    read(timeline, quick)
    assert timeline.start == 0
    timeline.advance(slow, 3)
    assert timeline.start == 0
    timeline.advance(slow, 4)
    assert timeline.start == 4
    read(timeline, slow)
    assert timeline.start == 8


def test_two_cursors_at_one_place_are_two() -> None:
    timeline = Timeline(page_bytes=8)
    one, other = timeline.open(author=1), timeline.open(author=2)
    append(timeline, *(b"%d" % number for number in range(9)))
    timeline.advance(one, 5)
    timeline.advance(other, 5)
    timeline.close(one)
    append(timeline, *b"9 a b c".split())
    assert timeline.start == 4
    assert read(timeline, other) == b"5\n6\n7\n8\n9\na\nb\nc\n"
    assert timeline.start == 12


def test_a_closed_cursor_holds_nothing_back() -> None:
    timeline = Timeline(page_bytes=8)
    gone, here = timeline.open(author=1), timeline.open(author=2)
    append(timeline, *(b"%d" % number for number in range(9)))
    read(timeline, here)
    assert timeline.start == 0
    timeline.close(gone)
    assert timeline.start == 8
    append(timeline, b"9")
    assert read(timeline, here) == b"9\n"


def test_with_no_cursor_at_all_lines_are_forgotten_when_the_next_one_closes() -> None:
    timeline = filled(9)
    cursor = timeline.open(author=1)
    timeline.close(cursor)
    assert timeline.start == 8


def test_a_cursor_moves_with_the_line_that_fills_a_page() -> None:
    timeline = Timeline(page_bytes=4)
    author, other = timeline.open(author=1), timeline.open(author=2)
    append(timeline, b"1", b"2", author=author)
    assert author.position == timeline.end == 2
    read(timeline, other)
    assert timeline.start == 2
    append(timeline, b"3", b"4", author=other)
    assert timeline.start == 2
    assert read(timeline, author) == b"3\n4\n"
    assert timeline.start == 4


def test_a_full_page_has_the_bytes_it_was_said_to_have() -> None:
    timeline = Timeline()
    cursor = timeline.open(author=1)
    append(timeline, *[b"x" * 15] * (PAGE_BYTES // 16 + 1))
    assert [len(span) for span in timeline.pending(cursor)] == [PAGE_BYTES // 16, 1]


def test_how_far_everybody_else_has_come() -> None:
    timeline = Timeline(page_bytes=4)
    one = timeline.open(author=1)
    append(timeline, *b"0 1 2 3 4".split())
    assert timeline.passed(one) == 5  # nobody else, so nobody is behind
    two, three = timeline.open(author=2, position=2), timeline.open(author=3, position=3)
    assert [timeline.passed(cursor) for cursor in (one, two, three)] == [2, 0, 0]
    timeline.advance(one, 2)
    assert [timeline.passed(cursor) for cursor in (one, two, three)] == [2, 2, 2]
    timeline.advance(two, 5)
    assert [timeline.passed(cursor) for cursor in (one, two, three)] == [3, 2, 2]
    timeline.advance(one, 5)
    timeline.close(three)
    assert [timeline.passed(cursor) for cursor in (one, two)] == [5, 5]


def stamped(excerpt: Excerpt) -> bytes:
    return b"".join(span.stamped()[0] for span in excerpt)


def test_a_stamp_is_position_time_and_kind() -> None:
    timeline = Timeline(page_bytes=8)
    cursor = timeline.open(author=1)
    timeline.append(b"Al has joined", JOINED, 1_000)
    timeline.append(b"Al: hi", SAID, 2_000, cursor)
    timeline.append(b"Bo: hi", SAID, 3_000)
    assert stamped(timeline.pending(cursor)) == b"0 1000 j Al has joined\n2 3000 s Bo: hi\n"
    assert stamped(timeline.excerpt(1)) == b"1 2000 s Al: hi\n2 3000 s Bo: hi\n"


def test_a_timeline_goes_on_where_it_is_said_to_have_ended() -> None:
    timeline = Timeline(end=7)
    assert (timeline.start, timeline.end) == (7, 7)
    append(timeline, b"7")
    assert text(timeline.excerpt(7)) == b"7\n"


def test_pages_that_do_not_end_where_the_timeline_does_are_refused() -> None:
    with pytest.raises(ValueError, match="the pages end at 3, and the timeline at 4"):
        Timeline(end=4, pages=[Page(3)])


@pytest.mark.parametrize("page_bytes", [4, 1_000])
def test_the_authors_between_two_positions_are_known(page_bytes: int) -> None:
    timeline = Timeline(page_bytes, end=3, pages=[Page(3)])
    timeline.open(author=-2)  # so that nothing is forgotten
    writers = [timeline.open(author=number) for number in range(3)]
    whose = [0, 1, 1, 2, 0, 2, 2, 1, 0, 0]
    for number in whose:
        append(timeline, b"x", author=writers[number])
    for position in range(3, 13):
        for stop in range(position, 14):
            assert timeline.authors(position, stop) == set(whose[position - 3 : stop - 3])
