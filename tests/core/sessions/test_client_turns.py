"""A client that works in turn: news comes with what asks for it, and the next command waits."""

import pytest

from groupchat.core.plain import UNREADABLE
from groupchat.core.sessions.happenings import TROUBLE, Ready, Result, Told, WhoIsHere
from groupchat.core.sessions.turns import Turns
from tests.core.sessions.chatter import (
    Chatter,
    answer,
    asked,
    body,
    in_turn,
    lines,
    one_by_one,
    opened,
)
from tests.core.sessions.desk import Desk


def test_in_turn_news_comes_with_what_asks_for_it_and_with_nothing_else() -> None:
    desk = Desk()
    chatter = in_turn(desk)
    position = chatter.client.position
    desk.plain("Bob", "one")
    assert chatter.ask(b"6") == [Result(b"6", "not-a-request")]
    assert chatter.ask(b"3 bob") == [Result(b"3 bob", "name-in-use")]
    chatter.client.ask_who()
    assert chatter.pump() == [WhoIsHere(("Bob",))]
    assert chatter.client.position == position
    assert lines(chatter.ask(b"5")) == [b"Bob has joined", b"Bob: one"]
    desk.plain("Bob", "two")
    assert lines(chatter.ask(b"2 hi")) == [b"Bob: two"]
    desk.plain("Bob", "three")
    assert lines(chatter.ask(b"3 Zoe")) == [b"Bob: three"]
    assert chatter.ask(b"4") == [Result(b"4", "done")]


@pytest.mark.parametrize("datagram", [True, False])
def test_in_turn_what_came_of_later_commands_is_told_after_the_news(datagram: bool) -> None:
    desk = Desk()
    chatter = in_turn(desk, datagram)
    desk.plain("Bob", *("x" * 900 for _ in range(5)))
    happenings = chatter.ask(b"6", b"5", b"7", b"2 hi", b"8")
    words = [h.command if isinstance(h, Result) else b"news" for h in happenings]
    assert words == [b"6", b"5", *[b"news"] * 6, b"7", b"2 hi", b"8"]


def test_in_turn_the_next_command_waits_until_all_that_waited_is_fetched() -> None:
    desk = Desk()
    chatter = in_turn(desk)
    desk.plain("Bob", *("x" * 900 for _ in range(5)))
    chatter.client.submit(b"5")
    batches = []
    for number, happenings in enumerate(one_by_one(chatter)):
        batches.append(happenings)
        if number == 0:
            chatter.client.submit(b"6")
            assert not chatter.client.idle
    words = [h.command if isinstance(h, Result) else b"news" for b in batches for h in b]
    assert words == [b"5", *[b"news"] * 6, b"6"]


def test_where_nothing_was_put_aside_nothing_comes_after_the_news() -> None:
    assert Turns().told(0, 9) == []


def test_in_turn_to_fetch_ends_though_others_go_on_talking() -> None:
    desk = Desk()
    chatter = in_turn(desk)
    desk.plain("Bob", *("x" * 900 for _ in range(3)))
    chatter.client.submit(b"5")
    for number, _ in enumerate(one_by_one(chatter)):
        assert number < 10
        desk.plain("Bob", "y" * 900)


def test_in_turn_to_fetch_ends_when_we_are_not_in_the_group_any_more() -> None:
    client = opened(in_turn=True)
    client.submit(b"5")
    client.receive(answer(asked(client), "done", stop=1, end=9, body=body(0)), 0)
    assert client.receive(answer(asked(client)), 0) == []
    assert client.idle


def test_in_turn_a_join_and_what_follows_it_can_travel_together() -> None:
    desk = Desk()
    desk.plain("Bob", "before")
    chatter = Chatter(desk, in_turn=True)
    happenings = chatter.ask(b"1 Alice", b"2 hi", b"6")
    assert [type(h).__name__ for h in happenings] == ["Ready", "Result", "Result", "Result"]
    desk.plain("Bob", "after")
    assert lines(chatter.ask(b"5")) == [b"Bob: after"]


def test_in_turn_a_repeated_answer_to_a_join_brings_no_news() -> None:
    desk = Desk()
    chatter = Chatter(desk, in_turn=True)
    chatter.pump()
    chatter.client.submit(b"1 Alice")
    request = chatter.client.send(chatter.now)
    assert request is not None
    desk.answer(request)
    desk.plain("Bob", "hi")
    chatter.now += 1_000
    assert chatter.pump() == [Result(b"1 Alice", "done")]
    assert chatter.client.position == 1
    assert lines(chatter.ask(b"5")) == [b"Bob has joined", b"Bob: hi"]


def test_in_turn_that_news_cannot_be_read_is_told_to_who_asks_for_it() -> None:
    client = opened(in_turn=True)
    client.submit(b"6")
    ask = asked(client)
    assert client.receive(answer(ask, "not-a-request", unreadable=True), 0) == [
        Result(b"6", "not-a-request")
    ]
    for command in (b"5", b"7"):
        client.submit(command)
    ask = asked(client)
    assert client.receive(answer(ask, "done", "not-a-request", unreadable=True), 0) == [
        Result(b"5", "done"),
        Told(0, 0, TROUBLE, UNREADABLE),
        Result(b"7", "not-a-request"),
    ]
    assert client.idle


def test_in_turn_what_was_under_way_brings_no_news() -> None:
    desk = Desk()
    first = in_turn(desk)
    desk.plain("Bob", "hi")
    first.client.submit(b"2 one")
    assert first.client.send(first.now) is not None
    second = Chatter(desk, saved=first.client.saved(), in_turn=True)
    assert second.pump() == [Ready(resumed=True, waiting=2), Result(b"2 one", "done")]
    assert lines(second.ask(b"5")) == [b"Bob has joined", b"Bob: hi"]


@pytest.mark.parametrize("command", [b"2 one", b"3 Zoe"])
def test_own_events_alone_are_not_told_to_be_waiting(command: bytes) -> None:
    desk = Desk()
    first = in_turn(desk)
    first.client.submit(command)
    assert first.client.send(first.now) is not None
    second = Chatter(desk, saved=first.client.saved(), in_turn=True)
    assert second.pump() == [Ready(resumed=True, waiting=0), Result(command, "done")]
    third = Chatter(desk, saved=second.client.saved(), in_turn=True)
    assert third.pump() == [Ready(resumed=True, waiting=0)]
