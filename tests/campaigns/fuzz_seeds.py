"""What fuzzing begins with: for each target, inputs that get far."""

from typing import Final

from groupchat.core import Group, Join, Send
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.journal.rows import SNAPSHOT, State, batch_row, page_row, state_row

__all__ = ["SEEDS"]


def _journal() -> tuple[bytes, ...]:
    """Return the bodies of a batch, a page and a snapshot."""
    records = [
        Record(1, "udp 127.0.0.1:1", 0, (Join("Alice"),), 1_024),
        Record(2, "session 5f", 0, (Join("Bob"), Send("Hi")), None, 1, "done,done"),
    ]
    chat = Chat(Group())
    for record in records:
        chat.apply(record)
    page = chat.group.timeline.pages[0].load()
    state = State(1, 0, 2, chat.snapshot())
    rows = batch_row(1, records, 0, 0, 0), page_row(page), state_row(SNAPSHOT, state)
    return tuple(row.body for row in rows)


SEEDS: Final = {
    "plain": (
        b"\x011 Alice\n\x021 Bob\n\x012 Hi\n\x025\n\x023 Robert\n\x014\n\x025\n",
        "\x011 Zo\u00eb\n\x021 Zoe\u0308\n\x012 \u20ac\t\n\x016\n".encode(),
    ),
    "session": (
        b"open 1 main 0123456789abcdef",
        b"2 1 wait=3 who seen try=2\x1e2 Hi\x1e3 Bob\x1e5",
        b"3 1.7 who=1 follow cookie=0123456789abcdef\x1e~0 2 a\x1e+3 b\x1e4",
        b"1 done,name-in-use 0 2.9 5 who=1:0 seen=3 try=2\nBob\n1 7 s Bob: H",
        b"prove 0123456789abcdef",
        b"session 0123456789abcdef0123456789abcdef",
    ),
    "tcp": (
        b"\x031 Alice\n2 Hi\r\n\n5\n4",
        b"\x00" + b"x" * 300 + b"\n",
        b"\x5f2 \xff\xff\n5\n",
        b"\xdf2 " + b"\xff" * 14 + b"\n5\n",
        b"\x5fPOST / HTTP/1.1\r\nHost: x\r\n\r\n1 Boss\n4\n",
        b"\x5f\x16\x03\x01\x02\x00\n1 Boss\n4\n",
        b"\x5fGET /\xff\xff HTTP/1.1\nhost:\xff\xff\n1 Boss\n4\n",
    ),
    "journal": _journal(),
}
