"""A client's requests: what travels in one, what waits for the next, and what is sent again."""

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core.plain import decode
from groupchat.core.replies import Refused
from groupchat.core.sessions.happenings import Result
from groupchat.core.sessions.outbox import DATAGRAM_ROOM, Outbox, Part
from groupchat.core.sessions.presence import Presence
from groupchat.core.sessions.replies import Answer, decode_reply
from groupchat.core.sessions.requests import Ask
from groupchat.core.sessions.timer import (
    EQUAL_TRIES,
    FIRST_MILLISECONDS,
    MAX_MILLISECONDS,
    MIN_MILLISECONDS,
    Timer,
)
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.chatter import Chatter, answer, asked, lines, one_by_one, opened, results
from tests.core.sessions.desk import Desk

# What travels.


def test_one_request_is_under_way_and_the_rest_travels_together() -> None:
    client = opened()
    client.submit(b"1 Alice")
    assert client.next_time() == 0
    first = asked(client)
    for text in (b"2 a", b"2 b", b"2 c"):
        client.submit(text)
    assert client.send(1) is None
    client.receive(answer(first, "done"), 2)
    assert asked(client, 2).commands == (b"2 a", b"2 b", b"2 c")


def test_a_request_holds_so_many_commands_and_so_many_bytes() -> None:
    client = opened()
    for number in range(40):
        client.submit(b"2 %d" % number)
    assert len(asked(client).commands) == 32
    client = opened()
    for _ in range(3):
        client.submit(b"2 " + b"x" * 400)
    assert len(asked(client).commands) == 2
    client = opened(datagram=False)  # may go on by datagrams
    for _ in range(3):
        client.submit(b"2 " + b"x" * 400)
    assert len(asked(client).commands) == 2


@pytest.mark.parametrize(
    "text", ["x" * 4_000, "é" * 2_000, "x" + "é" * 1_999, "€" * 1_333, "🦊" * 1_000]
)
def test_a_long_text_travels_in_parts_and_arrives_whole(text: str) -> None:
    desk = Desk()
    chatter = Chatter(desk)
    command = b"2 " + text.encode()
    happenings = chatter.ask(b"1 Alice", command, b"2 after")
    assert results(happenings)[1:] == [(command, "done"), (b"2 after", "done")]
    assert len(chatter.asked()) > 3
    said = [line.split(b" ", 3)[3] for line in desk.lines()]
    assert said == [b"Alice has joined", b"Alice: " + text.encode(), b"Alice: after"]


def test_a_long_text_is_sent_again_from_its_beginning_when_the_server_was_restarted() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    command = b"2 " + b"x" * 3_000
    chatter.client.submit(command)
    chatter.client.submit(b"2 after")
    happenings = []
    for count, happening in enumerate(one_by_one(chatter)):
        if count == 1:
            desk.restart()
        happenings += happening
    assert results(happenings) == [(command, "done"), (b"2 after", "done")]
    said = [line.split(b" ", 3)[3] for line in desk.lines()]
    assert said == [b"Alice has joined", b"Alice: " + b"x" * 3_000, b"Alice: after"]


def test_when_a_part_is_refused_the_rest_is_not_sent() -> None:
    client = opened()
    command = b"2 " + b"x" * 3_000
    client.submit(command)
    client.submit(b"5")
    ask = asked(client)
    assert ask.commands[0].startswith(b"~0 2 x")
    assert client.receive(answer(ask, "not-a-request"), 0) == [Result(command, "not-a-request")]
    assert asked(client).commands == (b"5",)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(b"6", id="an unknown number"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"2 hi\x1e4", id="two commands"),
        pytest.param(b"2 hi\r", id="a carriage return"),
        pytest.param(b"2 hi\n4", id="two lines"),
        pytest.param(b"2 \xff", id="no UTF-8"),
        pytest.param(b"~0 2 hi", id="a first part"),
        pytest.param(b"+0 4", id="a last part"),
        pytest.param(b"2 " + b"x" * 70_000, id="a long text"),
        pytest.param(b"2 " + b"x" * 4_000 + b"\xff", id="a long text that is no UTF-8"),
    ],
)
@pytest.mark.parametrize("datagram", [True, False])
def test_what_can_never_be_legal_is_refused_and_nothing_else_happens(
    command: bytes, datagram: bool
) -> None:
    desk = Desk()
    chatter = Chatter(desk, datagram)
    chatter.ask(b"1 Alice")
    happenings = chatter.ask(b"2 before", command, b"2 after")
    assert results(happenings) == [
        (b"2 before", "done"),
        (command, "not-a-request"),
        (b"2 after", "done"),
    ]
    assert [line.split(b" ", 3)[3] for line in desk.lines()] == [
        b"Alice has joined",
        b"Alice: before",
        b"Alice: after",
    ]


