"""What a client saves: enough for another to go on by, and an old copy is noticed."""

import pytest
from attrs import evolve

from groupchat.core import Leave
from groupchat.core.records import Record
from groupchat.core.sessions import replies
from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.happenings import Behind, Outside, Ready, Result, Seen
from tests.core.sessions.chatter import (
    SAVED,
    TOKEN,
    Chatter,
    answer,
    asked,
    lines,
    one_by_one,
    opened,
    results,
)
from tests.core.sessions.desk import NONCE, Desk

# To go on with it.


def test_a_session_stays_in_its_group() -> None:
    saved = evolve(SAVED, group="tea")
    assert SessionClient(datagram=True, saved=saved, nonce=NONCE).saved() == saved


def test_what_is_saved_is_enough_to_go_on_by() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"2 hi")
    saved = first.client.saved()
    assert saved is not None
    assert (saved.number, saved.position, saved.joined, saved.said) == (2, 2, True, 2)
    desk.plain("Bob", "one", "two")
    desk.restart()
    second = Chatter(desk, saved=saved)
    second.address = "udp b"
    happenings = second.pump()
    assert happenings[0] == Ready(resumed=True, waiting=3)
    assert lines(happenings) == [b"Bob has joined", b"Bob: one", b"Bob: two"]
    assert second.client.said == 2


@pytest.mark.parametrize("arrived", [True, False])
def test_what_was_under_way_is_carried_out_once(arrived: bool) -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice")
    desk.plain("Bob", "hi")
    first.client.submit(b"2 one")
    first.client.submit(b"6")
    request = first.client.send(first.now)
    saved = first.client.saved()
    assert saved is not None
    assert saved.commands == (b"2 one", b"")
    assert request is not None
    if arrived:
        desk.answer(request)
    second = Chatter(desk, saved=saved)
    happenings = second.pump()
    assert happenings[:3] == [
        Ready(resumed=True, waiting=2),
        Result(b"2 one", "done"),
        Result(b"6", "not-a-request"),
    ]
    assert lines(happenings) == [b"Bob has joined", b"Bob: hi"]
    said = [line.split(b" ", 3)[3] for line in desk.lines()]
    assert said.count(b"Alice: one") == 1


def test_a_join_that_was_under_way_makes_a_member() -> None:
    desk = Desk()
    desk.plain("Bob")
    first = Chatter(desk)
    first.pump()
    first.client.submit(b"1 Alice")
    request = first.client.send(first.now)
    assert request is not None
    desk.answer(request)
    saved = first.client.saved()
    assert saved is not None
    assert not saved.joined
    desk.plain("Bob", "hi")
    second = Chatter(desk, saved=saved)
    happenings = second.pump()
    assert happenings[:2] == [Ready(resumed=True, waiting=1), Result(b"1 Alice", "done")]
    assert lines(happenings) == [b"Bob: hi"]
    again = second.client.saved()
    assert again is not None
    assert again.joined


def test_what_is_said_together_with_a_join_makes_nothing_less_that_waits() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.pump()
    for command in (b"1 Alice", b"2 one"):
        first.client.submit(command)
    request = first.client.send(first.now)
    assert request is not None
    desk.answer(request)
    desk.plain("Bob", "hi")
    happenings = Chatter(desk, saved=first.client.saved()).pump()
    assert happenings[0] == Ready(resumed=True, waiting=2)
    assert lines(happenings) == [b"Bob has joined", b"Bob: hi"]


def test_of_a_line_that_has_come_in_part_the_whole_is_told_by_the_next() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice")
    desk.plain("Bob", "x" * 3_000)
    first.client.submit(b"5")
    for count, happenings in enumerate(one_by_one(first)):
        if count == 1:
            assert not lines(happenings)
            break
    second = Chatter(desk, saved=first.client.saved())
    assert lines(second.pump()) == [b"Bob: " + b"x" * 3_000]


