"""Who a session is, wherever it comes from (S1), and what nobody gets before he has shown that he
is there (S4).
"""

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import Join, Reason, Refused
from groupchat.core.sessions import server
from groupchat.core.sessions.answers import Heard
from groupchat.core.sessions.replies import Answer, Opened, Prove, Refusal, Unknown
from groupchat.core.sessions.requests import Ask, Open, Request
from groupchat.core.sessions.server import COOKIE_MILLISECONDS
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import NONCE, Desk, Visitor
from tests.core.sessions.test_messages import COOKIE, TOKEN, requests

STREAM = None


def test_a_session_is_opened_where_the_cookie_arrives() -> None:
    visitor = Visitor(Desk())
    prove = visitor.send(Open("main", NONCE))
    assert isinstance(prove, Prove)
    assert visitor.send(Open("main", NONCE)) == prove  # nobody has to remember anything for that
    assert visitor.send(Open("main", NONCE, prove.cookie)) == Opened("01" * 16)
    assert visitor.send(Open("main", NONCE, prove.cookie)) == Opened("02" * 16)


def test_on_a_stream_nothing_has_to_be_proved() -> None:
    assert Visitor(Desk(), "tcp a #1", STREAM).send(Open("main", NONCE)) == Opened("01" * 16)


def cookie(desk: Desk, address: str = "udp a") -> str:
    reply = Visitor(desk, address).send(Open("main", NONCE))
    assert isinstance(reply, Prove)
    return reply.cookie


@pytest.mark.parametrize(
    ("age", "good"),
    [(0, True), (1, True), (COOKIE_MILLISECONDS - 1, True), (COOKIE_MILLISECONDS, True)]
    + [(2 * COOKIE_MILLISECONDS, False), (-120_000, False)],
)
@pytest.mark.parametrize("start", [0, 1, COOKIE_MILLISECONDS - 1])
def test_a_cookie_is_good_for_a_while(start: int, age: int, good: bool) -> None:
    desk = Desk()
    desk.now = 50 * COOKIE_MILLISECONDS + start
    old = cookie(desk)
    desk.now += age
    reply = Visitor(desk).send(Open("main", NONCE, old))
    assert isinstance(reply, Opened if good else Prove)
    if not good:
        assert reply == Prove(cookie(desk))
        assert cookie(desk) != old


@pytest.mark.parametrize(
    "bad",
    [
        lambda desk: cookie(desk, "udp b"),
        lambda desk: cookie(desk)[::-1],
        lambda _: COOKIE,
    ],
    ids=["another's", "made up", "made up, too"],
)
def test_a_cookie_is_good_for_one_address(bad: Callable[[Desk], str]) -> None:
    desk = Desk()
    assert Visitor(desk).send(Open("main", NONCE, bad(desk))) == Prove(cookie(desk))


def test_after_a_restart_old_cookies_prove_nothing() -> None:
    desk = Desk()
    old = cookie(desk)
    desk.restart()
    assert Visitor(desk).send(Open("main", NONCE, old)) == Prove(cookie(desk))
    assert cookie(desk) != old


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Open("main", NONCE, version=2), "other version"),
        (Open("main", NONCE, version=0), "other version"),
        (Open("other", NONCE), "no such group"),
    ],
)
@pytest.mark.parametrize("datagram", [STREAM, 1_200])
def test_what_there_is_no_session_for_is_refused(
    request_: Open, why: str, datagram: int | None
) -> None:
    assert Visitor(Desk(), "a", datagram).send(request_) == Refusal(why)


def test_a_session_moves_with_its_token_to_an_address_that_is_proved() -> None:
    desk = Desk()
    here = Visitor(desk).open().joined("Al")
    there = Visitor(desk, "udp b", token=here.token, number=here.number, mark=here.mark)
    move = there.request(b"2 from there")
    end = desk.chat.group.timeline.end
    prove = there.send(move)
    assert isinstance(prove, Prove)
    assert desk.chat.group.timeline.end == end  # nothing has been carried out
    assert there.proved(move) == Answer(2, ("done",), Mark(end + 1), Mark(end + 1), end + 1)
    assert desk.lines()[-1].endswith(b"Al: from there")
    # Only the last address is known to be his.
    assert isinstance(there.send(there.request()), Answer)
    assert isinstance(here.send(Ask(here.token, 4, here.mark)), Prove)


def test_a_session_moves_from_datagrams_to_a_stream_and_back() -> None:
    desk = Desk()
    visitor = Visitor(desk).open().joined("Al")
    visitor.address, visitor.datagram = "tcp a #1", STREAM
    assert isinstance(visitor.send(visitor.request()), Answer)
    visitor.address, visitor.datagram = "udp a", 1_200
    assert isinstance(visitor.send(visitor.request()), Prove)
    assert visitor.ask(b"2 hi").results == ("done",)