@given(st.lists(st.binary(max_size=2_000), max_size=6), st.booleans())
def test_whatever_is_submitted_has_its_result_in_its_turn(
    commands: list[bytes], datagram: bool
) -> None:
    chatter = Chatter(Desk(), datagram)
    happenings = chatter.ask(*commands)
    assert [command for command, _ in results(happenings)] == commands


def test_what_is_none_travels_with_the_others() -> None:
    client = opened()
    for command in (b"6", b"2 hi", b"7", b"5"):
        client.submit(command)
    assert asked(client).commands == (b"", b"2 hi", b"", b"5")


def test_what_waits_is_unsent_and_what_travels_is_not() -> None:
    client = opened()
    assert not client.unsent
    for command in (b"2 a", b"2 " + b"x" * 3_000, b"junk", b"2 b"):
        client.submit(command)
    assert client.unsent == (b"2 a", b"2 " + b"x" * 3_000, b"junk", b"2 b")
    ask = asked(client)
    assert ask.commands == (b"2 a",)
    assert [*client.unsent] == [b"2 " + b"x" * 3_000, b"junk", b"2 b"]
    client.receive(answer(ask, "done"), 1)
    assert asked(client, 1).commands[0].startswith(b"~0 ")
    assert [*client.unsent] == [b"junk", b"2 b"]


def test_an_outbox_forgets_nothing_that_is_turned_back() -> None:
    outbox = Outbox((b"2 earlier",))
    outbox.put(b"2 later", DATAGRAM_ROOM)
    assert (outbox.requests(), outbox.commands()) == ((b"2 earlier",), (b"2 earlier",))
    outbox.turn_back()
    assert (outbox.requests(), outbox.unsent()) == ((), (b"2 earlier", b"2 later"))
    outbox.pack(DATAGRAM_ROOM)
    assert outbox.requests() == (b"2 earlier", b"2 later")
    assert not outbox
    assert outbox.forget() == (b"2 earlier", b"2 later")
    assert outbox.requests() == ()


@pytest.mark.parametrize("before", [(), (b"2 a", b"2 b")])
def test_an_outbox_forgets_all_of_a_command_of_which_a_part_travels(
    before: tuple[bytes, ...],
) -> None:
    outbox, long = Outbox(), b"2 " + b"x" * 3_000
    for command in (*before, long, b"2 later"):
        outbox.put(command, DATAGRAM_ROOM // 2)
    outbox.pack(DATAGRAM_ROOM)
    assert len(outbox.requests()) > len(before)
    assert outbox.forget() == (*before, long)
    assert outbox.unsent() == (b"2 later",)


def test_what_was_under_way_is_a_command_if_it_is_not_said_to_be_a_part() -> None:
    assert Outbox((b"",)).commands() == (b"",)
    assert Outbox((b"",), b"6").commands() == (b"6",)


@pytest.mark.parametrize(
    ("options", "travels"),
    [
        ({}, (b"1 Al", b"5", b"4")),
        ({"leave_apart": True}, (b"1 Al", b"5")),
        ({"join_apart": True}, (b"1 Al",)),
    ],
)
def test_to_leave_and_to_join_travel_apart_where_that_is_asked_for(
    options: dict[str, bool], travels: tuple[bytes, ...]
) -> None:
    outbox = Outbox()
    for command in (b"1 Al", b"5", b"4"):
        outbox.put(command, DATAGRAM_ROOM)
    outbox.pack(DATAGRAM_ROOM, **options)
    assert outbox.requests() == travels


def test_only_a_join_that_is_done_makes_a_member() -> None:
    client = opened()
    client.submit(b"1 Al")
    client.receive(answer(asked(client), "name-in-use"), 0)
    saved = client.saved()
    assert saved is not None
    assert not saved.joined
    presence, join = Presence(), Part(b"1 Al", b"1 Al")
    for word in ("name-in-use", "done"):
        said = decode_reply(answer(Ask("0" * 32, 1, Mark(0)), word), "0" * 32)
        assert isinstance(said, Answer)
        assert presence.note([join], said) is presence.joined is (word == "done")


@pytest.mark.parametrize("in_turn", [False, True])
def test_who_takes_turns_leaves_by_a_request_of_its_own(in_turn: bool) -> None:
    client = opened(in_turn=in_turn)
    client.submit(b"5")
    client.submit(b"4")
    assert asked(client).commands == ((b"5",) if in_turn else (b"5", b"4"))


def test_a_command_is_cut_that_has_no_room_with_what_stands_in_front_of_it() -> None:
    for size, parts in ((59, 1), (60, 2)):
        outbox = Outbox()
        outbox.put(b"2".ljust(size, b" "), 60)
        outbox.pack(1_000)
        assert len(outbox.under_way) == parts


@given(st.text(min_size=1, max_size=1_300).filter(str.isprintable), st.integers(20, 60))
@example("é" * 20, 20)
@example("x" + "é" * 20, 20)
@example("€" * 20, 20)
@example("x" + "€" * 20, 20)
@example("xx" + "€" * 20, 20)
def test_a_command_is_cut_between_characters_into_parts_as_long_as_can_be(
    text: str, room: int
) -> None:
    command = b"2 " + text.encode()
    if isinstance(decode(command), Refused):
        return
    outbox = Outbox()
    outbox.put(command, room)
    whole = b""
    while outbox:
        outbox.pack(room)
        (part,) = outbox.under_way
        part.request.decode()
        if part.request == command:
            assert len(command) < room
            return
        offset, _, piece = part.request[1:].partition(b" ")
        assert int(offset) == len(whole)
        assert part.request.startswith(b"+" if part.last else b"~")
        whole += piece
        size = len(b"~9999 ") + len(piece)
        assert size <= room < size + len(command[len(whole) :].decode()[:1].encode()) or part.last
    assert whole == command


# What is sent again.


def test_a_datagram_is_sent_again_after_longer_and_longer_waits() -> None:
    client = opened()
    client.submit(b"5")
    now, waits, requests = 0, [], []
    for _ in range(8):
        requests.append(asked(client, now))
        due = client.next_time()
        assert due is not None
        assert client.send(due - 1) is None
        waits.append(due - now)
        now = due
    assert waits == [500, 500, 500, 1_000, 2_000, 4_000, 5_000, 5_000]
    assert [ask.tries for ask in requests] == list(range(1, 9))
    assert {evolve(ask, tries=1) for ask in requests} == {requests[0]}


def test_the_wait_follows_what_answers_take() -> None:
    client = opened()
    now = 0
    for _ in range(20):
        client.submit(b"5")
        ask = asked(client, now)
        now += 100
        client.receive(answer(ask, "done"), now)
    client.submit(b"5")
    asked(client, now)
    assert client.next_time() == now + 100


def test_an_answer_to_a_later_try_is_measured_from_that() -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client, 0)
    asked(client, 500)
    client.receive(answer(ask, "done", tries=2), 600)
    client.submit(b"5")
    asked(client, 600)
    assert client.next_time() == 600 + 100 + 4 * 50


