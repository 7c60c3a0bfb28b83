"""The archive of the timeline: full pages put away and brought back, and old ones dropped."""

import gc
import weakref

from groupchat.core.pages import Page
from groupchat.core.timeline import Timeline
from tests.core.reading import Shelf, append, filled, read, text


def test_the_full_pages_can_be_put_away_but_for_the_newest() -> None:
    timeline = filled(14)
    timeline.open(author=1, position=0)
    firsts = [[page.first for page in timeline.closed(keep)] for keep in range(5)]
    assert firsts == [[0, 4, 8], [0, 4], [0], [], []]
    shelf = Shelf()
    shelf.put(*timeline.closed(1))
    assert [page.first for page in timeline.closed(0)] == [8]
    assert timeline.closed(1) == []
    assert not shelf.asked


def test_who_is_far_behind_has_one_page_brought_at_a_time_as_he_reads() -> None:
    timeline = filled(14)
    cursor = timeline.open(author=1, position=1)
    shelf = Shelf()
    shelf.put(*timeline.closed(1))
    spans = iter(timeline.pending(cursor))
    assert not shelf.asked
    assert next(spans).text() == b"1\n2\n3\n"
    assert shelf.asked == [0]
    assert next(spans).text() == b"4\n5\n6\n7\n"
    assert shelf.asked == [0, 4]
    assert b"".join(span.text() for span in spans) == b"8\n9\n10\n11\n12\n13\n"
    assert shelf.asked == [0, 4]


def test_a_budget_brings_no_more_than_fits() -> None:
    timeline = filled(14)
    cursor = timeline.open(author=1, position=2)
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    assert read(timeline, cursor, budget=7) == b"2\n3\n4\n5\n"
    assert cursor.position == 6
    assert set(shelf.asked) == {0, 4}
    assert read(timeline, cursor) == b"6\n7\n8\n9\n10\n11\n12\n13\n"


def test_own_lines_are_left_out_of_what_was_put_away() -> None:
    timeline = Timeline(page_bytes=8)
    cursor, other = timeline.open(author=1), timeline.open(author=2)
    for number in range(9):
        append(timeline, b"%d" % number, author=cursor if number % 3 else other)
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    assert read(timeline, cursor) == b"0\n3\n6\n"
    assert read(timeline, other) == b"1\n2\n4\n5\n7\n8\n"
    assert timeline.start == 8


def test_pages_that_everybody_has_passed_are_forgotten_on_the_shelf_too() -> None:
    timeline = filled(9)
    cursor = timeline.open(author=1, position=0)
    shelf = Shelf()
    pages = timeline.closed(0)
    shelf.put(*pages)
    timeline.advance(cursor, 7)
    assert [page.first for page in timeline.pages] == [4, 8]
    assert not shelf.asked  # to forget one, nobody need look at it
    # What was forgotten while it was being put away is not put back.
    shelf.put(*pages)
    assert [page.first for page in timeline.pages] == [4, 8]
    assert text(timeline.excerpt(4)) == b"4\n5\n6\n7\n8\n"


def test_an_excerpt_that_waits_keeps_no_page_that_was_put_away() -> None:
    """Many may wait, each for what was in memory when he asked."""
    timeline = filled(14)
    timeline.open(author=1, position=0)
    excerpts = [timeline.excerpt(2), timeline.excerpt(5, most=4)]
    pages = [weakref.ref(place.page) for place in timeline.closed(0)]
    shelf = Shelf()
    shelf.put(*timeline.closed(1))
    shelf.pages.clear()
    gc.collect()
    assert [page() is not None for page in pages] == [False, False, True]
    shelf.pages = {place.first: place.load() for place in filled(14).pages}
    assert text(excerpts[0]) == b"2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n"
    assert text(excerpts[1]) == b"5\n6\n7\n8\n"
    assert shelf.asked == [0, 4, 4]


