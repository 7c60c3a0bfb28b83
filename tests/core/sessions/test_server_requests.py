"""Requests that are numbered: each is carried out at most once, and a repeat is answered the same
(S2); and commands too long for one of them.
"""

import re
from zlib import crc32

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import MAX_TEXT_BYTES, Reason, Refused
from groupchat.core.sessions.answers import Heard
from groupchat.core.sessions.replies import Answer, Behind, Unknown, code
from groupchat.core.sessions.requests import MAX_COMMANDS, Ask
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import Desk, Visitor, al
from tests.core.strategies import legal_texts

NOT_A_REQUEST = Refused(Reason.NOT_A_REQUEST)


def said(desk: Desk) -> list[str]:
    """Return everything that was ever said, and nothing else."""
    lines = [line.decode().split(" ", 3) for line in desk.lines()]
    return [text for _, _, kind, text in lines if kind == "s"]


def test_every_command_of_a_request_has_its_result() -> None:
    visitor = al()
    visitor.desk.plain("Bo")
    answer = visitor.ask(b"2 one", b"3 BO", b"1 Al", b"2 ", b"2 \x01", b"", b"5", b"3 :", b"2 two")
    assert answer.results == (
        "done",
        "name-in-use",
        "already-a-member",
        "not-a-request",
        "illegal-text",
        "not-a-request",
        "done",
        "illegal-name",
        "done",
    )
    assert said(visitor.desk) == ["Al: one", "Al: two"]
    assert visitor.ask(b"4", b"2 three", b"1 Al", b"4").results == (
        "done",
        "not-a-member",
        "done",
        "done",
    )
    assert said(visitor.desk) == ["Al: one", "Al: two"]


@pytest.mark.parametrize("reason", Reason)
def test_a_result_is_a_word(reason: Reason) -> None:
    assert code(reason) == reason.name.lower().replace("_", "-")
    answer = Answer(1, (code(reason),), Mark(0), Mark(0), 0)
    assert f"1 {code(reason)} 0".encode() in answer.encode()


def test_only_what_is_accepted_is_written_down_and_nothing_if_that_is_nothing() -> None:
    visitor = al()
    before = len(visitor.desk.log)
    visitor.ask()
    visitor.ask(b"5", b"2 ", b"junk")
    assert len(visitor.desk.log) == before
    visitor.ask(b"5", b"2 hi", b"junk", b"4")
    assert len(visitor.desk.log) == before + 1
    mode, requests = visitor.desk.log[-1].split("\t", 3)[3].split("\t")
    checksum = crc32(b"5\x1e2 hi\x1ejunk\x1e4")
    assert mode == f"#4 done,done,not-a-request,done {checksum:08x}"
    assert requests == "2 hi\x1e4"


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_a_repeat_gets_the_same_results_and_is_not_carried_out_again(
    repeats: int, restart: bool
) -> None:
    visitor = al()
    request = visitor.request(b"2 hi", b"3 AL", b"3 Ali", b"2 ")
    first = visitor.send(request)
    assert isinstance(first, Answer)
    assert first.results == ("done", "name-in-use", "done", "not-a-request")
    end = visitor.desk.chat.group.timeline.end
    for _ in range(repeats):
        if restart:
            visitor.desk.restart()
        assert visitor.proved(request) == first
    assert visitor.desk.chat.group.timeline.end == end
    assert said(visitor.desk) == ["Al: hi"]
    assert len(visitor.desk.log) == 2


@pytest.mark.parametrize("restart", [False, True])
def test_number_and_commands_make_a_repeat(restart: bool) -> None:
    """What else it says is new: how far the client has come, and which try it is."""
    visitor = al()
    visitor.ask(b"2 hi")
    visitor.desk.plain("Bo", "hey")
    if restart:
        visitor.desk.restart()
    changed = Ask(visitor.token, visitor.number, Mark(4), (b"2 hi",), tries=7)
    assert visitor.proved(changed) == Answer(2, ("done",), Mark(4), Mark(4), 4, tries=7)
    other = Ask(visitor.token, visitor.number, Mark(4), (b"2 other",), tries=8)
    assert visitor.send(other) == Behind(2, 2)
    assert said(visitor.desk) == ["Al: hi", "Bo: hey"]


def test_a_repeat_is_known_though_the_log_does_not_tell_what_was_asked() -> None:
    """A log of an older version does not."""
    visitor = al()
    request = visitor.request(b"2 hi", b"2 ho")
    first = visitor.send(request)
    visitor.desk.log = [re.sub(r"done [0-9a-f]{8}", "done", line) for line in visitor.desk.log]
    visitor.desk.restart()
    assert visitor.proved(evolve(request, commands=(b"2 hi",))) == Behind(2, 2)
    assert visitor.proved(request) == first
    assert said(visitor.desk) == ["Al: hi", "Al: ho"]


def test_the_repeat_of_a_leave_is_known_though_nobody_is_there() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "hey")
    left = visitor.request(b"4")
    answer = visitor.send(left)
    assert answer == Answer(2, ("done",), Mark(1), Mark(1), 1, outside=True)
    visitor.desk.restart()
    assert visitor.proved(left) == answer
    assert visitor.ask(b"2 hi").results == ("not-a-member",)
    assert visitor.ask(who=0, seen=True) == Answer(4, (), Mark(1), Mark(1), 1, outside=True)


