"""The client's half of sessions, by itself and with the server's half, without a network."""

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core import ILLEGAL_REQUEST, Leave
from groupchat.core.plain import UNREADABLE, decode
from groupchat.core.records import Record
from groupchat.core.replies import Refused
from groupchat.core.sessions import replies
from groupchat.core.sessions.bookmark import MAX_PARTIAL_BYTES, Bookmark
from groupchat.core.sessions.client import (
    ACKNOWLEDGE_MILLISECONDS,
    KEEP_MILLISECONDS,
    PLAIN_REFUSALS,
    SessionClient,
)
from groupchat.core.sessions.happenings import (
    TROUBLE,
    Behind,
    Happening,
    Lost,
    NoSessions,
    Outside,
    Ready,
    Result,
    Seen,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.listing import MAX_NAMES
from groupchat.core.sessions.outbox import DATAGRAM_ROOM, Outbox
from groupchat.core.sessions.replies import Answer, Opened, Prove, Refusal, Unknown, Who
from groupchat.core.sessions.requests import Ask, Open, decode_request
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.timer import (
    EQUAL_TRIES,
    FIRST_MILLISECONDS,
    MAX_MILLISECONDS,
    MIN_MILLISECONDS,
    Timer,
)
from groupchat.core.sessions.tries import LISTEN_MILLISECONDS
from groupchat.core.sessions.wire import DATAGRAM_BYTES, Mark
from tests.core.sessions.desk import NONCE, Desk

TOKEN = "0123456789abcdef" * 2
COOKIE = "0123456789abcdef"
SAVED = Saved(TOKEN, 7, 20, joined=True)


class Chatter:
    """A client, and what it was told, at a desk."""

    def __init__(
        self,
        desk: Desk,
        datagram: bool = True,
        saved: Saved | None = None,
        in_turn: bool = False,
    ) -> None:
        self.client = SessionClient(datagram, saved, nonce=NONCE, in_turn=in_turn)
        self.desk = desk
        self.address = "udp a"
        self.now = 0
        self.requests: list[bytes] = []

    def pump(self) -> list[Happening]:
        """Exchange datagrams until nothing more is asked; return what has happened."""
        return list(self.happenings())

    def happenings(self) -> Iterator[Happening]:
        while (request := self.client.send(self.now)) is not None:
            self.requests.append(request)
            assert len(request) <= DATAGRAM_BYTES
            self.now += 10
            limit = DATAGRAM_BYTES if self.client._datagram else None
            reply = self.desk.answer(request, self.address, limit)
            if isinstance(reply, Refused):
                reply = ILLEGAL_REQUEST
            assert reply is not None
            yield from self.client.receive(reply, self.now)

    def ask(self, *commands: bytes) -> list[Happening]:
        for command in commands:
            self.client.submit(command)
        return self.pump()

    def asked(self) -> list[Ask]:
        """Return the requests that were made, without the opening ones and repeats."""
        found = [decode_request(request) for request in self.requests]
        self.requests.clear()
        return [ask for ask in found if isinstance(ask, Ask) and ask.tries == 1 and not ask.cookie]


def lines(happenings: list[Happening]) -> list[bytes]:
    return [h.line for h in happenings if isinstance(h, Told)]


def results(happenings: list[Happening]) -> list[tuple[bytes, str]]:
    return [(h.command, h.word) for h in happenings if isinstance(h, Result)]


def opened(datagram: bool = True, in_turn: bool = False) -> SessionClient:
    """Return a client with a session."""
    client = SessionClient(datagram, nonce=NONCE, in_turn=in_turn)
    assert client.send(0) == Open("main", NONCE).encode()
    assert client.receive(Opened(TOKEN, key=NONCE).encode(), 0) == [Ready(resumed=False)]
    return client


def asked(client: SessionClient, now: int = 0) -> Ask:
    """Return the request that *client* makes."""
    request = client.send(now)
    assert request is not None
    ask = decode_request(request)
    assert isinstance(ask, Ask)
    return ask


def answer(
    ask: Ask,
    *words: str,
    stop: int = 0,
    end: int | None = None,
    **options: Any,  # noqa: ANN401
) -> bytes:
    """Return an answer to *ask*, which begins at its mark."""
    last = options.pop("last", Mark(stop or ask.mark.position))
    whole = Answer(
        options.pop("number", ask.number),
        words,
        options.pop("begin", ask.mark),
        last,
        last.position if end is None else end,
        **options,
        key=ask.token,
    )
    return whole.encode()


def body(*positions: int) -> bytes:
    return b"".join(b"%d 5 s Bob: %d\n" % (position, position) for position in positions)


def told(*positions: int) -> list[Told]:
    return [Told(position, 5, "s", b"Bob: %d" % position) for position in positions]


# A session begins.


def test_a_session_is_opened_joined_and_talked_in() -> None:
    chatter = Chatter(Desk())
    assert chatter.pump() == [Ready(resumed=False)]
    assert chatter.client.idle
    assert chatter.ask(b"1 Alice") == [Result(b"1 Alice", "done")]
    chatter.desk.plain("Bob", "hi")
    happenings = chatter.ask(b"2 hi Bob")
    assert results(happenings) == [(b"2 hi Bob", "done")]
    assert lines(happenings) == [b"Bob has joined", b"Bob: hi"]
    assert chatter.client.position == 4
    assert chatter.client.next_time() is None


def test_what_is_submitted_before_there_is_a_session_waits() -> None:
    chatter = Chatter(Desk())
    happenings = chatter.ask(b"1 Alice", b"2 hi", b"6")
    assert happenings[0] == Ready(resumed=False)
    assert results(happenings) == [
        (b"1 Alice", "done"),
        (b"2 hi", "done"),
        (b"6", "not-a-request"),
    ]


def test_an_address_is_proved_once_and_again_when_it_changes() -> None:
    chatter = Chatter(Desk())
    chatter.ask(b"1 Alice")
    assert [type(decode_request(r)).__name__ for r in chatter.requests] == ["Open", "Open", "Ask"]
    chatter.requests.clear()
    chatter.address = "udp b"
    assert results(chatter.ask(b"2 from elsewhere")) == [(b"2 from elsewhere", "done")]
    first, second = map(decode_request, chatter.requests)
    assert isinstance(first, Ask)
    assert isinstance(second, Ask)
    assert (first.cookie, bool(second.cookie)) == ("", True)
    assert first.number == second.number
    assert [line.split(b" ", 3)[3] for line in chatter.desk.lines()][-1] == (
        b"Alice: from elsewhere"
    )


def test_the_same_cookie_twice_is_no_reason_to_ask_twice() -> None:
    client = SessionClient(datagram=True, nonce=NONCE)
    client.send(0)
    assert client.receive(Prove(COOKIE, key=NONCE).encode(), 5) == []
    assert client.next_time() == 5
    assert client.send(5) == Open("main", NONCE, COOKIE).encode()
    due = client.next_time()
    assert client.receive(Prove(COOKIE, key=NONCE).encode(), 6) == []
    assert client.next_time() == due


def test_another_group_can_be_asked_for() -> None:
    assert (
        SessionClient(datagram=True, group="den", nonce=NONCE).send(0)
        == Open("den", NONCE).encode()
    )


def test_a_second_answer_to_the_first_request_changes_nothing() -> None:
    client = opened()
    assert client.receive(Opened("f" * 32, key=NONCE).encode(), 1) == []
    assert client.receive(Opened("f" * 32, key=TOKEN).encode(), 1) == []
    assert client.saved() == Saved(TOKEN, 0, 0, joined=False)


# There is none.


def test_a_server_that_refuses_a_few_times_knows_no_sessions() -> None:
    client = SessionClient(datagram=True, nonce=NONCE)
    for number in range(1, PLAIN_REFUSALS):
        assert client.send(number) is not None
        assert client.receive(ILLEGAL_REQUEST, number) == []
        assert client.refusals == number
        assert client.next_time() == 0  # at once
    assert client.send(9) is not None
    assert client.receive(ILLEGAL_REQUEST, 9) == [NoSessions()]
    # That was the end.
    assert client.next_time() is None
    assert client.send(10_000) is None
    assert client.receive(Opened(TOKEN, key=NONCE).encode(), 10_000) == []
    assert not client.idle
    assert client.saved() is None


def test_a_server_can_give_no_session_and_say_why() -> None:
    client = SessionClient(datagram=True, nonce=NONCE)
    client.send(0)
    assert client.receive(Refusal("no such group", key=NONCE).encode(), 0) == [
        NoSessions("no such group")
    ]


@pytest.mark.parametrize("junk", [b"", b"hello", b"@00000000 session " + TOKEN.encode()])
def test_junk_is_no_answer(junk: bytes) -> None:
    client = SessionClient(datagram=True, nonce=NONCE)
    client.send(0)
    due = client.next_time()
    assert client.receive(junk, 1) == []
    assert (client.refusals, client.next_time()) == (0, due)


def test_refusals_in_a_session_are_counted_until_there_is_an_answer() -> None:
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    for number in (1, 2):
        for _ in range(5):  # anybody can send that, so it counts once a try
            assert client.receive(ILLEGAL_REQUEST, 1) == []
            assert client.refusals == number
        assert client.send(1_000 * number) is not None
    assert client.receive(answer(ask, "done"), 3_000) == [Result(b"5", "done")]
    assert client.refusals == 0


# What travels.


def test_one_request_is_under_way_and_the_rest_travels_together() -> None:
    client = opened()
    client.submit(b"1 Alice")
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


@pytest.mark.parametrize("text", ["x" * 4_000, "é" * 2_000, "€" * 1_333, "🦊" * 1_000])
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
    for count, happening in enumerate(_one_by_one(chatter)):
        if count == 1:
            desk.restart()
        happenings += happening
    assert results(happenings) == [(command, "done"), (b"2 after", "done")]
    said = [line.split(b" ", 3)[3] for line in desk.lines()]
    assert said == [b"Alice has joined", b"Alice: " + b"x" * 3_000, b"Alice: after"]


def _one_by_one(chatter: Chatter) -> Iterator[list[Happening]]:
    """Yield what each exchange brings."""
    while (request := chatter.client.send(chatter.now)) is not None:
        chatter.now += 10
        reply = chatter.desk.answer(request, chatter.address)
        assert isinstance(reply, bytes)
        yield chatter.client.receive(reply, chatter.now)


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
        b"6",
        b"",
        b"2 hi\x1e4",
        b"2 hi\r",
        b"2 hi\n4",
        b"2 \xff",
        b"~0 2 hi",
        b"+0 4",
        b"2 " + b"x" * 70_000,
        b"2 " + b"x" * 4_000 + b"\xff",
    ],
    ids=lambda command: repr(command[:10]),
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