def test_what_everybody_has_passed_but_one_has_yet_to_read_can_be_put_away_too() -> None:
    timeline = filled(9)
    cursor = timeline.open(author=1, position=1)
    excerpt = timeline.pending(cursor)
    timeline.advance(cursor, 9)
    append(timeline, b"9", b"10", b"11", b"12")
    assert [place.first for place in timeline.pages] == [8, 12]
    assert timeline.held[0].first == 0
    assert [place.first for place in timeline.held] == [0, 4, 8, 12]
    assert [place.first for place in timeline.closed(1)] == [0, 4]
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    assert timeline.closed(0) == []
    assert timeline.held[0].first == 0
    assert text(excerpt) == b"1\n2\n3\n4\n5\n6\n7\n8\n"
    assert shelf.asked == [0, 4, 8]
    del excerpt
    assert timeline.held[0].first == 8


def test_what_is_forgotten_before_it_is_put_away_can_be_read_all_the_same() -> None:
    timeline = filled(9)
    cursor = timeline.open(author=1, position=1)
    excerpt = timeline.pending(cursor)
    timeline.advance(cursor, 9)
    gc.collect()
    assert text(excerpt) == b"1\n2\n3\n4\n5\n6\n7\n8\n"


def test_a_timeline_can_begin_with_pages_on_a_shelf() -> None:
    before = filled(10)
    shelf = Shelf()
    shelf.put(*before.closed(0))
    last = before.pages[-1].load()
    after = Timeline(8, end=10, pages=[*(place.page for place in before.pages[:-1]), last])
    assert (after.start, after.end) == (0, 10)
    assert not shelf.asked
    append(after, b"a", b"b", b"c")
    assert text(after.excerpt(7)) == b"7\n8\n9\na\nb\nc\n"
    assert [page.first for page in after.pages] == [0, 4, 8, 12]


def test_of_pages_on_a_shelf_the_last_is_brought_at_once() -> None:
    before = filled(6)
    shelf = Shelf()
    shelf.put(*before.pages)
    after = Timeline(8, end=6, pages=[place.page for place in before.pages])
    assert shelf.asked == [4]
    assert isinstance(after.pages[-1].page, Page)


def test_old_pages_are_dropped_read_or_not_and_whoever_missed_them_is_told_how_many() -> None:
    timeline = filled(14)
    late = timeline.open(author=1, position=1)
    later = timeline.open(author=2, position=6)
    timeline.drop(before=10, time=777)
    assert (timeline.start, timeline.pages[0].first) == (10, 8)
    assert timeline.dropped_time == 777
    excerpt = timeline.pending(late)
    assert (excerpt.start, excerpt.stop, excerpt.removed, excerpt.removed_time) == (10, 14, 9, 777)
    assert text(excerpt) == b"10\n11\n12\n13\n"
    assert timeline.pending(later).removed == 4
    timeline.advance(late, excerpt.stop)
    assert timeline.pending(late).removed == 0
    assert read(timeline, later) == b"10\n11\n12\n13\n"
    assert timeline.start == 12


def test_an_excerpt_that_is_cut_tells_of_what_is_missing_all_the_same() -> None:
    timeline = filled(14)
    late = timeline.open(author=1, position=1)
    timeline.drop(before=8, time=777)
    excerpt = timeline.pending(late, budget=3)
    assert (excerpt.stop, excerpt.removed, excerpt.removed_time) == (10, 7, 777)


def test_what_is_dropped_of_the_last_page_is_not_told_either() -> None:
    timeline = filled(14)
    late = timeline.open(author=1, position=3)
    timeline.drop(before=13, time=1)
    assert (timeline.start, timeline.pages[0].first) == (13, 12)
    assert timeline.pending(late).removed == 10
    assert text(timeline.excerpt(12)) == text(timeline.pending(late)) == b"13\n"
    timeline.drop(before=99, time=2)
    assert (timeline.start, timeline.end) == (14, 14)
    assert (timeline.pending(late).removed, read(timeline, late)) == (11, b"")
    append(timeline, b"14")
    assert timeline.pending(late).removed == 0
    assert read(timeline, late) == b"14\n"


