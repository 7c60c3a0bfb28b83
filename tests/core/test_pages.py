"""Pages of lines, and the stamps in front of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core.lines import SAID
from groupchat.core.pages import NOBODY, Page
from groupchat.core.timeline import Timeline


def filled(*sizes: int) -> Page:
    """Return a page whose lines have so many bytes each."""
    timeline = Timeline(page_bytes=1 << 30, end=7)
    for number, size in enumerate(sizes):
        append(timeline, size, number)
    return timeline.pages[0].load()


def append(timeline: Timeline, size: int, number: int) -> None:
    timeline.append(b"x" * size, SAID, 10 * number)


def stamped_lines(page: Page) -> list[bytes]:
    """Return all its lines with their stamps, as simply as that can be said."""
    lines = bytes(page.lines).split(b"\n")[:-1]
    return [
        b"%d %d s %b\n" % (page.first + index, time, line)
        for index, (time, line) in enumerate(zip(page.times, lines, strict=True))
    ]


def test_as_many_are_returned_as_have_room() -> None:
    page = filled(1, 1, 30)
    first, second, third = stamped_lines(page)
    assert first == b"7 0 s x\n"
    assert page.stamped(0, 3) == (first + second + third, 3)
    assert page.stamped(0, 3, len(first + second)) == (first + second, 2)
    assert page.stamped(0, 3, len(first + second) - 1) == (first, 1)
    assert page.stamped(1, 3, len(second) - 1) == (b"", 0)
    assert page.stamped(1, 1) == (b"", 0)
    assert page.stamped(0, 2, 1_000) == (first + second, 2)


def test_the_room_is_that_of_all_lines_however_they_are_kept() -> None:
    page = filled(*[5] * 300)
    lines = stamped_lines(page)
    for count in (63, 64, 65, 150, 299):
        room = len(b"".join(lines[:count]))
        assert page.stamped(0, 300, room)[1] == count
        assert page.stamped(0, 300, room - 1)[1] == count - 1


@given(st.lists(st.integers(0, 90), min_size=1, max_size=200), st.data())
def test_whatever_is_asked_for_in_whatever_order(sizes: list[int], data: st.DataObject) -> None:
    page = filled(*sizes)
    lines = stamped_lines(page)
    for _ in range(5):
        start = data.draw(st.integers(0, len(sizes)))
        stop = data.draw(st.integers(start, len(sizes)))
        room = data.draw(st.none() | st.integers(0, 20_000))
        found, count = page.stamped(start, stop, room)
        assert found == b"".join(lines[start : start + count])
        assert room is None or len(found) <= room
        if start + count < stop:
            assert room is not None
            assert len(found + lines[start + count]) > room


def test_lines_that_come_later_are_stamped_too() -> None:
    timeline = Timeline(page_bytes=1 << 30, end=7)
    page = timeline.pages[0].load()
    for number in range(150):
        append(timeline, 5, number)
        assert page.stamped(number, number + 1) == (stamped_lines(page)[-1], 1)
    assert page.stamped(0, 150)[0] == b"".join(stamped_lines(page))


def test_who_reads_a_little_of_a_page_does_not_pay_for_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = filled(*[20] * 3_000)
    looked_at: list[bytes] = []

    def text(self: Page, start: int, stop: int) -> bytes:
        looked_at.append(original(self, start, stop))
        return looked_at[-1]

    original = Page.text
    monkeypatch.setattr(Page, "text", text)
    assert page.stamped(1_000, 3_000, 1_200)[1] > 10
    assert sum(map(len, looked_at)) <= 1_200


def test_the_size_of_a_page_is_that_of_its_lines_and_columns() -> None:
    assert filled().size == 0
    assert filled(10, 20).size == 11 + 21 + 2 * (1 + 4 + 8 + 8)


def test_a_page_can_be_cut_short_with_its_stamps() -> None:
    page = filled(1, 1, 1)
    page.stamped(0, 3)
    page.truncate(1)
    assert (page.stop, bytes(page.lines), list(page.times)) == (8, b"x\n", [0])
    assert (list(page.authors), bytes(page.kinds)) == ([NOBODY], b"s")
    timeline = Timeline(end=8, pages=[page])
    append(timeline, 2, 1)
    assert page.stamped(0, 2)[0] == b"7 0 s x\n8 10 s xx\n"
    page.truncate(0)
    assert (page.stop, bytes(page.lines), page.stamped(0, 0)) == (7, b"", (b"", 0))