# News.


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
        {"body": b"x" * (MAX_PARTIAL_BYTES + 1), "last": Mark(0, 1)},
    ],
    ids=["no stamp", "no position", "no kind", "no line", "too long"],
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


# Waiting and following.


def test_a_client_waits_for_news_and_asks_again_now_and_then() -> None:
    client = opened()
    client.listen(30)
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


# Who is here, and what everybody has seen.


def test_who_is_here_is_told_newest_first() -> None:
    desk = Desk()
    for name in ("Bob", "Carol"):
        desk.plain(name)
    chatter = Chatter(desk)
    chatter.client.ask_who()
    assert chatter.ask(b"1 Alice")[1:] == [
        Result(b"1 Alice", "done"),
        WhoIsHere(("Carol", "Bob")),
    ]
    chatter.client.ask_who()
    chatter.client.ask_who()  # once is enough
    assert chatter.pump() == [WhoIsHere(("Carol", "Bob"))]


def test_a_long_list_of_names_is_fetched_in_pieces() -> None:
    desk = Desk()
    for number in range(200):
        desk.plain(f"member number {number}")
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    chatter.client.ask_who()
    (who,) = chatter.pump()
    assert who == WhoIsHere(tuple(f"member number {n}" for n in reversed(range(200))))
    assert len([ask for ask in chatter.asked() if ask.who is not None]) > 2