@pytest.mark.parametrize("datagram", [STREAM, 1_200])
def test_a_token_that_nobody_was_given_is_unknown(datagram: int | None) -> None:
    visitor = Visitor(Desk(), "udp a", datagram)
    assert visitor.send(Ask(TOKEN, 77, Mark(0), (b"1 Al",))) == Unknown(77)
    assert not visitor.desk.log


def test_a_session_outlives_a_restart_once_it_has_done_something() -> None:
    desk = Desk()
    joined, idle = Visitor(desk).open().joined("Al"), Visitor(desk, "udp b").open()
    idle.ask()
    desk.restart()
    assert isinstance(joined.send(joined.request(b"2 hi")), Prove)  # prove it again
    assert joined.ask(b"2 hi").results == ("done",)
    assert desk.lines()[-1].endswith(b"Al: hi")
    assert idle.send(idle.request()) == Unknown(2)


def test_neither_the_log_nor_the_state_lets_anybody_speak_in_anothers_name() -> None:
    """They know the token's hash alone, which is no token."""
    desk = Desk()
    visitor = Visitor(desk).open().joined("Al")
    written = "\n".join(desk.log) + json.dumps(desk.chat.snapshot())
    (sender,) = map(str, desk.chat.group.members)
    assert sender == visitor.sender
    assert sender in written
    assert visitor.token not in written
    hashed = sender.removeprefix("session ")
    assert Visitor(desk).proved(Ask(hashed, 9, Mark(0), (b"4",))) == Unknown(9)


def test_whose_request_it_seems_to_be() -> None:
    desk = Desk()
    visitor = Visitor(desk).open()
    sender = visitor.sender
    assert desk.sessions.sender(visitor.request(b"1 Al").encode()) == sender
    assert desk.sessions.sender(Ask(TOKEN, 1, Mark(0)).encode()) == ""
    assert desk.sessions.sender(Open("main", NONCE).encode()) == ""
    assert desk.sessions.sender(b"@") == ""
    visitor.ask(b"1 Al")
    desk.restart()
    assert desk.sessions.sender(visitor.request().encode()) == sender


@pytest.mark.parametrize("data", [b"", b"@", b"2 hi", b"@00000000 open 1 main", b"\xff"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    assert Desk().answer(data) == Refused(Reason.NOT_A_REQUEST)


@given(requests, st.booleans())
@example(Open("main", NONCE), False)
@example(Open("x", NONCE, version=9), False)
@example(Ask(TOKEN, 1, Mark(0)), False)
@example(Ask(TOKEN, 1, Mark(0)), True)
def test_who_has_not_proved_his_address_gets_no_more_than_three_times_what_he_sent(
    request_: Request, stolen: bool
) -> None:
    """Even if he has somebody's token, for whom much waits."""
    desk = Desk()
    owner = Visitor(desk).open().joined("Al")
    desk.plain("Bo", *["x" * 400] * 5)
    state = desk.chat.snapshot()
    if stolen and isinstance(request_, Ask):
        request_ = Ask(owner.token, request_.number, request_.mark, request_.commands)
    data = request_.encode()
    reply = desk.hear(data, "udp b")
    assert not isinstance(reply, Heard)
    if isinstance(reply, bytes):
        assert len(reply) <= 3 * len(data)
    assert desk.chat.snapshot() == state


def test_of_many_sessions_that_nobody_joins_by_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "OPEN_SESSIONS", 4)
    desk = Desk()
    member = Visitor(desk, "m").open().joined("Al")
    visitors = [Visitor(desk, f"v{number}").open() for number in range(4)]
    member.ask(b"2 still here")
    assert all(isinstance(v.send(v.request()), Answer) for v in visitors)
    late = Visitor(desk, "late").open()
    known = [isinstance(v.send(v.request()), Answer) for v in [*visitors, late, member]]
    assert known == [False, False, False, True, True, True]
    assert desk.sessions.sender(visitors[0].request().encode()) == ""


def test_whoever_is_about_to_join_is_not_forgotten_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "OPEN_SESSIONS", 1)
    desk = Desk()
    visitor = Visitor(desk).open()
    heard = desk.hear(visitor.request(b"1 Al").encode())
    assert isinstance(heard, Heard)
    others = [Visitor(desk, f"v{number}").open() for number in range(3)]
    desk.carry_out(heard)
    assert visitor.ask(b"2 hi").results == ("done",)
    assert isinstance(others[0].send(others[0].request()), Unknown)


def test_plain_members_and_sessions_are_members_of_one_group() -> None:
    desk = Desk()
    desk.plain("Bo")
    visitor = Visitor(desk).open()
    assert visitor.ask(b"1 BO").results == ("name-in-use",)
    visitor.joined("Al")
    assert list(desk.chat.group) == ["Al", "Bo"]
    assert desk.chat.group.apply(Join("AL"), "udp c") == Refused(Reason.NAME_IN_USE)
