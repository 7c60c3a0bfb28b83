"""The plain protocol: any bytes to a command or a refusal, any reply to bytes."""

from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import (
    MAX_REQUEST_BYTES,
    Command,
    Group,
    Join,
    Leave,
    News,
    Reason,
    Refused,
    Rename,
    Roster,
    Send,
    Update,
    decode,
    encode,
)
from groupchat.core.plain import UPDATES, request
from groupchat.core.timeline import Timeline
from tests.core.reading import append
from tests.core.strategies import legal_names, legal_texts

NOT_A_REQUEST = Refused(Reason.NOT_A_REQUEST)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (b"1 Alice", Join("Alice")),
        (b"2 Hi", Send("Hi")),
        (b"2  two  spaces ", Send(" two  spaces ")),
        (b"2 5", Send("5")),
        (b"3 Bob", Rename("Bob")),
        (b"4", Leave()),
        (b"5", Update()),
        ("2 \u00e9\U0001f46a".encode(), Send("\u00e9\U0001f46a")),
        (b"2 " + b"x" * 4_000, Send("x" * 4_000)),
    ],
)
def test_a_request_is_decoded(request_: bytes, command: Command, end: bytes) -> None:
    assert decode(request_ + end) == command


@pytest.mark.parametrize(
    "request_",
    [b"", b"\n", b"\r\n", b" ", b"0", b"6", b"6 x", b"12 x", b"1Alice", b"4 ", b"5 x", b" 1 Alice"]
    + [
        b"1",
        b"2",
        b"3",
        b"1 ",
        b"2 ",
        b"3 ",
        b"1\tAlice",
        b"2\n",
        b"5\n\n",
        b"4\r",
        b"44",
        b"345ft",
    ]
    + [b"2 \xff", b"2 \xc3", b"2 \xc0\x80", b"2 \xed\xa0\x80", b"\xff", b"1 \x80\n", b"@1"]
    + [b"2 " + b"x" * 4_003, b"x" * 65_507],
)
def test_it_is_not_a_request(request_: bytes) -> None:
    assert decode(request_) == NOT_A_REQUEST


@pytest.mark.parametrize("request_", [b"5", b"5\n", b"5\r\n", b"5\n\n", b"5 ", b"4", b"2 5"])
def test_what_asks_for_news_is_known_without_decoding_it(request_: bytes) -> None:
    assert (request_ in UPDATES) is (decode(request_) == Update())


def test_only_one_line_end_is_ignored() -> None:
    assert decode(b"2 a\n\n") == Send("a\n")
    assert decode(b"2 a\r\r\n") == Send("a\r")
    assert decode(b"2 a\r") == Send("a\r")


def test_a_request_too_long_to_be_legal_is_not_even_decoded() -> None:
    assert MAX_REQUEST_BYTES == 4_002
    for end in (b"", b"\n", b"\r\n"):
        assert decode(b"2 " + b"x" * 4_000 + end) == Send("x" * 4_000)
        assert decode(b"2 " + b"x" * 4_001 + end) == NOT_A_REQUEST
        assert decode(b"1 " + "\u3000".encode() * 1_333 + b"xy" + end) == NOT_A_REQUEST


@given(st.binary() | st.text().map(lambda text: f"2 {text}".encode(errors="replace")))
def test_any_bytes_are_a_command_or_a_refusal(request_: bytes) -> None:
    assert isinstance(decode(request_), Join | Send | Rename | Leave | Update | Refused)


@given(
    st.builds(Join, legal_names)
    | st.builds(Rename, legal_names)
    | st.builds(Send, legal_texts)
    | st.sampled_from([Leave(), Update()])
)
@example(Send("x" * 4_000))
@example(Send("\t"))
def test_a_command_can_be_written_as_the_request_that_asks_for_it(command: Command) -> None:
    assert decode(request(command).encode()) == command


@pytest.mark.parametrize("request_", ["1 Alice", "2  Hi ", "3 Bob", "4", "5"])
def test_the_request_that_asks_for_a_command_is_written_as_it_came(request_: str) -> None:
    command = decode(request_.encode())
    assert not isinstance(command, Refused)
    assert request(command) == request_


def test_what_is_no_command_at_all_cannot_be_written() -> None:
    with pytest.raises(AssertionError, match="'5'"):
        request(cast("Command", "5"))


def test_replies_are_encoded() -> None:
    assert list(encode(Refused(Reason.NAME_IN_USE))) == [b"Illegal request"]
    assert list(encode(Roster())) == []
    assert list(encode(Roster(("Zo\u00eb",)))) == ["Zo\u00eb".encode()]
    assert list(encode(Roster(("Bob", "Alice")))) == [b"Bob, Alice"]
    assert list(encode(News())) == []


def test_news_are_encoded_piece_by_piece() -> None:
    timeline = Timeline(page_bytes=8)
    append(timeline, b"1234", b"56", b"78", b"9")
    assert list(encode(News(timeline.excerpt(0)))) == [b"1234\n56\n", b"78\n9"]


def test_what_is_not_kept_any_more_is_told_in_front() -> None:
    timeline = Timeline(page_bytes=8)
    append(timeline, b"1234", b"56", b"78", b"9")
    timeline.drop(2, time=0)
    notice = b"(1 older events are not kept on this server)"
    news = News(timeline.excerpt(1))
    assert list(encode(news)) == [notice + b"\n", b"78\n9"]
    assert list(encode(News(timeline.excerpt(1).cut(0, some=True)))) == [notice]


def test_a_reply_stays_what_it_was() -> None:
    """It is copied out of the timeline late, when other things have happened there."""
    group = Group()
    for name in ("Alice", "Bob"):
        group.apply(Join(name), name)
    group.apply(Send("one"), "Bob")
    reply = group.apply(Update(), "Alice")
    for count in range(3_000):
        group.apply(Send(f"{count} {'x' * 60}"), "Bob")
    group.apply(Update(), "Alice")
    group.apply(Leave(), "Alice")
    assert b"".join(encode(reply)) == b"Bob has joined\nBob: one"