@pytest.mark.parametrize("before", [9, 10], ids=["again", "backwards"])
def test_a_server_that_tells_names_for_ever_is_not_listened_to(before: int) -> None:
    client = opened()
    client.ask_who()
    assert client.receive(answer(asked(client), who=Who(9, 1), names=("Bob",)), 0) == []
    ask = asked(client)
    assert ask.who == 9
    endless = answer(ask, who=Who(before, 1), names=("Carol",))
    assert client.receive(endless, 0) == [WhoIsHere(("Bob", "Carol"))]


def test_there_is_a_bound_to_the_names_that_are_kept() -> None:
    client = opened()
    client.ask_who()
    names = tuple(f"{number}" for number in range(MAX_NAMES + 1))
    many = answer(asked(client), who=Who(5, len(names)), names=names)
    assert client.receive(many, 0) == [WhoIsHere(names)]


def test_an_answer_without_names_to_a_request_made_before_tells_nobody() -> None:
    """What is asked for while a request is under way is answered by the next one."""
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    client.ask_who()
    client.ask_seen()
    assert client.receive(answer(ask, "done"), 0) == [Result(b"5", "done")]
    ask = asked(client)
    assert (ask.who, ask.seen) == (0, True)


def test_whether_all_has_been_seen() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    assert chatter.client.said == 0
    other = Chatter(desk)
    other.address = "udp b"
    other.ask(b"1 Bob")
    chatter.ask(b"2 hi", b"3 Zoe")
    assert chatter.client.said == 4

    def seen() -> int:
        chatter.client.ask_seen()
        ((seen,),) = [[h for h in chatter.pump() if isinstance(h, Seen)]]
        assert seen.member
        return seen.position

    assert seen() < chatter.client.said
    assert lines(other.ask(b"5"))[-2:] == [b"Alice: hi", b"Alice changed his name to Zoe"]
    assert seen() < chatter.client.said  # he has it, and we do not know yet
    other.client.acknowledge()
    other.pump()
    assert seen() == chatter.client.said


