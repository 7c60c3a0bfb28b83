"""How a client comes to a session: what it proves, from whom it takes one, and that there may be
none.
"""

import pytest
from attrs import evolve

from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.chat import FORGET_MILLISECONDS
from groupchat.core.sessions import replies
from groupchat.core.sessions.client import PLAIN_REFUSALS, SessionClient
from groupchat.core.sessions.happenings import Lost, NoSessions, Ready, Result
from groupchat.core.sessions.replies import Answer, Opened, Prove, Refusal, Unknown
from groupchat.core.sessions.requests import Ask, Open, decode_request
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.chatter import (
    COOKIE,
    SAVED,
    TOKEN,
    Chatter,
    answer,
    asked,
    lines,
    opened,
    results,
)
from tests.core.sessions.desk import NONCE, Desk

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
    assert client.heard == 0
    client.send(0)
    assert client.receive(Refusal("no such group", key=NONCE).encode(), 0) == [
        NoSessions("no such group")
    ]
    assert client.heard == 1
    assert client.next_time() is None
    assert client.receive(Opened(TOKEN, key=NONCE).encode(), 1) == []


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


def test_nothing_travels_behind_the_first_join() -> None:
    chatter = Chatter(Desk())
    chatter.ask(b"6")
    chatter.asked()
    chatter.ask(b"2 early", b"1 Bot", b"2 Report", b"5")
    made = [ask.commands for ask in chatter.asked()]
    assert made == [(b"2 early", b"1 Bot"), (b"2 Report", b"5")]
    chatter.ask(b"4", b"1 Bot", b"2 Again")  # if the server knows nothing of that, it is lost
    assert [ask.commands for ask in chatter.asked()] == [(b"4", b"1 Bot", b"2 Again")]


def test_nothing_is_said_twice_because_the_session_was_forgotten() -> None:
    """Some time after its member has left, and the reply that told of it was lost."""
    desk = Desk()
    chatter = Chatter(desk)
    chatter.pump()
    for command in (b"1 Bot", b"2 Report", b"4"):
        chatter.client.submit(command)
    lost = chatter.client.send(chatter.now)
    assert lost is not None
    desk.answer(lost)
    desk.now += FORGET_MILLISECONDS + 1
    desk.restart()
    desk.plain("Carol")
    due = chatter.client.next_time()
    assert due is not None
    chatter.now = due
    assert results(chatter.pump()) == [(b"1 Bot", "done"), (b"2 Report", "done"), (b"4", "done")]
    assert sum(b"Bot: Report" in line for line in desk.lines()) == 1


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