def test_who_goes_on_finds_out_that_he_is_no_member_any_more() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"4")
    second = Chatter(desk, saved=first.client.saved())
    second.client.ask_seen()
    assert second.pump() == [Ready(resumed=True, waiting=0), Outside(), Seen(0, member=False)]
    assert second.ask(b"5") == [Result(b"5", "not-a-member")]  # it is told once


def test_who_was_sent_away_is_told_so_once() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    sender = desk.sessions.sender(chatter.requests[-1])
    desk.chat.apply(Record(desk.now, sender, 0, (Leave(),)))
    assert chatter.ask(b"2 hi") == [Outside(), Result(b"2 hi", "not-a-member")]
    assert chatter.ask(b"2 ho") == [Result(b"2 ho", "not-a-member")]
    assert chatter.ask(b"1 Alice", b"4") == [Result(b"1 Alice", "done"), Result(b"4", "done")]
    assert chatter.ask(b"5") == [Result(b"5", "not-a-member")]


def test_a_long_command_goes_on_in_another_process() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice")
    long = b"2 " + bytes(range(97, 123)) * 120
    first.client.submit(long)
    first.client.submit(b"2 after")
    request = first.client.send(first.now)
    assert request is not None
    assert first.client.unsent == (b"2 after",)
    saved = first.client.saved()
    assert saved is not None
    assert saved.command == long
    assert saved.commands[0].startswith(b"~0 2 abc")
    desk.answer(request)
    desk.plain("Bob")
    second = Chatter(desk, saved=saved)
    happenings = second.pump()
    assert happenings[0] == Ready(resumed=True, waiting=1)  # a part alone is no event
    assert results(happenings) == [(long, "done")]
    assert len(second.asked()) == 4  # each part once
    assert next(line for line in desk.lines() if b": abc" in line).endswith(b": " + long[2:])


# It is an old copy.


def test_who_goes_on_from_an_old_copy_is_told_so_and_catches_up() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"2 one")
    old = first.client.saved()
    assert old is not None
    first.ask(b"2 two")
    first.ask(b"2 three")
    second = Chatter(desk, saved=old)
    assert second.ask(b"2 four") == [Behind((b"2 four",)), Ready(resumed=True, waiting=2)]
    assert second.ask(b"2 five") == [Result(b"2 five", "done")]
    said = [line.split(b" ", 3)[3] for line in desk.lines()]
    assert said[1:] == [b"Alice: one", b"Alice: two", b"Alice: three", b"Alice: five"]


def test_of_a_long_command_in_an_old_copy_nothing_more_travels() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"2 one")
    old = first.client.saved()
    first.ask(b"2 two")
    first.ask(b"2 three")
    second = Chatter(desk, saved=old)
    long = b"2 " + b"x" * 3_000
    happenings = second.ask(b"5", long, b"2 short")
    assert happenings[0] == Behind((b"5", long))
    assert results(happenings) == [(b"2 short", "done")]
    assert [line[-5:] for line in desk.lines()][-2:] == [b"three", b"short"]


def test_only_the_request_under_way_can_be_behind() -> None:
    client = opened()
    client.submit(b"2 hi")
    ask = asked(client)
    for number, last in ((ask.number + 1, 9), (ask.number - 1, 9), (ask.number, ask.number - 1)):
        assert client.receive(replies.Behind(number, last, key=TOKEN).encode(), 1) == []
    assert client.receive(answer(ask, "done"), 2) == [Result(b"2 hi", "done")]


@pytest.mark.parametrize("restarts", [True, False])
def test_the_number_of_another_request_makes_no_repeat(restarts: bool) -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"2 one")
    old = first.client.saved()
    first.ask(b"2 two")
    if restarts:
        desk.restart()
    second = Chatter(desk, saved=old)
    assert second.ask(b"2 three", b"2 four")[0] == Behind((b"2 three", b"2 four"))
    assert second.ask(b"2 five") == [Result(b"2 five", "done")]