def test_a_request_that_was_overtaken_is_told_so_and_not_carried_out() -> None:
    visitor = al()
    late, later = visitor.request(b"2 late"), visitor.request(b"2 later")
    assert isinstance(visitor.send(later), Answer)
    assert visitor.send(late) == Behind(2, 3)
    visitor.desk.restart()
    assert isinstance(visitor.proved(later), Answer)
    assert visitor.proved(late) == Behind(2, 3)
    assert said(visitor.desk) == ["Al: later"]


def test_numbers_may_be_left_out() -> None:
    visitor = al()
    visitor.number = 10**14
    assert visitor.ask(b"2 hi").results == ("done",)
    assert visitor.ask(b"2 ho").results == ("done",)
    assert said(visitor.desk) == ["Al: hi", "Al: ho"]


def test_while_it_is_being_written_down_a_repeat_gets_no_answer() -> None:
    visitor = al()
    data = visitor.request(b"2 hi").encode()
    heard = visitor.desk.hear(data)
    assert isinstance(heard, Heard)
    assert visitor.desk.hear(data) is None
    done = visitor.desk.carry_out(heard)
    again = visitor.desk.hear(data)
    assert isinstance(again, Heard)
    assert (again.results, again.record) == (done.results, None) == (("done",), None)
    assert said(visitor.desk) == ["Al: hi"]


def test_what_is_asked_while_another_is_being_written_down_has_its_own_results() -> None:
    visitor = al()
    first = visitor.desk.hear(visitor.request(b"2 hi").encode())
    reading = visitor.request()
    second = visitor.desk.hear(reading.encode())
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    assert visitor.desk.carry_out(first).results == ("done",)
    assert second.results == ()
    again = visitor.desk.hear(reading.encode())
    assert isinstance(again, Heard)
    assert again.results == ()


def test_what_cannot_be_written_down_is_not_carried_out_under_that_number() -> None:
    visitor = al()
    visitor.desk.full = True
    request = visitor.request(b"2 hi", b"3 AL", b"3 Ali", b"5")
    results = ("not-stored", "name-in-use", "not-stored", "not-stored")
    answer = visitor.send(request)
    assert isinstance(answer, Answer)
    assert answer.results == results
    visitor.desk.full = False
    again = visitor.send(request)
    assert isinstance(again, Answer)
    assert again.results == results
    assert said(visitor.desk) == []
    assert visitor.ask(b"2 hi").results == ("done",)
    assert said(visitor.desk) == ["Al: hi"]


def test_a_join_that_cannot_be_written_down_is_none() -> None:
    visitor = Visitor(Desk()).open()
    visitor.desk.full = True
    assert visitor.ask(b"1 Al") == Answer(1, ("not-stored",), Mark(0), Mark(0), 0, outside=True)
    visitor.desk.full = False
    assert visitor.ask(b"2 hi").results == ("not-a-member",)
    assert visitor.ask(b"1 Al").results == ("done",)


def test_a_request_holds_so_many_commands_and_no_more() -> None:
    visitor = al()
    assert visitor.ask(*[b"2 x"] * MAX_COMMANDS).results == ("done",) * MAX_COMMANDS
    assert visitor.send(visitor.request(*[b"2 x"] * (MAX_COMMANDS + 1))) == NOT_A_REQUEST
    assert len(said(visitor.desk)) == MAX_COMMANDS


def test_who_acknowledges_what_has_not_happened_has_it_from_another_log() -> None:
    """This one is an older copy of that."""
    visitor = al()
    end = visitor.desk.chat.group.timeline.end
    visitor.mark = Mark(end + 1)
    assert visitor.send(visitor.request(b"2 hi")) == Unknown(2)
    visitor.mark = Mark(end, 5_000)
    assert visitor.ask(b"2 hi").results == ("done",)


def test_whoever_has_opened_a_session_and_not_joined_is_nobody_yet() -> None:
    visitor = Visitor(Desk()).open()
    visitor.desk.plain("Bo", "secret")
    answer = visitor.ask(b"2 hi", b"4", b"5", b"junk", who=0, seen=True, tries=2)
    words = ("not-a-member",) * 3 + ("not-a-request",)
    assert answer == Answer(1, words, Mark(0), Mark(0), 0, tries=2, outside=True)


# --- Long commands, in parts ------------------------------------------------------------------