def test_a_try_that_was_never_made_measures_nothing() -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    assert client.receive(answer(ask, "done", tries=9), 10) == [Result(b"5", "done")]


def test_on_a_connection_nothing_is_sent_twice_unless_there_is_a_new_one() -> None:
    client = opened(datagram=False)
    client.submit(b"2 hi")
    ask = asked(client)
    assert client.next_time() is None
    assert client.send(100_000) is None
    client.reconnect(datagram=False)
    assert client.next_time() == 0
    assert asked(client, 100_000) == ask


def test_a_session_moves_from_datagrams_to_a_connection() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    desk.plain("Bob", "x" * 3_000, "after")
    chatter.client.submit(b"5")
    request = chatter.client.send(chatter.now)
    assert request is not None
    reply = desk.answer(request)  # a part of the long line
    assert isinstance(reply, bytes)
    assert lines(chatter.client.receive(reply, chatter.now)) == [b"Bob has joined"]
    chatter.client.reconnect(datagram=False)
    assert lines(chatter.pump()) == [b"Bob: " + b"x" * 3_000, b"Bob: after"]


# The timer.


def test_the_timer_is_bounded() -> None:
    timer = Timer()
    assert [timer.wait(tries) for tries in (1, EQUAL_TRIES, EQUAL_TRIES + 1, 99)] == [
        FIRST_MILLISECONDS,
        FIRST_MILLISECONDS,
        2 * FIRST_MILLISECONDS,
        MAX_MILLISECONDS,
    ]
    timer.measured(0)
    assert timer.wait(1) == MIN_MILLISECONDS
    timer.measured(1_000_000)
    assert timer.wait(1) == MAX_MILLISECONDS


def test_the_timer_is_that_of_the_rfc() -> None:
    """RFC 6298, section 2, with times that were worked out by hand."""
    timer = Timer()
    timer.measured(200)  # smoothed 200, variation 100
    assert timer.wait(1) == 600
    timer.measured(280)  # variation 100 + (80 - 100) / 4 = 95, smoothed 200 + 80 / 8 = 210
    assert timer.wait(1) == 590
    assert timer.wait(EQUAL_TRIES + 1) == 1_180
