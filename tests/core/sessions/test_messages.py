"""The session protocol's messages: from their bytes come the same messages, and from any other
bytes none, or another, but never an error.
"""

from zlib import crc32

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core.sessions.replies import (
    Answer,
    Behind,
    Opened,
    Prove,
    Refusal,
    Reply,
    Unknown,
    Who,
    decode_reply,
)
from groupchat.core.sessions.requests import Ask, Open, Request, count_commands, decode_request
from groupchat.core.sessions.wire import DATAGRAM_BYTES, MAX_NUMBER, SEAL_BYTES, Mark
from tests.core.sessions.desk import NONCE
from tests.core.strategies import legal_names

TOKEN, COOKIE = "0123456789abcdef" * 2, "fedcba9876543210"

_numbers = st.integers(0, MAX_NUMBER - 1)
_positive = st.integers(1, MAX_NUMBER - 1)
_marks = st.builds(Mark, _numbers, st.just(0) | st.integers(0, 5_000))
_tokens = st.binary(min_size=16, max_size=16).map(bytes.hex)
_cookies = st.binary(min_size=8, max_size=8).map(bytes.hex)
_one_line = st.binary(max_size=40).map(lambda b: b.translate(None, b"\n\r\x1e"))

requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(
        Open,
        st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32),
        _cookies,
        st.just("") | _cookies,
        _numbers,
    ),
    st.builds(
        Ask,
        _tokens,
        _positive,
        _marks,
        st.lists(_one_line, max_size=4).map(tuple),
        wait=_numbers,
        follow=st.booleans(),
        who=st.none() | _numbers,
        seen=st.booleans(),
        cookie=st.just("") | _cookies,
        tries=_positive,
    ),
)

