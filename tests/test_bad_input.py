"""Bad input over real sockets: each row is refused, changes nothing, and the server goes on.

And the opposite: what looks odd but is legal works.
"""

from collections.abc import Iterator

import pytest
from attrs import frozen

from groupchat.core import ILLEGAL_REQUEST, MAX_NAME_CHARACTERS, MAX_TEXT_BYTES
from groupchat.transports.udp import MAX_DATAGRAM_BYTES
from tests.processes import Member, RunningServer, TcpMember, news_until, serving
from tests.test_transcript import TRANSCRIPT, play

WITNESS, SENDER, NEWCOMER = "Zoë", "Alice", "Ned"

UDP_ALONE = ["udp"]
BOTH = ["udp", "tcp"]


@frozen
class Row:
    """One bad request, who sends it, and over which transports it can be sent as one."""

    label: str
    request: bytes
    by_members: bool = True
    by_others: bool = True
    transports: list[str] = BOTH


def _from_anyone(label: str, request: bytes, transports: list[str] = BOTH) -> Row:
    return Row(label, request, transports=transports)


def _from_member(label: str, request: bytes, transports: list[str] = BOTH) -> Row:
    return Row(label, request, by_others=False, transports=transports)


def _from_other(label: str, request: bytes) -> Row:
    return Row(label, request, by_members=False)


NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "a lead byte without its continuation": b"\xc3(",
    "a truncated character": b"\xe2\x82",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "a byte that never occurs": b"\xff",
    "Latin-1": "café".encode("latin-1"),
}

CONTROLS = {
    "NUL": "\0",
    "bell": "\a",
    "backspace": "\b",
    "vertical tab": "\v",
    "form feed": "\f",
    "carriage return": "\r",
    "escape": "\x1b[2J",
    "unit separator": "\x1f",
    "delete": "\x7f",
    "C1 padding": "\x80",
    "C1 next line": "\x85",
    "C1 control sequence": "\x9b2J",
    "C1 last": "\x9f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
}

ILLEGAL_NAMES = {
    "a colon": "Ned:",
    "a colon alone": ":",
    "a wide colon": "Ned\uff1a",
    "a comma": "Ned, Zed",
    "a wide comma": "Ned\uff0cZed",
    "a tab": "Ned\tZed",
    "an event line: joined": "Carol has joined",
    "an event line: left": "Carol has left the group",
    "an event line: renamed": "Carol changed his name to Ned",
    "an event line: said": "Carol: I resign",
    "an event phrase alone": "has joined",
    "an event phrase in capitals": "Carol HAS JOINED",
    "an event phrase in wide letters": "Carol has j\uff4fined",
    "an event phrase with odd spaces": "Carol has\u2003joined",
    "a reply: refused": "illegal Request",
    "a zero-width space": "Ned\u200bZed",
    "a zero-width joiner": "\U0001f469\u200d\U0001f680",
    "a byte order mark": "\ufeffNed",
    "a soft hyphen": "Ned\u00adZed",
    "a right-to-left override": "Ned\u202eZed",
    "a private character": "Ned\ue000",
    "nothing visible": "\u3164",
    "spaces only": "   ",
    "a no-break space only": "\u00a0",
    "33 characters": "n" * (MAX_NAME_CHARACTERS + 1),
    "33 characters of three bytes": "名" * (MAX_NAME_CHARACTERS + 1),
    "4,001 bytes": "n" * (MAX_TEXT_BYTES + 1),
}

NAMES_IN_USE = {
    "as it is": WITNESS,
    "in capitals": WITNESS.upper(),
    "in small letters": WITNESS.lower(),
    "in wide letters": "\uff3aoë",
    "decomposed": "Zoe\u0308",
    "with spaces around": f"  {WITNESS} ",
    "with a variation selector": f"{WITNESS}\ufe0f",
}