def test_where_nothing_is_old_enough_nothing_is_dropped() -> None:
    timeline = filled(14)
    for before in (-1, 0):
        timeline.drop(before, time=1)
    assert (timeline.start, timeline.dropped_time) == (0, 0)
    timeline.drop(4, time=1)
    assert (timeline.start, timeline.dropped_time) == (4, 1)
    assert timeline.pages[0].first == 4
    for before in (4, 3):
        timeline.drop(before, time=2)
    assert (timeline.start, timeline.dropped_time) == (4, 1)


def test_pages_on_a_shelf_are_dropped_without_a_look() -> None:
    timeline = filled(14)
    cursor = timeline.open(author=1, position=0)
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    timeline.drop(9, time=5)
    assert not shelf.asked
    assert read(timeline, cursor) == b"9\n10\n11\n12\n13\n"
    assert shelf.asked == [8]


def test_pages_may_be_asked_for_as_long_as_somebody_has_yet_to_read_them() -> None:
    """Although they are dropped from the timeline; until then a shelf must keep them."""
    timeline = filled(14)
    cursor = timeline.open(author=1, position=1)
    assert timeline.held[0].first == 0
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    assert timeline.held[0].first == 0
    excerpt = timeline.pending(cursor)
    reading = timeline.excerpt(5)
    timeline.drop(13, time=1)
    assert timeline.pages[0].first == 12
    assert timeline.held[0].first == 0
    assert text(excerpt) == b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n"
    del excerpt
    assert timeline.held[0].first == 4
    del reading
    assert timeline.held[0].first == 12


def test_pages_that_a_timeline_began_with_may_be_asked_for_too() -> None:
    before = filled(10)
    shelf = Shelf()
    shelf.put(*before.closed(0))
    after = Timeline(8, end=10, pages=[place.page for place in before.pages])
    reading = after.excerpt(1)
    after.drop(9, time=1)
    assert (after.pages[0].first, after.held[0].first) == (8, 0)
    assert text(reading) == b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def test_what_was_cut_off_keeps_no_page_that_it_does_not_show() -> None:
    """Many can ask at once for what they have missed, and not read it for long."""
    timeline = filled(14)
    cursor = timeline.open(author=1, position=2)
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    places = [weakref.ref(place) for place in timeline.pages]
    excerpts = [timeline.pending(cursor, budget=7), timeline.excerpt(2, most=6)]
    timeline.close(cursor)
    timeline.drop(14, 1)
    gc.collect()
    assert [place() is not None for place in places] == [True, True, False, True]
    assert [b"".join(span.text() for span in found) for found in excerpts] == [
        b"2\n3\n4\n5\n",
        b"2\n3\n4\n5\n6\n7\n",
    ]


def test_what_was_cut_off_where_a_page_begins_does_not_keep_that_page() -> None:
    timeline = filled(14)
    cursor = timeline.open(author=1, position=2)
    excerpt = timeline.pending(cursor, budget=len(b"2\n3\n4\n5\n6\n7\n8\n9\n10\n11"))
    last = weakref.ref(timeline.pages[-1])
    timeline.close(cursor)
    for number in range(14, 18):
        append(timeline, b"%d" % number)
    timeline.drop(18, 1)
    gc.collect()
    assert (excerpt.stop, last()) == (12, None)


def test_whose_events_there_are_is_looked_up_in_no_page_that_has_none_of_them() -> None:
    timeline = filled(14)
    timeline.open(author=1, position=0)
    shelf = Shelf()
    shelf.put(*timeline.closed(0))
    timeline.authors(1, 4)
    assert shelf.asked == [0]


def test_how_many_pages_lie_ahead() -> None:
    timeline = filled(14)
    timeline.open(author=1, position=0)
    assert [timeline.pages_ahead(n) for n in (0, 3, 4, 8, 11, 12, 14)] == [3, 3, 2, 1, 1, 0, 0]
    timeline.drop(9, 1)
    assert [timeline.pages_ahead(n) for n in (0, 8, 11, 12)] == [1, 1, 1, 0]