def test_who_is_not_in_the_group_is_told_that() -> None:
    chatter = Chatter(Desk())
    chatter.client.ask_who()
    chatter.client.ask_seen()
    assert chatter.pump()[1:] == [Seen(0, member=False), WhoIsHere((), member=False)]
    assert chatter.client.idle


# In turn.


def in_turn(desk: Desk, datagram: bool = True) -> Chatter:
    chatter = Chatter(desk, datagram, in_turn=True)
    chatter.ask(b"1 Alice")
    return chatter


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
    for number, happenings in enumerate(_one_by_one(chatter)):
        batches.append(happenings)
        if number == 0:
            chatter.client.submit(b"6")
            assert not chatter.client.idle
    words = [h.command if isinstance(h, Result) else b"news" for b in batches for h in b]
    assert words == [b"5", *[b"news"] * 6, b"6"]


def test_in_turn_to_fetch_ends_though_others_go_on_talking() -> None:
    desk = Desk()
    chatter = in_turn(desk)
    desk.plain("Bob", *("x" * 900 for _ in range(3)))
    chatter.client.submit(b"5")
    for number, _ in enumerate(_one_by_one(chatter)):
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


# To go on with what was saved.


def test_what_is_saved_is_enough_to_go_on_by() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice", b"2 hi")
    saved = first.client.saved()
    assert saved is not None
    assert (saved.number, saved.position, saved.joined, saved.said) == (1, 2, True, 2)
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


def test_in_turn_what_was_under_way_brings_no_news() -> None:
    desk = Desk()
    first = in_turn(desk)
    desk.plain("Bob", "hi")
    first.client.submit(b"2 one")
    assert first.client.send(first.now) is not None
    second = Chatter(desk, saved=first.client.saved(), in_turn=True)
    assert second.pump() == [Ready(resumed=True, waiting=2), Result(b"2 one", "done")]
    assert lines(second.ask(b"5")) == [b"Bob has joined", b"Bob: hi"]


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


def test_of_a_line_that_has_come_in_part_the_whole_is_told_by_the_next() -> None:
    desk = Desk()
    first = Chatter(desk)
    first.ask(b"1 Alice")
    desk.plain("Bob", "x" * 3_000)
    first.client.submit(b"5")
    for count, happenings in enumerate(_one_by_one(first)):
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


# What was written down is an old copy.


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
    happenings = second.ask(long, b"2 short")
    assert happenings[0] == Behind((long,))
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


# What only the server can have said.


def test_nobody_answers_in_the_servers_name_who_has_not_seen_the_request() -> None:
    client = opened()
    client.submit(b"2 hi")
    ask = asked(client)
    line = b"%d 5 s Carol: I resign\n" % ask.mark.position
    stop = Mark(ask.mark.position + 1)
    right = Answer(ask.number, ("done",), ask.mark, stop, stop.position, body=line)
    heard, saved, due = client.heard, client.saved(), client.next_time()
    for key in ("", NONCE, "f" * 32):
        for reply in (right, Unknown(ask.number), Prove(COOKIE), replies.Behind(ask.number, 99)):
            assert client.receive(evolve(reply, key=key).encode(), 1) == []
    assert (client.heard, client.saved(), client.next_time()) == (heard, saved, due)
    happenings = client.receive(evolve(right, key=TOKEN).encode(), 1)
    assert lines(happenings) == [b"Carol: I resign"]
    assert client.heard == heard + 1