ROWS = [
    _from_anyone("empty", b""),
    _from_anyone("a line feed alone", b"\n", UDP_ALONE),
    _from_anyone("a carriage return alone", b"\r"),
    _from_anyone("a space", b" "),
    _from_anyone("NUL alone", b"\0"),
    _from_anyone("6", b"6"),
    _from_anyone("0", b"0"),
    _from_anyone("12 x", b"12 x"),
    _from_anyone("345ft", b"345ft"),
    _from_anyone("1Alice", b"1Alice"),
    _from_anyone("2hi", b"2hi"),
    _from_anyone("1", b"1"),
    _from_anyone("2", b"2"),
    _from_anyone("3", b"3"),
    _from_anyone("1 and a space", b"1 "),
    _from_anyone("2 and a space", b"2 "),
    _from_anyone("3 and a space", b"3 "),
    _from_anyone("1 and two spaces", b"1  "),
    _from_anyone("3 and two spaces", b"3  "),
    _from_anyone("1 and a tab", b"1\tNed"),
    _from_anyone("4 and a space", b"4 "),
    _from_anyone("4 x", b"4 x"),
    _from_anyone("44", b"44"),
    _from_anyone("5 and a space", b"5 "),
    _from_anyone("5 x", b"5 x"),
    _from_anyone("a space and 1 Alice", b" 1 Alice"),
    _from_anyone("a space and 5", b" 5"),
    _from_anyone("a wide 5", "\uff15".encode()),
    _from_anyone("a byte order mark and 5", "\ufeff5".encode()),
    _from_anyone("a session request", b"@hello"),
    _from_anyone("5 and two line feeds", b"5\n\n", UDP_ALONE),
    _from_anyone("5 and a carriage return", b"5\r", UDP_ALONE),
    _from_anyone("5 and a NUL", b"5\0"),
    _from_anyone("5 twice", b"5\n5", UDP_ALONE),
    _from_anyone("the largest datagram", b"2 " + b"x" * (MAX_DATAGRAM_BYTES - 2)),
    _from_anyone("the largest datagram of NULs", bytes(MAX_DATAGRAM_BYTES)),
    _from_anyone("the largest datagram of line feeds", b"\n" * MAX_DATAGRAM_BYTES, UDP_ALONE),
    _from_member("a text of 4,001 bytes", b"2 " + b"x" * (MAX_TEXT_BYTES + 1)),
    _from_member("4,000 characters of two bytes", b"2 " + "é".encode() * MAX_TEXT_BYTES),
    _from_member("another's words on a second line", b"2 hi\nCarol: I resign", UDP_ALONE),
    _from_member("a text and two line feeds", b"2 hi\n\n", UDP_ALONE),
    _from_member("a text and a carriage return", b"2 hi\r", UDP_ALONE),
    _from_member("a line feed as text", b"2 \n\n", UDP_ALONE),
    _from_member("a second name on a second line", b"3 Ned\nZed", UDP_ALONE),
    _from_member("1 from a member", b"1 Ned"),
    _from_member("1 from a member, his own name", b"1 " + SENDER.encode()),
    _from_member("3 to his own name", b"3 " + SENDER.encode()),
    _from_other("2 from no member", b"2 hi"),
    _from_other("3 from no member", b"3 Ned"),
    _from_other("4 from no member", b"4"),
    _from_other("5 from no member", b"5"),
    *(_from_member(f"a text with {what}", b"2 hi " + some) for what, some in NOT_UTF8.items()),
    *(_from_member(f"3 with {what}", b"3 Ned" + some) for what, some in NOT_UTF8.items()),
    *(_from_other(f"1 with {what}", b"1 Ned" + some) for what, some in NOT_UTF8.items()),
    *(_from_anyone(f"{what} as a request", some) for what, some in NOT_UTF8.items()),
    *(
        _from_member(f"a text with {w}", f"2 hi {c}Carol: bye".encode())
        for w, c in CONTROLS.items()
    ),
    *(_from_member(f"3 with {what}", f"3 Ned{c}Zed".encode()) for what, c in CONTROLS.items()),
    *(_from_other(f"1 with {what}", f"1 Ned{c}Zed".encode()) for what, c in CONTROLS.items()),
    *(_from_member(f"3 with {what}", f"3 {name}".encode()) for what, name in ILLEGAL_NAMES.items()),
    *(_from_other(f"1 with {what}", f"1 {name}".encode()) for what, name in ILLEGAL_NAMES.items()),
    *(
        _from_member(f"3, a name in use {w}", f"3 {name}".encode())
        for w, name in NAMES_IN_USE.items()
    ),
    *(
        _from_other(f"1, a name in use {w}", f"1 {name}".encode())
        for w, name in NAMES_IN_USE.items()
    ),
]

