"""News that is told until it is acknowledged (S3), to who asks, waits or follows."""

import pytest
from attrs import evolve

from groupchat.core.sessions import answers
from groupchat.core.sessions.answers import (
    ANSWER_PAGES,
    DATAGRAM_PAGES,
    STREAM_REPLY_BYTES,
    Heard,
)
from groupchat.core.sessions.replies import Answer, Who
from groupchat.core.sessions.wire import Mark
from tests.core.reading import Shelf
from tests.core.sessions.desk import DATAGRAM, Desk, Visitor, al


def test_news_has_position_time_and_kind() -> None:
    visitor = al()
    visitor.desk.now = 2_000_000
    visitor.desk.plain("Bo", "hi")
    answer = visitor.ask()
    assert answer.body == b"1 2000000 j Bo has joined\n2 2000000 s Bo: hi\n"
    assert (answer.begin, answer.stop, answer.end) == (Mark(1), Mark(3), 3)


def test_it_is_told_again_until_it_is_acknowledged() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "one")
    lost = visitor.answer()
    visitor.desk.plain("Bo", "two")
    late = visitor.answer()
    assert late.body.startswith(lost.body)
    assert visitor.position == 1
    visitor.take(late)
    assert visitor.position == 1  # he has said nothing yet
    assert visitor.ask().body == b""
    assert visitor.position == 4
    assert visitor.told == visitor.desk.lines(1)


def test_a_restart_forgets_no_more_than_was_acknowledged_by_requests_that_only_read() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "one")
    visitor.ask()
    visitor.ask(b"2 hi")
    assert visitor.position == 4
    visitor.desk.plain("Bo", "two")
    visitor.ask()
    visitor.ask()
    assert visitor.position == 5
    visitor.desk.restart()
    assert visitor.position == 4
    assert visitor.ask().body == b""  # for he says himself how far he is
    assert visitor.position == 5


def test_a_mark_moves_the_cursor_forward_and_never_back() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "one", "two")
    for mark, position in [(2, 2), (1, 2), (0, 2), (3, 3), (2, 3)]:
        visitor.mark = Mark(mark)
        visitor.answer()
        assert visitor.position == position


def test_also_the_mark_of_a_repeat_and_of_a_command_count() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "one", "two")
    visitor.mark = Mark(2)
    request = visitor.request(b"2 hi")
    visitor.send(request)
    assert visitor.position == 2
    visitor.send(evolve(request, mark=Mark(3)))
    assert visitor.position == 3
    visitor.send(evolve(request, mark=Mark(1)))
    assert visitor.position == 3
    visitor.desk.restart()
    assert visitor.position == 2


def test_what_others_have_acknowledged_is_their_own_affair() -> None:
    desk = Desk()
    one, other = Visitor(desk).open().joined("Al"), Visitor(desk, "udp b").open().joined("Bo")
    desk.plain("Cy", "hi")
    one.ask()
    one.ask()
    other.ask()
    assert [line.split()[0] for line in other.told] == [b"2", b"3"]
    assert [line.split()[0] for line in one.told] == [b"1", b"2", b"3"]


def test_who_joins_again_begins_at_his_new_join() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "one")
    visitor.ask(b"4")
    visitor.desk.plain("Bo", "two")
    answer = visitor.ask(b"1 Al")
    assert answer == Answer(3, ("done",), Mark(6), Mark(6), 6)
    visitor.desk.plain("Bo", "three")
    assert visitor.ask().body == b"6 1000000 s Bo: three\n"


def test_own_lines_are_left_out_and_passed() -> None:
    visitor = al()
    visitor.ask(b"2 a", b"2 b")
    visitor.desk.plain("Bo", "c")
    visitor.ask(b"2 d")
    visitor.desk.plain("Bo", "e")
    visitor.ask(b"2 f")
    visitor.ask()
    assert [line.split(b" ", 2)[2] for line in visitor.told] == [
        b"j Bo has joined",
        b"s Bo: c",
        b"s Bo: e",
    ]
    assert visitor.mark == Mark(visitor.desk.chat.group.timeline.end)