def test_nobody_gives_a_session_who_has_not_seen_the_request() -> None:
    client = SessionClient(datagram=True, nonce=NONCE)
    client.send(0)
    for key in ("", "f" * 16):
        assert client.receive(Opened("f" * 32, key=key).encode(), 1) == []
        assert client.receive(Refusal("no", key=key).encode(), 1) == []
    assert client.receive(Opened(TOKEN, key=NONCE).encode(), 1) == [Ready(resumed=False)]


# What is yet to be sent.


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
    second = Chatter(desk, saved=saved)
    assert results(second.pump()) == [(long, "done")]
    assert next(line for line in desk.lines() if b": abc" in line).endswith(b": " + long[2:])


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


def test_own_events_alone_are_not_told_to_be_waiting() -> None:
    desk = Desk()
    first = in_turn(desk)
    first.client.submit(b"2 one")
    assert first.client.send(first.now) is not None
    second = Chatter(desk, saved=first.client.saved(), in_turn=True)
    assert second.pump()[-1] == Result(b"2 one", "done")
    third = Chatter(desk, saved=second.client.saved(), in_turn=True)
    assert third.pump() == [Ready(resumed=True, waiting=0)]


# The server does not know the session.


def test_a_session_in_which_nothing_was_done_begins_anew() -> None:
    chatter = Chatter(Desk())
    chatter.pump()
    chatter.desk.restart()
    assert results(chatter.ask(b"1 Alice")) == [(b"1 Alice", "done")]
    saved = evolve(SAVED, joined=False, commands=(b"1 Carol",))
    other = Chatter(chatter.desk, saved=saved)
    other.address = "udp b"
    happenings = other.pump()
    assert happenings == [Ready(resumed=False), Result(b"1 Carol", "done")]


def test_a_session_that_is_lost_says_what_nobody_knows_about() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    chatter.desk.log.clear()
    chatter.desk.restart()
    long = b"2 " + b"x" * 2_000
    assert chatter.ask(b"2 hi", long) == [Lost((b"2 hi",))]
    assert chatter.client.next_time() is None
    assert chatter.client.saved() is None


def test_that_another_request_is_unknown_says_nothing() -> None:
    client = opened()
    assert client.receive(Unknown(1, key=TOKEN).encode(), 0) == []
    client.submit(b"5")
    asked(client)
    assert client.receive(Unknown(2, key=TOKEN).encode(), 0) == []
    assert client.receive(Unknown(1, key=TOKEN).encode(), 0) == []
    assert client.send(0) == Open("main", NONCE).encode()


def test_nothing_is_sent_while_nothing_is_asked() -> None:
    client = opened()
    assert client.next_time() is None
    assert client.receive(Prove(COOKIE, key=TOKEN).encode(), 3) == []
    assert client.send(3) is None
    assert client.receive(ILLEGAL_REQUEST, 3) == []
    assert client.send(3) is None


# The parts.


def test_an_outbox_forgets_nothing_that_is_turned_back() -> None:
    outbox = Outbox((b"2 earlier",))
    outbox.put(b"2 later", DATAGRAM_ROOM)
    assert (outbox.requests(), outbox.commands()) == ((b"2 earlier",), (b"2 earlier",))
    outbox.turn_back()
    assert outbox
    outbox.pack(DATAGRAM_ROOM)
    assert outbox.requests() == (b"2 earlier", b"2 later")
    assert not outbox


@given(st.text(min_size=1, max_size=1_300).filter(str.isprintable), st.integers(20, 60))
def test_a_command_is_cut_between_characters(text: str, room: int) -> None:
    command = b"2 " + text.encode()
    if isinstance(decode(command), Refused):
        return
    outbox = Outbox()
    outbox.put(command, room)
    whole = b""
    while outbox:
        outbox.pack(room)
        (part,) = outbox.under_way
        assert len(part.request) <= room
        part.request.decode()
        if part.request == command:
            return
        offset, _, piece = part.request[1:].partition(b" ")
        assert int(offset) == len(whole)
        assert part.request.startswith(b"+" if part.last else b"~")
        whole += piece
    assert whole == command


def test_a_bookmark_comes_forward_and_never_back() -> None:
    bookmark = Bookmark(5)
    bookmark.skip(Mark(4))
    assert bookmark.mark == Mark(5)
    bookmark.skip(Mark(6))
    assert bookmark.mark == Mark(6)


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
