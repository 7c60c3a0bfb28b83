r"""How batches, pages and snapshots are written as bytes, and their checksums.

What lives here: the bytes of one row, and whether they are what was written. What must not: what
follows from several of them, or where they lie.

Theory. A row's checksum is the CRC-32 (as in RFC 1952) of a line that says of what kind it is,
``batch`` say, and then its body. That is not against forgers but against chance: it finds each
change of up to 32 bits in a row. A row's body also says which one it is, and a batch's which one it
follows; so it is noticed when one is missing, or is from another place or time.

========  ====================================================================================
row       body
========  ====================================================================================
batch     text: a line with four numbers, and then its records, a line each. The four are its
          number, the checksum of the batch before, and how many records and how many events
          there had been before; so where batches are missing, it is known how much is
page      numbers and lines: see :func:`page_row`
snapshot  text: JSON of the state after a batch, with the number and the checksum of that, and
          how many records there had been
base      the same, where the batches up to that one are not kept
========  ====================================================================================
"""

import json
import sys
from array import array
from collections.abc import Iterable
from itertools import pairwise
from struct import Struct
from typing import Any, Final
from zlib import crc32

from attrs import define, frozen

from groupchat.core.pages import Page
from groupchat.core.records import Record
from groupchat.journal.storage import Damaged, Row

__all__ = [
    "BASE",
    "BATCH",
    "PAGE",
    "SNAPSHOT",
    "Header",
    "State",
    "batch_row",
    "check",
    "first_time_of",
    "header_of",
    "page_of",
    "page_row",
    "records_of",
    "salt",
    "seal",
    "state_of",
    "state_row",
    "time_of",
]

BATCH: Final = "batch"
PAGE: Final = "page"
SNAPSHOT: Final = "snapshot"
BASE: Final = "base"

_HEAD: Final = Struct("<qII")  # first position, lines, bytes of lines
_MOST: Final = 1 << 62  # no number in a row is greater
_SHAPE: Final = {
    "time": int,
    "end": int,
    "start": int,
    "dropped_time": int,
    "pages": [[int, int]],
    "members": [[str, str, int, int, int]],
    "sessions": [[str, int, str, int]],
}
"""What a state is made of; a list is of any number of such."""


@frozen
class State:
    """A snapshot of the state, and of which."""

    number: int
    """The number of the last batch that has led to it."""
    checksum: int
    """Of that batch."""
    records: int
    """How many records the log had up to there."""
    chat: dict[str, Any]
    """As :meth:`Chat.snapshot <groupchat.core.chat.Chat.snapshot>` has it."""


@define(eq=False)
class _StoredPage(Page):
    """A page that was stored. To look for the end of each line would take longer than all else, so
    whether they are where its index says is seen when they get their stamps."""

    def stamped(self, start: int, stop: int, room: int | None = None) -> tuple[bytes, int]:
        try:
            return super().stamped(start, stop, room)
        except ValueError as error:
            raise Damaged(f"{PAGE} {self.first:,} makes no sense") from error


def seal(kind: str, number: int, body: bytes) -> Row:
    """Return the row with this *body*, and its checksum."""
    return Row(number, body, crc32(body, salt(kind)))


def salt(kind: str) -> int:
    """Return the CRC-32 of the line that says of which kind a row is."""
    return crc32(f"{kind}\n".encode())


def check(kind: str, row: Row) -> None:
    """Check a row by itself.

    Raises:
        Damaged: it is not what was written.
    """
    if type(row.body) is not bytes or row.checksum != crc32(row.body, salt(kind)):
        raise Damaged(f"{kind} {row.number:,} is not what was written")


def batch_row(
    number: int, records: Iterable[Record], before: int, records_before: int, events_before: int
) -> Row:
    """Return a batch.

    Args:
        number: its number.
        records: what is in it; at least one.
        before: the checksum of the batch before; 0 for the first.
        records_before: how many records the log has without it.
        events_before: how many events the timeline has had without it.

    Raises:
        ValueError: a record cannot be written.
    """
    lines = [f"{number} {before} {records_before} {events_before}"]
    lines += [record.encode() for record in records]
    return seal(BATCH, number, "\n".join(lines).encode())


@frozen
class Header:
    """What a batch says of the log before it."""

    checksum: int
    """Of the batch before; 0 if it is the first."""
    records: int
    """How many there had been."""
    events: int
    """How many there had been."""


def header_of(row: Row) -> Header:
    """Return what a batch says of the log before it.

    Raises:
        Damaged: it says nothing, or is another batch.
    """
    words = row.body[:80].partition(b"\n")[0].split(b" ")
    if len(words) != 4 or not all(word.isdigit() and len(word) < 19 for word in words):
        raise _nonsense(row)
    number, checksum, records, events = map(int, words)
    if number != row.number:
        raise _nonsense(row)
    return Header(checksum, records, events)