def test_what_cannot_be_read_at_present_is_said_and_waits() -> None:
    """The journal is damaged, perhaps; all else of the answer is there."""
    visitor = al()
    visitor.desk.plain("Bo", "hi")
    what = visitor.desk.hear(visitor.request(b"5", seen=True, who=0).encode())
    assert isinstance(what, Heard)
    answer = visitor.desk.answers.answer(what, 1_200, readable=False)
    assert answer == Answer(
        2, ("done",), Mark(1), Mark(1), 1, Who(0, 1), 3, names=("Bo",), unreadable=True
    )
    assert visitor.desk.answers.answer(what, 1_200).body.endswith(b"s Bo: hi\n")


def test_whether_there_is_news_beyond_a_mark() -> None:
    visitor = al(page_bytes=1)
    desk, sender = visitor.desk, visitor.sender

    def has_news(position: int) -> bool:
        return desk.answers.has_news(sender, position)

    assert not has_news(1)
    assert not desk.answers.has_news("session x", 0)
    visitor.ask(b"2 own")
    assert not has_news(1)
    desk.plain("Bo", "hi")
    assert has_news(2)
    visitor.answer(b"2 own")
    end = desk.chat.group.timeline.end
    assert not has_news(end - 1)
    assert not has_news(end)
    desk.plain("Bo", "hi")
    last = desk.chat.group.timeline.end
    visitor.ask(b"2 own")
    desk.drop(last + 1)
    assert has_news(last - 1)  # that something is missing


def test_news_for_a_follower_is_whole_lines_from_a_position() -> None:
    visitor = al(datagram=None)
    assert [visitor.pushed(position) for position in (1, 9)] == [None, None]
    visitor.desk.plain("Bo", "hi", "x" * 4_000)
    assert visitor.desk.answers.push("session x", 1) is None
    pushed = visitor.pushed(2)
    assert pushed is not None
    assert (pushed.begin, pushed.stop, pushed.end) == (Mark(2), Mark(4), 4)
    assert pushed.body == b"2 1000000 s Bo: hi\n3 1000000 s Bo: " + b"x" * 4_000 + b"\n"
    assert visitor.position == 1  # it is only on its way
    assert visitor.pushed(4) is None
    visitor.ask(b"2 own")
    assert visitor.pushed(4) is None


def test_followers_at_the_same_place_are_told_the_same_but_their_own() -> None:
    first = al(datagram=None)
    desk = first.desk
    second, third = (
        Visitor(desk, f"tcp {name}", None).open().joined(name) for name in ("second", "third")
    )
    desk.keep()
    start = desk.chat.group.timeline.end
    everybody = (first, second, third)

    def told(position: int) -> list[bytes]:
        pushed = [visitor.pushed(position) for visitor in everybody]
        assert all(news is None or news.begin == Mark(position) for news in pushed)
        return [news.body if news else b"" for news in pushed]

    def others(position: int) -> list[bytes]:
        lines = [desk.lines(position, visitor.sender) for visitor in everybody]
        return [b"".join(line + b"\n" for line in mine) for mine in lines]

    desk.plain("Bo", "hi")
    assert told(start) == others(start)
    assert len({desk.answers.push(visitor.sender, start) for visitor in everybody}) == 1
    assert told(start + 1) == others(start + 1)  # from elsewhere
    desk.plain("Bo", "once more")
    assert told(start + 1) == others(start + 1)  # more than before
    second.answer(b"2 own")
    assert told(start + 1) == others(start + 1)
    third.answer(b"2 own, too")
    desk.plain("Bo", "hello")
    assert told(start + 1) == others(start + 1)
    desk.drop(start + 2)
    assert [b"not kept" in body for body in told(start + 1)] == [True] * 3


def test_many_own_events_are_passed_though_only_some_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "ANSWER_EVENTS", 3)
    monkeypatch.setattr(answers, "DATAGRAM_EVENTS", 3)
    visitor = al(datagram=None)
    visitor.desk.plain("Bo")
    for _ in range(10):
        visitor.answer(b"2 own")
    visitor.desk.plain("Bo", "hi")
    assert visitor.desk.answers.has_news(visitor.sender, 2)
    pushed = [visitor.pushed(position) for position in (2, 5, 8, 11)]
    assert all(news is not None for news in pushed)
    told = [(news.begin, news.stop, news.body) for news in pushed if news]
    assert told[:3] == [(Mark(start), Mark(start + 3), b"") for start in (2, 5, 8)]
    assert told[3] == (Mark(11), Mark(13), b"12 1000000 s Bo: hi\n")
    assert visitor.ask().stop == Mark(4)
    assert visitor.read_all()[-1].endswith(b"s Bo: hi")