_words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=32)
_stamped = st.builds(b"%d %d %c %b".__mod__, st.tuples(_numbers, _numbers, st.just(115), _one_line))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Return a legal answer: as many names as it says, and lines as its marks say."""
    names = draw(st.lists(legal_names, max_size=3))
    stop = draw(_marks)
    lines = draw(st.lists(_stamped, max_size=3))
    body = b"\n".join(lines) if stop.offset or not lines else b"\n".join([*lines, b""])
    asked = bool(names) or draw(st.booleans())
    return Answer(
        number=draw(_numbers),
        results=tuple(draw(st.lists(_words, max_size=3))),
        begin=draw(_marks),
        stop=stop,
        end=draw(_numbers),
        who=Who(draw(_numbers), len(names)) if asked else None,
        seen=draw(st.none() | _numbers),
        tries=draw(_positive),
        names=tuple(names),
        body=body,
        unreadable=draw(st.booleans()),
        outside=draw(st.booleans()),
    )


replies: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Prove, _cookies),
    st.builds(Opened, _tokens),
    st.builds(Refusal, st.text("abc de", max_size=20)),
    st.builds(Unknown, _numbers),
    st.builds(Behind, _numbers, _numbers),
    answers(),
)


KEY = TOKEN


def sealed(message: bytes, key: str = "") -> bytes:
    """Return *message* with the checksum that it should have."""
    return b"@%08x %b" % (crc32(key.encode() + message), message)


MARK = f"{TOKEN} 7 12".encode()
LINES = b"1 0 s x\n2 0 s y\n"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Open("main", NONCE), b"open 1 main " + NONCE.encode()),
        (Open("main", NONCE, COOKIE), b"open 1 main %b %b" % (NONCE.encode(), COOKIE.encode())),
        (Ask(TOKEN, 7, Mark(12)), MARK),
        (Ask(TOKEN, 7, Mark(12, 345)), MARK + b".345"),
        (Ask(TOKEN, 7, Mark(12), (b"2 Hi",)), MARK + b"\x1e2 Hi"),
        (Ask(TOKEN, 7, Mark(12), (b"2 Hi", b"", b"4")), MARK + b"\x1e2 Hi\x1e\x1e4"),
        (Ask(TOKEN, 7, Mark(12), wait=25), MARK + b" wait=25"),
        (Ask(TOKEN, 7, Mark(12), follow=True), MARK + b" follow"),
        (Ask(TOKEN, 7, Mark(12), who=0), MARK + b" who"),
        (Ask(TOKEN, 7, Mark(12), who=9), MARK + b" who=9"),
        (Ask(TOKEN, 7, Mark(12), seen=True), MARK + b" seen"),
        (Ask(TOKEN, 7, Mark(12), cookie=COOKIE), MARK + b" cookie=" + COOKIE.encode()),
        (Ask(TOKEN, 7, Mark(12), tries=2), MARK + b" try=2"),
    ],
)
def test_a_request_looks_like_this(request_: Request, message: bytes) -> None:
    assert request_.encode() == sealed(message)
    assert request_.encode()[:SEAL_BYTES] == sealed(message)[: -len(message)]
    assert decode_request(sealed(message)) == request_


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Prove(COOKIE), b"prove " + COOKIE.encode()),
        (Opened(TOKEN), b"session " + TOKEN.encode()),
        (Refusal("no such group"), b"refused no such group"),
        (Unknown(7), b"unknown 7"),
        (Answer(7, (), Mark(12), Mark(12), 15), b"7 - 12 12 15"),
        (Answer(7, ("done", "a-b"), Mark(1), Mark(2, 5), 3), b"7 done,a-b 1 2.5 3"),
        (
            Answer(
                7, (), Mark(1), Mark(3), 3, Who(4, 2), 2, 2, ("Al B.", "Bo"), b"1 0 s x\n2 0 s y\n"
            ),
            b"7 - 1 3 3 who=2:4 seen=2 try=2\nAl B.\nBo\n1 0 s x\n2 0 s y",
        ),
        (Answer(7, (), Mark(1), Mark(1), 3, Who(0, 1), None, 1, ("Al",)), b"7 - 1 1 3 who=1:0\nAl"),
        (Answer(7, (), Mark(1), Mark(1), 3, Who(0)), b"7 - 1 1 3 who=0:0"),
        (Answer(0, (), Mark(1), Mark(2, 5), 3, body=b"2 0 s"), b"0 - 1 2.5 3\n2 0 s"),
        (Answer(7, (), Mark(1), Mark(1), 1, unreadable=True), b"7 - 1 1 1 unreadable"),
    ],
)
def test_a_reply_looks_like_this(reply: Reply, message: bytes) -> None:
    assert reply.encode() == sealed(message)
    assert decode_reply(sealed(message, KEY), KEY) == reply


@given(requests, st.sampled_from([b"", b"\n", b"\r\n"]))
@example(Ask(TOKEN, 1, Mark(0), (b"",)), b"\r\n")
def test_from_its_bytes_comes_the_same_request(request_: Request, end: bytes) -> None:
    assert decode_request(request_.encode() + end) == request_


@given(replies)
def test_from_its_bytes_comes_the_same_reply(reply: Reply) -> None:
    assert not reply.encode().endswith(b"\n")
    assert decode_reply(evolve(reply, key=KEY).encode(), KEY) == reply


_PIECES = st.sampled_from(
    [b" ", b"\n", b"\x1e", b",", b"=", b":", b".", b"open", b"prove", b"session", b"refused"]
    + [b"unknown", b"who", b"who=", b"seen", b"try=", b"wait=", b"cookie=", b"follow", b"-", b"0"]
    + [b"1", b"17", b"9" * 15, b"9" * 16, b"done", b"\xff", b"main", TOKEN.encode()]
    + [COOKIE.encode(), MARK, b"7 - 1 2 3 "]
)
_messages = st.lists(_PIECES | st.binary(max_size=3), max_size=12).map(b"".join)


@given(_messages.map(sealed) | st.binary() | _messages)
@example(b"")
@example(b"@")
@example(sealed(b""))
@example(sealed(b"7 - 1 2 3 who=999999999999999:1\nAl"))
@example(sealed(b"7 - 1 2 3 who=1:1\n\xff"))
def test_any_bytes_are_a_message_or_none_and_what_they_are_can_be_said_again(data: bytes) -> None:
    request = decode_request(data)
    if request is not None:
        assert decode_request(request.encode()) == request
    reply = decode_reply(data, KEY)
    if reply is not None:
        assert decode_reply(evolve(reply, key=KEY).encode(), KEY) == reply


@given(requests | replies, st.data())
def test_a_message_with_any_byte_changed_is_none(
    message: Request | Reply, data: st.DataObject
) -> None:
    """So what a link has damaged is as good as lost."""
    whole = bytearray(message.encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode_request(bytes(whole)) is None
    assert decode_reply(bytes(whole), KEY) is None


@given(requests, st.integers(0, 30))
def test_a_message_cut_short_is_none(message: Request, missing: int) -> None:
    assert decode_request(message.encode()[: -1 - missing]) is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"open",
        b"open 1",
        b"open 1 main",
        b"open 1 main x",
        b"open 01 main " + NONCE.encode(),
        b"open 1 Main " + NONCE.encode(),
        b"open 1 %b %b" % (b"a" * 33, NONCE.encode()),
        b"open 1 main %b x" % NONCE.encode(),
        b"open 1 main %b %b x" % (NONCE.encode(), COOKIE.encode()),
        b"open 1 main %b\x1e2 Hi" % NONCE.encode(),
        b"opens 1 main " + NONCE.encode(),
        TOKEN.encode(),
        TOKEN.encode() + b" 1",
        TOKEN.encode()[1:] + b" 1 0",
        TOKEN.upper().encode() + b" 1 0",
        TOKEN.encode() + b" 0 0",
        TOKEN.encode() + b" 01 0",
        TOKEN.encode() + b" -1 0",
        TOKEN.encode() + b" 1 -1",
        TOKEN.encode() + b" 1 1.",
        TOKEN.encode() + b" 1 .1",
        TOKEN.encode() + b" 1 1.2.3",
        TOKEN.encode() + b" 1 " + b"9" * 16,
        MARK + b" ",
        MARK + b" wait",
        MARK + b" wait=",
        MARK + b" wait=x",
        MARK + b" follow=1",
        MARK + b" who=x",
        MARK + b" seen=1",
        MARK + b" cookie=",
        MARK + b" try=0",
        MARK + b" try",
        MARK + b" other",
        MARK + b"\n",
        MARK + "\uff11".encode(),
    ],
)
def test_it_is_not_a_request(message: bytes) -> None:
    assert decode_request(sealed(message)) is None


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_request_that_is_too_long_is_none(end: bytes) -> None:
    request = Ask(TOKEN, 7, Mark(12), (b"2 hi",))
    room = DATAGRAM_BYTES - len(request.encode())
    longest = evolve(request, commands=(b"2 hi" + b"!" * room,))
    assert decode_request(longest.encode() + end) == longest
    longer = evolve(request, commands=(b"2 hi" + b"!" * (room + 1),))
    assert decode_request(longer.encode() + end) is None


def test_its_commands_can_be_counted_without_a_look_at_it() -> None:
    assert count_commands(Ask(TOKEN, 7, Mark(12), (b"5",) * 9).encode()) == 9
    assert count_commands(Ask(TOKEN, 7, Mark(12)).encode()) == 1
    assert count_commands(b"2 \x1e\x1e\x1e") == 1


@pytest.mark.parametrize(
    "message",
    [
        b"prove",
        b"prove x",
        b"prove " + COOKIE.encode() + b" x",
        b"session " + COOKIE.encode(),
        b"unknown",
        b"unknown x",
        b"refused \xff",
        b"7",
        b"7 - 1 2",
        b"x - 1 2 3",
        b"7  1 2 3",
        b"7 done, 1 2 3",
        b"7 Done 1 2 3",
        b"7 - x 2 3",
        b"7 - 1 x 3",
        b"7 - 1 2 x",
        b"7 - 1 2 3 ",
        b"7 - 1 2 3 x",
        b"7 - 1 2 3 seen",
        b"7 - 1 2 3 unreadable=1",
        b"7 - 1 2 3 try=0",
        b"7 - 1 2 3 who",
        b"7 - 1 2 3 who=1\nAl",
        b"7 - 1 2 3 who=2:1\nAl",
        b"7 - 1 2 3 who=x:1\nAl",
        b"7 - 1 2 3 who=1:1\n\xff",
    ],
)
def test_it_is_not_a_reply(message: bytes) -> None:
    assert decode_reply(sealed(message, KEY), KEY) is None


def test_only_one_line_end_is_ignored_and_none_within_the_seal() -> None:
    whole = Open("main", NONCE).encode()
    assert decode_request(whole + b"\n\n") is None
    assert decode_request(whole + b"\r") is None
    assert decode_reply(Prove(COOKIE, key=KEY).encode() + b"\n", KEY) is None


def test_a_seal_is_written_in_one_way() -> None:
    whole = Open("main", NONCE).encode()
    assert whole == b"@955a4a0e open 1 main " + NONCE.encode()
    assert decode_request(whole.upper()) is None
    assert decode_request(whole[1:]) is None
    assert decode_request(b" " + whole) is None
    assert decode_request(whole.replace(b"@", b"@0x")) is None


@pytest.mark.parametrize(
    "reply",
    [
        Prove(COOKIE),
        Opened(TOKEN),
        Refusal("x"),
        Unknown(7),
        Behind(7, 8),
        Answer(7, (), Mark(1), Mark(1), 1),
    ],
)
def test_a_reply_is_sealed_with_its_key_and_shows_nothing_of_it(reply: Reply) -> None:
    whole = evolve(reply, key=TOKEN).encode()
    assert TOKEN.encode() not in whole or isinstance(reply, Opened)
    assert whole == sealed(whole[SEAL_BYTES:], TOKEN)
    decoded = decode_reply(whole, TOKEN)
    assert decoded == reply
    assert decoded.encode() == whole
    for other in ("", NONCE, TOKEN[1:] + "0"):
        assert decode_reply(whole, other) is None


def test_marks_are_in_order() -> None:
    assert Mark(1) < Mark(1, 5) < Mark(2) < Mark(10)
    assert max(Mark(3), Mark(2, 900)) == Mark(3)


def test_a_datagram_is_as_long_as_any_network_carries() -> None:
    assert DATAGRAM_BYTES == 1_200
