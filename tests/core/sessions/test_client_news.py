"""News at a client: what of an answer is told, once and in order; to wait for it, and to follow."""

from typing import Any

import pytest

from groupchat.core.plain import UNREADABLE
from groupchat.core.sessions.bookmark import MAX_PARTIAL_BYTES, Bookmark
from groupchat.core.sessions.client import ACKNOWLEDGE_MILLISECONDS, KEEP_MILLISECONDS
from groupchat.core.sessions.happenings import TROUBLE, Result, Told
from groupchat.core.sessions.replies import Answer
from groupchat.core.sessions.timer import FIRST_MILLISECONDS
from groupchat.core.sessions.tries import LISTEN_MILLISECONDS
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.chatter import Chatter, answer, asked, body, lines, opened, results, told
from tests.core.sessions.desk import Desk

# What is told.


def test_a_reply_that_is_lost_is_asked_for_again_and_told_once() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    desk.plain("Bob", "hi")
    chatter.client.submit(b"2 hi Bob")
    request = chatter.client.send(chatter.now)
    assert request is not None
    lost = desk.answer(request)
    chatter.now += 1_000
    desk.plain("Bob", "more")
    happenings = chatter.pump()
    assert results(happenings) == [(b"2 hi Bob", "done")]
    assert lines(happenings) == [b"Bob has joined", b"Bob: hi", b"Bob: more"]
    assert isinstance(lost, bytes)
    assert chatter.client.receive(lost, chatter.now) == []  # it was only late


def test_all_that_waits_is_fetched_though_it_takes_many_datagrams() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    desk.plain("Bob", *(f"{number} {'x' * (number * 37 % 2_500)}" for number in range(100)))
    said = lines(chatter.ask(b"5"))
    assert said[1:] == [b"Bob: %d %b" % (n, b"x" * (n * 37 % 2_500)) for n in range(100)]


def test_news_from_before_where_we_are_is_left_out() -> None:
    client = opened()
    client.submit(b"5")
    client.receive(answer(asked(client), "done", stop=3, body=body(0, 1, 2)), 0)
    client.submit(b"5")
    again = answer(asked(client), "done", begin=Mark(1), stop=5, body=body(1, 2, 3, 4))
    assert client.receive(again, 0) == [Result(b"5", "done"), *told(3, 4)]


def test_an_answer_that_does_not_come_as_far_as_we_are_changes_nothing() -> None:
    client = opened()
    client.submit(b"5")
    client.receive(answer(asked(client), "done", stop=3, body=body(0, 1, 2)), 0)
    client.submit(b"5")
    old = answer(asked(client), "done", begin=Mark(1), stop=2, body=body(1))
    assert client.receive(old, 0) == [Result(b"5", "done")]
    assert client.position == 3


def test_the_rest_of_a_line_whose_beginning_we_do_not_have_is_left_out() -> None:
    client = opened()
    client.submit(b"5")
    rest = answer(asked(client), "done", begin=Mark(0, 4), stop=2, body=b"ob: 0\n" + body(1))
    assert client.receive(rest, 0) == [Result(b"5", "done")]
    assert client.position == 0


def test_a_line_in_parts_is_put_together() -> None:
    client = opened()
    client.submit(b"5")
    whole = body(0)[:-1]
    part = answer(asked(client), "done", last=Mark(0, 4), end=2, body=whole[:4])
    assert client.receive(part, 0) == [Result(b"5", "done")]
    ask = asked(client)
    assert ask.mark == Mark(0, 4)
    rest = answer(ask, begin=ask.mark, stop=2, body=whole[4:] + b"\n" + body(1))
    assert client.receive(rest, 0) == told(0, 1)


def test_a_part_is_kept_while_an_answer_brings_no_more_of_it() -> None:
    client = opened()
    client.submit(b"5")
    whole = body(0)[:-1]
    client.receive(answer(asked(client), "done", last=Mark(0, 4), end=1, body=whole[:4]), 0)
    for stop in (Mark(0, 4), Mark(0, 2)):
        ask = asked(client)
        nothing = answer(ask, begin=Mark(0), last=stop, end=1, body=whole[: stop.offset])
        assert client.receive(nothing, 0) == []
    ask = asked(client)
    assert ask.mark == Mark(0, 4)
    assert client.receive(answer(ask, stop=1, body=whole[4:] + b"\n"), 0) == told(0)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"body": b"hello\n", "stop": 1},
        {"body": b"x 5 s Bob: hi\n", "stop": 1},
        {"body": b"0 5 \xff Bob: hi\n", "stop": 1},
        {"body": b"0 5 s\n", "stop": 1},
        {"body": b"0\t5\ts\tBob: hi\n", "stop": 1},
        {"body": b"x" * (MAX_PARTIAL_BYTES + 1), "last": Mark(0, 1)},
    ],
    ids=["no stamp", "no position", "no kind", "no line", "tabs", "too long"],
)
def test_nonsense_under_a_right_checksum_is_no_answer(nonsense: dict[str, Any]) -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    assert client.receive(answer(ask, "done", **nonsense), 0) == []
    assert client.position == 0
    assert client.receive(answer(ask, "done", stop=1, body=body(0)), 0) == [
        Result(b"5", "done"),
        *told(0),
    ]