BY_MEMBERS = [
    pytest.param(row, transport, id=f"{transport}: {row.label}")
    for row in ROWS
    for transport in row.transports
    if row.by_members
]
BY_OTHERS = [
    pytest.param(row, transport, id=f"{transport}: {row.label}")
    for row in ROWS
    for transport in row.transports
    if row.by_others
]


@pytest.fixture(scope="module")
def enduring() -> Iterator[RunningServer]:
    """One server that all rows of this module are sent to."""
    with serving("--no-limits", "0") as running:
        yield running


@pytest.fixture
def witness(enduring: RunningServer) -> Iterator[Member]:
    """A member who sees whatever happens."""
    member = enduring.udp()
    assert member.ask(b"1 " + WITNESS.encode()) == b""
    yield member
    assert member.ask(b"4") == b""


def refused(member: Member, request: bytes) -> bool:
    """Send *request*; tell whether the reply was the refusal and, on TCP, its empty line."""
    if isinstance(member, TcpMember):
        member.socket.sendall(request + b"\n")
        return member.stream.read(len(ILLEGAL_REQUEST) + 2) == ILLEGAL_REQUEST + b"\n\n"
    return member.ask(request) == ILLEGAL_REQUEST


@pytest.mark.parametrize(("row", "transport"), BY_MEMBERS)
def test_a_member_who_asks_it_is_refused_and_nothing_changes(
    enduring: RunningServer, witness: Member, row: Row, transport: str
) -> None:
    sender = enduring.member(transport)
    assert sender.ask(b"1 " + SENDER.encode()) == WITNESS.encode()
    assert refused(sender, row.request)
    # Everything asked in turn is answered in turn: not a byte more came for the bad request.
    assert sender.ask(b"5") == b""
    assert sender.ask(b"2 still here") == b""
    assert witness.ask(b"5") == b"Alice has joined\nAlice: still here"
    assert sender.ask(b"4") == b""
    assert witness.ask(b"5") == b"Alice has left the group"


@pytest.mark.parametrize(("row", "transport"), BY_OTHERS)
def test_who_is_no_member_and_asks_it_is_refused_and_nothing_changes(
    enduring: RunningServer, witness: Member, row: Row, transport: str
) -> None:
    stranger = enduring.member(transport)
    assert refused(stranger, row.request)
    assert refused(stranger, b"5")  # he is still no member
    assert witness.ask(b"5") == b""
    assert stranger.ask(b"1 " + NEWCOMER.encode()) == WITNESS.encode()
    assert stranger.ask(b"4") == b""
    assert witness.ask(b"5") == b"Ned has joined\nNed has left the group"


def test_on_a_stream_a_line_break_begins_another_request(
    enduring: RunningServer, witness: Member
) -> None:
    sender = enduring.tcp()
    assert sender.ask(b"1 Alice") == WITNESS.encode()
    assert sender.ask(b"2 hi\nCarol: I resign") == b""
    assert sender.receive() == ILLEGAL_REQUEST
    assert witness.ask(b"5") == b"Alice has joined\nAlice: hi"
    assert sender.ask(b"4") == b""


LEGAL_NAMES = [
    "a",
    "Ælfgifu",
    "Zoë-Anne O'Neill",
    "Αλέξανδρος",
    "Владимир",
    "Գարեգին",
    "שרה",
    "محمد",
    "ܡܪܝܡ",
    "राम",
    "রবীন্দ্রনাথ",
    "தமிழரசி",
    "సుబ్బారావు",
    "สมชาย",
    "ཚེ་རིང",
    "မောင်",
    "თამარ",
    "አበበ",
    "សុខ",
    "김철수",
    "さくら",
    "山田太郎",
    "𠮷野家",
    "𐍅𐌿𐌻𐍆𐌹𐌻𐌰",
    "🦊",
    "👩🏽",
    "🇳🇱",
    "☃",
    "n" * MAX_NAME_CHARACTERS,
    "名" * MAX_NAME_CHARACTERS,
    "🦊" * MAX_NAME_CHARACTERS,
    "has join",
    "Joined",
    "1 Alice",
    "4",
    "Illegal requests",
    "<script>|`$(reboot)",
]