def records_of(row: Row) -> list[Record]:
    """Return the records of a batch.

    Raises:
        Damaged: there are none such.
    """
    try:
        records = [Record.decode(text) for text in row.body.decode().split("\n")[1:]]
    except ValueError as error:
        raise _nonsense(row) from error
    if not records or any(
        not (0 <= n.time < _MOST and -_MOST < n.standing < _MOST and 0 <= n.number < _MOST)
        or not n.sender.isprintable()
        for n in records
    ):
        raise _nonsense(row)
    return records


def time_of(row: Row) -> int:
    """Return when the last record of a batch was taken, in milliseconds since 1970.

    Raises:
        Damaged: it does not say.
    """
    return _time(row, row.body.rpartition(b"\n")[2])


def first_time_of(row: Row) -> int:
    """Return when the first was.

    Raises:
        Damaged: it does not say.
    """
    return _time(row, row.body.partition(b"\n")[2])


def _time(row: Row, records: bytes) -> int:
    time = records.partition(b"\t")[0]
    if not time.isdigit() or len(time) > 18:
        raise _nonsense(row)
    return int(time)


def page_row(page: Page) -> Row:
    """Return *page* as it is now.

    Its body is, with all numbers in little-endian order: the position of its first event (64
    bits), how many lines it has, and how many bytes these have (32 each); for each line where it
    ends (32 bits each), then for each its time (64 each), then its author (64, signed) and its
    kind (8); and then the lines themselves, each ended by a line feed.
    """
    columns = (page.ends, page.times, page.authors)
    body = b"".join(
        [
            _HEAD.pack(page.first, len(page.ends), len(page.lines)),
            *map(_little_endian, columns),
            page.kinds,
            page.lines,
        ]
    )
    return seal(PAGE, page.first, body)


def page_of(row: Row) -> Page:
    """Return the page that *row* holds.

    Raises:
        Damaged: it is not what was written. Lines that are not where the index says are found out
            later, by :meth:`Page.stamped <groupchat.core.pages.Page.stamped>` of this page.
    """
    check(PAGE, row)
    page = _StoredPage(row.number)
    body = row.body
    if len(body) < _HEAD.size:
        raise _no_page(row)
    first, count, size = _HEAD.unpack_from(body)
    columns = (page.ends, page.times, page.authors)
    offset = _HEAD.size
    whole = offset + count * (1 + sum(column.itemsize for column in columns)) + size
    if first != row.number or len(body) != whole:
        raise _no_page(row)
    for column in columns:
        length = count * column.itemsize
        column.frombytes(body[offset : offset + length])
        if sys.byteorder == "big":
            column.byteswap()
        offset += length
    page.kinds += body[offset : offset + count]
    page.lines += body[offset + count :]
    # 'groupchat journal check' compares each line with the log.
    if page.start(count) != size or not page.lines.endswith(b"\n"[:count]):
        raise _no_page(row)
    return page


def state_row(kind: str, state: State) -> Row:
    """Return a snapshot, or the base."""
    of = {"number": state.number, "checksum": state.checksum, "records": state.records}
    return seal(
        kind, state.number, json.dumps({**of, **state.chat}, separators=(",", ":")).encode()
    )


def state_of(kind: str, row: Row) -> State:
    """Return the state that a snapshot, or the base, holds.

    Raises:
        Damaged: it is not what was written.
    """
    check(kind, row)
    try:
        chat = json.loads(row.body)
        number, checksum, records = chat.pop("number"), chat.pop("checksum"), chat.pop("records")
        right = _has_shape([int], [number, checksum, records]) and number == row.number
        right = right and _has_shape(_SHAPE, chat) and _adds_up(chat)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        right = False
    if not right:
        raise Damaged(f"{kind} {row.number:,} makes no sense")
    return State(number, checksum, records, chat)


def _has_shape(shape: object, value: object) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_has_shape(shape[k], value[k]) for k in shape)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return False
        if len(shape) == 1:
            return all(_has_shape(shape[0], element) for element in value)
        return len(value) == len(shape) and all(map(_has_shape, shape, value))
    if shape is int:
        return type(value) is int and 0 <= value < _MOST
    return isinstance(value, str) and bool(value.encode()) | (not value)  # no lone surrogate


def _adds_up(chat: dict[str, Any]) -> bool:
    """Whether the pages stand in a row, and everybody in it, the oldest first."""
    pages, members, end = chat["pages"], chat["members"], chat["end"]
    return (
        bool(pages)
        and chat["start"] <= end
        and all(first <= stop for first, stop in pages)
        and all(one[1] == other[0] for one, other in pairwise(pages))
        and pages[-1][1] == end
        and all(one[2] < other[2] for one, other in pairwise(members))
        and all(m[2] < end and m[3] <= end and m[4] <= end for m in members)
        and len({m[0] for m in members}) == len(members)
    )


def _nonsense(row: Row) -> Damaged:
    return Damaged(f"{BATCH} {row.number:,} makes no sense")


def _no_page(row: Row) -> Damaged:
    return Damaged(f"{PAGE} {row.number:,} makes no sense")


def _little_endian(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