def test_a_part_of_a_line_may_be_as_long_as_any_line() -> None:
    client = opened()
    client.submit(b"5")
    part = answer(asked(client), "done", body=b"x" * MAX_PARTIAL_BYTES, last=Mark(0, 1))
    assert client.receive(part, 0) == [Result(b"5", "done")]


def test_who_joins_is_told_all_that_is_new_though_he_was_further_before() -> None:
    """A server that goes on from an older copy of its journal is behind."""
    client = opened()
    client.submit(b"1 Al")
    client.receive(answer(asked(client), "done", stop=9), 0)
    client.submit(b"1 Al")
    found = client.receive(answer(asked(client), "done", begin=Mark(2), stop=4, body=body(2, 3)), 0)
    assert found == [Result(b"1 Al", "done"), *told(2, 3)]
    assert client.position == 4


@pytest.mark.parametrize("words", [(), ("done", "done")])
def test_an_answer_with_another_number_of_results_is_none(words: tuple[str, ...]) -> None:
    client = opened()
    client.submit(b"5")
    assert client.receive(answer(asked(client), *words), 0) == []


@pytest.mark.parametrize("number", [0, 2, 99])
def test_an_answer_to_another_request_is_none(number: int) -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    assert client.receive(answer(ask, "done", number=number), 0) == []
    client.receive(answer(ask, "done"), 0)
    assert client.receive(answer(ask, "done"), 0) == []  # nothing is under way


def test_after_a_join_what_lies_before_is_nobodys_news() -> None:
    client = opened()
    client.submit(b"1 Alice")
    begin = answer(asked(client), "done", begin=Mark(8), stop=10, body=body(8, 9))
    assert client.receive(begin, 0) == [Result(b"1 Alice", "done"), *told(8, 9)]
    assert client.position == 10


def test_news_that_the_server_cannot_read_is_not_asked_for_at_once() -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    trouble = Told(0, 0, TROUBLE, UNREADABLE)
    assert client.receive(answer(ask, "done", unreadable=True), 0) == [
        Result(b"5", "done"),
        trouble,
    ]
    assert client.idle


def test_a_bookmark_comes_forward_and_never_back() -> None:
    bookmark = Bookmark(5)
    bookmark.skip(Mark(4))
    assert bookmark.mark == Mark(5)
    bookmark.skip(Mark(6))
    assert bookmark.mark == Mark(6)


def test_a_bookmark_that_is_there_already_keeps_its_part_of_a_line() -> None:
    bookmark, half = Bookmark(0), Mark(0, 4)
    part = Answer(1, (), Mark(0), half, 1, body=body(0)[:4])
    rest = Answer(2, (), half, Mark(1), 1, body=body(0)[4:])
    assert bookmark.take(part, bookmark.read(part), joined=False) == []
    bookmark.skip(half)
    assert bookmark.read(rest) == (told(0), b"")


# Waiting and following.


def test_a_client_waits_for_news_and_asks_again_now_and_then() -> None:
    client = opened()
    client.listen(30)
    assert client.next_time() == 0
    ask = asked(client, 0)
    assert (ask.wait, ask.commands) == (30, ())
    assert client.idle
    assert client.next_time() == FIRST_MILLISECONDS
    assert asked(client, 500).tries == 2
    assert client.next_time() == 500 + LISTEN_MILLISECONDS
    assert client.receive(answer(ask, stop=1, body=body(0)), 600) == told(0)
    assert asked(client, 600).wait == 30