@pytest.mark.parametrize(("datagram", "most"), [(DATAGRAM, DATAGRAM_PAGES), (None, ANSWER_PAGES)])
def test_many_own_events_are_passed_though_only_some_pages_are_looked_at(
    datagram: int | None, most: int
) -> None:
    """They may have to be read from a disk, and an answer has room for any number of his own."""
    visitor = al(page_bytes=1, datagram=datagram)
    visitor.desk.plain("Bo")
    for _ in range(30):
        visitor.answer(b"2 own")
    visitor.desk.plain("Bo", "hi")
    shelf = Shelf()
    shelf.put(*visitor.desk.chat.group.timeline.closed(0))
    visitor.mark = Mark(2)
    for ask, bound in (
        (visitor.answer, most),
        (lambda: visitor.desk.answers.has_news(visitor.sender, 2), most),
        (lambda: visitor.pushed(2), ANSWER_PAGES),
    ):
        shelf.asked.clear()
        ask()
        assert 0 < len(set(shelf.asked)) <= bound
    assert visitor.read_all()[-1].endswith(b"s Bo: hi")


def test_so_many_runs_of_others_events_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_SPANS", 3)
    visitor = al(datagram=None)
    visitor.desk.plain("Bo")
    for _ in range(6):
        visitor.answer(b"2 own")
        visitor.desk.plain("Bo", "hi", "ho")
    assert [len(answer.body.splitlines()) for answer in visitor.until_the_end()] == [5, 6, 2]
    assert visitor.told == visitor.desk.lines(1, visitor.sender)


def test_what_is_pushed_begins_where_a_follower_is_though_own_events_come_first() -> None:
    """He would take a later beginning for a gap, and leave all of it out."""
    visitor = al(datagram=None)
    visitor.ask(b"2 own")
    visitor.ask(b"2 own, too")
    assert visitor.position == 3
    visitor.desk.plain("Bo")
    pushed = visitor.pushed(1)
    assert pushed is not None
    assert (pushed.begin, pushed.stop) == (Mark(1), Mark(4))
    assert pushed.body == b"3 1000000 j Bo has joined\n"


def test_a_follower_is_told_a_whole_line_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STREAM_REPLY_BYTES", 500)
    visitor = al(datagram=None)
    visitor.desk.plain("Bo", "x" * 4_000, "y" * 4_000)
    first, second = visitor.pushed(2), visitor.pushed(3)
    assert first is not None
    assert second is not None
    assert (first.stop, second.stop) == (Mark(3), Mark(4))
    assert [len(first.body), len(second.body)] == [4_017, 4_017]


def test_a_long_news_for_a_follower_comes_piece_by_piece() -> None:
    visitor = al(datagram=None)
    visitor.desk.plain("Bo", *["x" * 4_000] * 100)
    position, lines = 1, b""
    while pushed := visitor.pushed(position):
        assert pushed.begin == Mark(position)
        assert len(pushed.encode()) <= STREAM_REPLY_BYTES
        lines += pushed.body
        position = pushed.stop.position
    assert lines.split(b"\n")[:-1] == visitor.desk.lines(1)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_who_has_come_farther_shares_nothing_with_others_at_the_same_place(ahead: int) -> None:
    first = al(datagram=None)
    desk = first.desk
    second = Visitor(desk, "tcp second", None).open().joined("second")
    desk.keep()
    start = desk.chat.group.timeline.end
    desk.plain("Bo", "one", "two", "three")
    first.mark = Mark(start + ahead)
    first.answer(b"5")
    assert first.position == start + ahead
    before = desk.answers.push(first.sender, start)
    after = desk.answers.push(second.sender, start)
    assert before is not None
    assert after is not None
    assert (before is after) == (ahead == 0)
    assert after.message.count(b" Bo: ") == 3
