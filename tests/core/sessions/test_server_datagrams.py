"""News in datagrams: no answer is longer than one (S4), and no line is lost by being longer."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groupchat.core.sessions.answers import STREAM_REPLY_BYTES, Heard
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import al
from tests.core.strategies import legal_texts


def test_what_does_not_fit_a_datagram_waits_and_the_answer_says_so() -> None:
    visitor = al()
    visitor.desk.plain("Bo", *["x" * 100] * 30)
    answers = list(visitor.until_the_end())
    assert len(answers) == 4
    for before, after in pairwise(answers):
        assert before.stop == after.begin
        assert before.stop.offset == 0  # only whole lines
        assert len(before.encode()) > 1_000
    assert visitor.told == visitor.desk.lines(1)


def test_what_else_an_answer_tells_leaves_the_rest_of_its_room_to_news() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "x" * 3_000)
    visitor.ask()
    answer = visitor.ask(b"2 hi", who=0, seen=True, tries=7)
    assert (answer.results, answer.names, answer.seen, answer.tries) == (("done",), ("Bo",), 3, 7)
    marks = len(" who=1:0") + len(f".{answer.stop.offset}")  # for what is known last, 48 are free
    assert len(answer.encode()) == 1_200 - 48 + marks


def test_of_a_line_that_just_does_not_fit_all_but_one_byte_is_told() -> None:
    visitor = al()
    visitor.desk.plain("Bo")
    line = visitor.desk.lines()[1]
    what = Heard(visitor.sender, visitor.request(), (), None)
    bodies = {visitor.desk.answers.answer(what, limit).body for limit in range(80, 200)}
    assert line + b"\n" in bodies
    assert line not in bodies
    assert line[:-1] in bodies


def test_with_names_there_is_news_if_it_has_room_for_a_hundred_bytes() -> None:
    visitor = al()
    visitor.desk.plain("Bo")
    visitor.ask()
    visitor.desk.plain("Bo", "x" * 3_000)
    what = Heard(visitor.sender, visitor.request(who=0), (), None)
    bodies = {visitor.desk.answers.answer(what, limit).body for limit in range(80, 500)}
    assert min(len(body) for body in bodies if body) == 100


def test_on_a_stream_an_answer_has_whole_lines_and_is_long() -> None:
    visitor = al(datagram=None)
    visitor.desk.keep()
    visitor.desk.plain("Bo", *["x" * 4_000] * 100)
    first, second = visitor.until_the_end()
    assert STREAM_REPLY_BYTES - 4_100 < len(first.encode()) <= STREAM_REPLY_BYTES
    assert (first.stop.offset, second.stop.offset) == (0, 0)
    assert visitor.told == visitor.desk.lines(1)


def test_a_line_longer_than_a_datagram_comes_in_parts() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "\u20ac" * 1_333)
    visitor.desk.plain("Bo", "short")
    marks = [(answer.begin, answer.stop) for answer in visitor.until_the_end()]
    assert marks[0] == (Mark(1), Mark(2))
    assert marks[1][0] == Mark(2)
    assert [stop.position for _, stop in marks] == [2, 2, 2, 2, 4]
    assert [begin for begin, _ in marks[1:]] == [stop for _, stop in marks[:-1]]
    assert visitor.told == visitor.desk.lines(1)


def test_while_he_has_a_part_of_a_line_he_has_not_passed_it() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "x" * 3_000)
    visitor.ask()
    visitor.ask()
    visitor.ask(b"2 meanwhile")
    assert visitor.mark.position == 2
    assert visitor.mark.offset
    assert visitor.position == 2
    visitor.desk.restart()
    for _ in visitor.until_the_end():
        pass
    sender = visitor.sender
    assert visitor.told == visitor.desk.lines(1, sender)


@pytest.mark.parametrize("offset", [3_015, 3_016, 3_017, 10**14])
def test_whoever_claims_to_have_more_than_there_is_of_a_line_gets_it_from_its_beginning(
    offset: int,
) -> None:
    visitor = al()
    visitor.desk.plain("Bo", "x" * 3_000)
    assert len(visitor.desk.lines()[2]) == 3_016
    visitor.mark = Mark(2, 3_014)
    assert visitor.answer().body == b"xx\n"
    visitor.mark = Mark(2, offset)
    answer = visitor.answer()
    if offset < 3_016:
        assert (answer.begin, answer.body) == (Mark(2, offset), b"x\n")
    else:
        assert answer.begin == Mark(2)
        assert answer.body.startswith(b"2 1000000 s Bo: xx")


def test_a_part_of_a_line_is_no_part_of_another() -> None:
    """Of a line that has been dropped, or is before the cursor, or his own."""
    visitor = al(page_bytes=1)
    visitor.ask(b"2 own")
    visitor.desk.plain("Bo", "x" * 20)
    visitor.mark = Mark(1, 5)
    answer = visitor.answer()
    assert (answer.begin, answer.body[:10]) == (Mark(2), b"2 1000000 ")
    visitor.desk.drop(3)
    visitor.mark = Mark(2, 5)
    answer = visitor.answer()
    assert answer.begin == Mark(2)
    assert answer.body.startswith(b"2 777 x (1 older")


@settings(max_examples=60)
@given(
    st.lists(
        legal_texts | st.sampled_from([None, "x" * 900, "\u20ac" * 1_333, "x" * 4_000]),
        max_size=12,
    ),
    st.sampled_from([300, 512, 1_000, 1_200, 65_507, None]),
    st.integers(1, 5_000),
    st.data(),
)
@example(["x" * 4_000, None, "\u20ac" * 1_333, None, None], 300, 1, None)
def test_whatever_is_said_is_put_together_byte_for_byte(
    said: list[str | None], datagram: int | None, page_bytes: int, data: st.DataObject | None
) -> None:
    """However pages and datagrams cut it, with his own lines (None) in between, and answers
    lost."""
    visitor = al(page_bytes, datagram)
    sender = visitor.sender
    visitor.desk.keep()
    for text in said:
        if text is not None:
            visitor.desk.plain("Bo", text)
        answer = visitor.answer(*([b"2 mine"] if text is None else []))
        if data is None or data.draw(st.booleans()):
            visitor.take(answer)
    assert visitor.read_all() == visitor.desk.lines(1, sender)
    assert visitor.mark == Mark(visitor.desk.chat.group.timeline.end)


@pytest.mark.parametrize("datagram", [1_200, None])
def test_what_was_dropped_is_told_as_a_line_in_its_place(datagram: int | None) -> None:
    visitor = al(page_bytes=500, datagram=datagram)
    visitor.desk.keep()
    visitor.desk.plain("Bo", *"abcde", *["x" * 8] * 80)
    visitor.desk.drop(5)
    answer = visitor.ask()
    assert answer.body.count(b"\n") > 8
    assert answer.begin == Mark(1)
    assert answer.body.split(b"\n")[:2] == [
        b"4 777 x (4 older events are not kept on this server)",
        b"5 1000000 s Bo: d",
    ]
    assert visitor.read_all()[1:] == visitor.desk.lines(5)


def test_the_notice_alone_when_the_next_line_is_too_long() -> None:
    visitor = al(page_bytes=1)
    visitor.desk.plain("Bo", "a", "x" * 4_000)
    visitor.desk.drop(3)
    first, *rest = visitor.until_the_end()
    assert (first.begin, first.stop) == (Mark(1), Mark(3))
    assert first.body == b"2 777 x (2 older events are not kept on this server)\n"
    assert len(rest) == 4
    assert visitor.told[1] == visitor.desk.lines()[-1]