def test_whatever_is_asked_overtakes_what_only_waits() -> None:
    client = opened()
    client.listen(30)
    waiting = asked(client, 0)
    client.submit(b"2 hi")
    assert not client.idle
    assert client.next_time() == 0
    ask = asked(client, 1)
    assert (ask.number, ask.wait, ask.commands) == (waiting.number + 1, 0, (b"2 hi",))
    assert client.receive(answer(waiting, stop=1, body=body(0)), 2) == []
    assert client.receive(answer(ask, "done", stop=1, body=body(0)), 3)[1:] == told(0)
    assert client.send(4) is not None
    client.listen(0)
    client.acknowledge()
    assert not client.idle


def test_a_client_that_listens_no_more_asks_no_more() -> None:
    client = opened()
    client.listen(30)
    ask = asked(client, 0)
    client.listen(0)
    client.receive(answer(ask), 1)
    assert client.next_time() is None
    assert client.send(1) is None


def test_a_follower_is_told_news_and_acknowledges_it_now_and_then() -> None:
    client = opened(datagram=False)
    client.follow()
    ask = asked(client, 0)
    assert ask.follow
    client.receive(answer(ask), 0)
    assert client.next_time() == KEEP_MILLISECONDS
    assert client.send(100) is None
    news = answer(ask, number=0, stop=2, body=body(0, 1))
    assert client.receive(news, 200) == told(0, 1)
    assert client.next_time() == 200 + ACKNOWLEDGE_MILLISECONDS
    more = answer(ask, number=0, begin=Mark(2), stop=3, body=body(2))
    assert client.receive(more, 700) == told(2)
    assert client.next_time() == 200 + ACKNOWLEDGE_MILLISECONDS  # the first of them counts
    assert client.send(1_199) is None
    acknowledgement = asked(client, 1_200)
    assert acknowledgement.mark == Mark(3)
    # What comes before the answer to that is acknowledged in its turn.
    later = answer(ask, number=0, begin=Mark(3), stop=4, body=body(3))
    assert client.receive(later, 1_300) == told(3)
    client.receive(answer(acknowledgement, begin=Mark(4), stop=4), 1_400)
    assert client.next_time() == 1_400 + ACKNOWLEDGE_MILLISECONDS
    client.receive(answer(asked(client, 2_400)), 2_400)
    assert client.next_time() == 2_400 + KEEP_MILLISECONDS


def test_a_follower_leaves_out_what_came_by_too_early() -> None:
    client = opened(datagram=False)
    client.follow()
    ask = asked(client, 0)
    client.receive(answer(ask), 0)
    gap = answer(ask, number=0, begin=Mark(1), stop=2, body=body(1))
    assert client.receive(gap, 0) == []
    assert client.position == 0


def test_a_follower_is_told_nothing_twice() -> None:
    client = opened(datagram=False)
    client.follow()
    ask = asked(client, 0)
    client.receive(answer(ask), 0)
    news = answer(ask, number=0, stop=2, body=body(0, 1))
    assert client.receive(news, 0) == told(0, 1)
    assert client.receive(news, 0) == []
    assert client.receive(answer(ask, number=0, stop=3, body=body(0, 1, 2)), 0) == told(2)


def test_news_that_nobody_asked_for_is_none_where_it_could_come_from_anybody() -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    assert client.receive(answer(ask, number=0, stop=1, body=body(0)), 0) == []


def test_on_a_new_connection_a_follower_follows_again() -> None:
    client = opened(datagram=False)
    client.follow()
    client.receive(answer(asked(client)), 0)
    client.reconnect(datagram=False)
    assert asked(client).follow
    client.submit(b"2 hi")
    client.reconnect(datagram=True)
    client.receive(answer(asked(client)), 0)
    assert not asked(client).follow  # for there it would be of no use


def test_on_a_new_connection_what_was_under_way_says_how_far_we_are_now() -> None:
    client = opened(datagram=False)
    client.follow()
    client.receive(answer(asked(client)), 0)
    client.submit(b"2 hi")
    ask = asked(client)
    assert client.receive(answer(ask, number=0, stop=1, body=body(0)), 0) == told(0)
    client.reconnect(datagram=False)
    again = asked(client)
    assert (ask.mark, again.mark) == (Mark(0), Mark(1))
    assert (ask.number, ask.commands) == (again.number, again.commands)


def test_to_acknowledge_is_a_request_if_there_is_anything_new() -> None:
    client = opened()
    client.acknowledge()
    assert client.send(0) is None
    client.submit(b"5")
    client.receive(answer(asked(client), "done", stop=1, body=body(0)), 0)
    assert client.send(0) is None
    client.acknowledge()
    ask = asked(client)
    assert (ask.mark, ask.commands) == (Mark(1), ())
    client.receive(answer(ask), 0)
    client.acknowledge()
    assert client.send(0) is None