LEGAL_TEXTS = [
    "x",
    " ",
    "  leading and trailing  ",
    "a\ttab",
    "\t",
    "Bob: not Bob, and all can see that",
    "Bob has joined",
    "2 hi",
    "\\n is no line break",
    "👨\u200d👩\u200d👧\u200d👦 the whole family",
    "🏴\u200d☠\ufe0f and 🏳\ufe0f\u200d🌈",
    "می\u200cشد",
    "שם \u200fשם",
    "e\u0301 stays decomposed",
    "\ufeff with a byte order mark",
    "\U0010ffff",
    "x" * MAX_TEXT_BYTES,
    "é" * (MAX_TEXT_BYTES // 2),
    "🦊" * (MAX_TEXT_BYTES // 4),
]

LINE_ENDS = {"no line end": b"", "a line feed": b"\n", "carriage return, line feed": b"\r\n"}


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("name", LEGAL_NAMES)
def test_names_of_all_kinds_work(
    enduring: RunningServer, witness: Member, name: str, transport: str
) -> None:
    member = enduring.member(transport)
    assert member.ask(f"1 {name}".encode()) == WITNESS.encode()
    assert member.ask(b"2 hi") == b""
    assert member.ask(b"3 Ned") == b""
    assert member.ask(f"3 {name}".encode()) == b""
    assert member.ask(b"4") == b""
    lines = [
        f"{name} has joined",
        f"{name}: hi",
        f"{name} changed his name to Ned",
        f"Ned changed his name to {name}",
        f"{name} has left the group",
    ]
    assert witness.ask(b"5").decode().split("\n") == lines


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("text", LEGAL_TEXTS, ids=lambda text: repr(text[:20]))
def test_texts_of_all_kinds_arrive_as_they_were_sent(
    enduring: RunningServer, witness: Member, text: str, transport: str
) -> None:
    member = enduring.member(transport)
    assert member.ask(b"1 Alice") == WITNESS.encode()
    assert witness.ask(b"5") == b"Alice has joined"
    assert member.ask(f"2 {text}".encode()) == b""
    assert witness.ask(b"5") == f"Alice: {text}".encode()
    assert member.ask(b"4") == b""


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS.keys())
def test_one_line_end_in_a_datagram_is_ignored(
    enduring: RunningServer, witness: Member, end: bytes
) -> None:
    member = enduring.udp()
    for request in (b"1 Alice", b"2 hi", b"3 Bob", b"5", b"4"):
        assert member.ask(request + end) == (WITNESS.encode() if request == b"1 Alice" else b"")
    assert witness.ask(b"5").split(b"\n") == [
        b"Alice has joined",
        b"Alice: hi",
        b"Alice changed his name to Bob",
        b"Bob has left the group",
    ]


def test_the_same_name_is_free_again_after_its_owner_left(
    enduring: RunningServer, witness: Member
) -> None:
    first, second = enduring.tcp(), enduring.udp()
    assert first.ask(b"1 Alice") == WITNESS.encode()
    assert refused(second, b"1 ALICE")
    first.__exit__()
    news_until(witness, b"Alice has left the group")
    assert second.ask(b"1 ALICE") == WITNESS.encode()
    assert second.ask(b"4") == b""


def test_after_every_row_the_server_still_passes_the_transcript(enduring: RunningServer) -> None:
    witness = enduring.udp()
    assert witness.ask(b"1 " + WITNESS.encode()) == b""
    for transport in BOTH:
        stranger, sender = enduring.member(transport), enduring.member(transport)
        assert sender.ask(b"1 " + SENDER.encode()) == WITNESS.encode()
        rows = [row for row in ROWS if transport in row.transports]
        assert all(refused(stranger, row.request) for row in rows if row.by_others)
        assert all(refused(sender, row.request) for row in rows if row.by_members)
        assert sender.ask(b"4") == b""
    assert witness.ask(b"5") == b"\n".join([b"Alice has joined", b"Alice has left the group"] * 2)
    assert witness.ask(b"4") == b""
    # The last of this module, because Alice and Bob stay in the group.
    assert play(enduring, {"Alice": "udp", "Bob": "tcp", "Charlie": "udp"}) == TRANSCRIPT