LONG = b"2 " + "\u00e9".encode() * (MAX_TEXT_BYTES // 2)


def parts(command: bytes, *cuts: int) -> list[bytes]:
    """Return *command* cut into parts at *cuts*."""
    edges = [0, *cuts, len(command)]
    signs = [b"~"] * len(cuts) + [b"+"]
    pieces = zip(signs, edges, edges[1:], strict=False)
    return [b"%b%d %b" % (sign, start, command[start:stop]) for sign, start, stop in pieces]


def test_a_long_command_comes_in_parts_of_their_own_requests_or_together() -> None:
    visitor = al()
    one, two, three, four, five = parts(LONG, 1_000, 1_002, 2_000, 3_000)
    assert visitor.ask(one).results == ("done",)
    assert visitor.ask(two, three).results == ("done", "done")
    assert visitor.ask(four).results == ("done",)
    assert said(visitor.desk) == []
    assert len(visitor.desk.log) == 1
    assert visitor.ask(five, b"2 after").results == ("done", "done")
    assert said(visitor.desk) == ["Al: " + LONG[2:].decode(), "Al: after"]


@given(legal_texts, st.data())
@example("x" * 50, None)
def test_a_command_in_any_parts_is_the_command(text: str, data: st.DataObject | None) -> None:
    whole, in_parts = al(), al()
    command = b"2 " + text.encode()
    cuts = st.lists(st.integers(1, len(command)), max_size=5, unique=True).map(sorted)
    *first, last = parts(command, *(data.draw(cuts) if data else [10, 20, 30]))
    for part in first:
        assert in_parts.ask(part).results == ("done",)
    assert in_parts.ask(last).results == whole.ask(command).results
    assert in_parts.desk.lines() == whole.desk.lines()


def test_a_repeated_part_is_there_once() -> None:
    visitor = al()
    one, two = parts(b"2 Once upon a time", 11)
    for part in (one, two):
        request = visitor.request(part)
        for _ in range(3):
            answer = visitor.send(request)
            assert isinstance(answer, Answer)
            assert answer.results == ("done",)
    assert said(visitor.desk) == ["Al: Once upon a time"]


def test_parts_whose_beginning_is_not_here_are_incomplete() -> None:
    visitor = al()
    one, two, three = parts(b"2 Once upon a time", 5, 11)
    assert visitor.ask(two, three, one, three, two, three).results == (
        "incomplete",
        "incomplete",
        "done",
        "incomplete",
        "done",
        "done",
    )
    assert said(visitor.desk) == ["Al: Once upon a time"]
    assert visitor.ask(three).results == ("incomplete",)


def test_after_a_restart_the_parts_before_are_gone_and_all_is_sent_again() -> None:
    visitor = al()
    one, two = parts(b"2 Once upon a time", 11)
    assert visitor.ask(one).results == ("done",)
    visitor.desk.restart()
    assert visitor.ask(two).results == ("incomplete",)
    assert visitor.ask(one, two).results == ("done", "done")
    assert said(visitor.desk) == ["Al: Once upon a time"]


def test_the_first_part_begins_anew() -> None:
    visitor = al()
    assert visitor.ask(b"~0 2 Something el").results == ("done",)
    assert visitor.ask(b"~0 2 Once", b"+6  upon").results == ("done", "done")
    assert visitor.ask(b"~0 2 Something el", b"+0 2 Twice").results == ("done", "done")
    assert visitor.ask(b"+17 se", b"+4 se", b"+1 se").results == ("incomplete",) * 3
    assert said(visitor.desk) == ["Al: Once upon", "Al: Twice"]


@pytest.mark.parametrize(
    ("commands", "results"),
    [
        ([b"+0 2 x"], ["done"]),
        ([b"+0 2 "], ["not-a-request"]),
        ([b"+0 "], ["not-a-request"]),
        ([b"+0"], ["not-a-request"]),
        ([b"+"], ["incomplete"]),
        ([b"~"], ["incomplete"]),
        ([b"+00 2 x"], ["incomplete"]),
        ([b"~x 2 x"], ["incomplete"]),
        ([b"~0 +0 2 x", b"+6 "], ["done", "not-a-request"]),
        ([b"~0 2 \xc3", b"+3 \xa9"], ["done", "done"]),
        ([b"~0 2 \xc3", b"+3 x"], ["done", "not-a-request"]),
    ],
)
def test_parts_are_joined_and_then_read(commands: list[bytes], results: list[str]) -> None:
    visitor = al()
    assert list(visitor.ask(*commands).results) == results
    assert len(said(visitor.desk)) == (results[-1] == "done")


@pytest.mark.parametrize(
    ("commands", "results"),
    [
        ([b"+4002 "], ["done"]),
        ([b"+4002 x"], ["not-a-request"]),
        ([b"~4002 x", b"+4002 "], ["not-a-request", "incomplete"]),
    ],
)
def test_no_more_is_joined_than_a_request_may_have(
    commands: list[bytes], results: list[str]
) -> None:
    visitor = al()
    for start in range(0, len(LONG), 1_000):
        part = b"~%d %b" % (start, LONG[start : start + 1_000])
        assert visitor.ask(part).results == ("done",)
    assert list(visitor.ask(*commands).results) == results
    assert len(said(visitor.desk)) == (results[-1] == "done")


def test_the_parts_of_one_are_not_those_of_another() -> None:
    desk = Desk()
    one, other = Visitor(desk).open().joined("Al"), Visitor(desk, "udp b").open().joined("Bo")
    one.ask(b"~0 2 from")
    assert other.ask(b"+6  Bo").results == ("incomplete",)
    assert one.ask(b"+6  Al").results == ("done",)
    assert said(desk) == ["Al: from Al"]
