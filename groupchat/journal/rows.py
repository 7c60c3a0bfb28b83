"""How batches, pages and snapshots are written as bytes, and their checksums.

A batch is its records' text, a line each. Its checksum goes on from that of the batch before, so
a batch that is missing or moved is noticed like one that is damaged. A page is its five columns; a
snapshot is JSON. All checksums are CRC-32 (as in RFC 1952): not against forgers, against chance.

Where old batches have been let go of, an *anchor* stands in front of the rest: the last of them,
without its records.
"""

import json
import sys
from array import array
from collections.abc import Iterable
from struct import Struct
from typing import Any, Final
from zlib import crc32

from groupchat.core.records import Record
from groupchat.core.timeline import Page
from groupchat.journal.storage import Damaged, Row

__all__ = [
    "ORIGIN",
    "batch_row",
    "check_batch",
    "page_of",
    "page_row",
    "records_of",
    "snapshot_of",
    "snapshot_row",
    "time_of",
]

ORIGIN: Final = 0
"""The checksum that the first batch of a journal follows."""

_COUNTS: Final = Struct("<II")  # lines, bytes of lines


def batch_row(number: int, records: Iterable[Record], before: int) -> Row:
    """Return the batch *number* of *records*, which follows one with the checksum *before*.

    Raises:
        ValueError: a record cannot be written.
    """
    body = "\n".join(record.encode() for record in records).encode()
    return Row(number, body, crc32(body, before))


def check_batch(row: Row, before: int) -> None:
    """Check a batch.

    Raises:
        Damaged: it is not what was written, or does not follow the one with the checksum *before*.
    """
    if row.checksum != crc32(row.body, before):
        raise Damaged(f"batch {row.number:,} is damaged")


def records_of(row: Row) -> list[Record]:
    """Return the records of a batch.

    Raises:
        Damaged: there are none such.
    """
    try:
        return [Record.decode(text) for text in row.body.decode().split("\n")]
    except ValueError as error:
        raise Damaged(f"batch {row.number:,} makes no sense: {error}") from error


def time_of(row: Row) -> int:
    """Return when the last record of a batch was taken, in milliseconds since 1970; 0 for an
    anchor."""
    return int(row.body.rpartition(b"\n")[2].partition(b"\t")[0] or 0)


def page_row(page: Page) -> Row:
    """Return *page* as it is now."""
    columns = (page.ends, page.times, page.authors)
    body = b"".join(
        [
            _COUNTS.pack(len(page.ends), len(page.lines)),
            *map(_little_endian, columns),
            page.kinds,
            page.lines,
        ]
    )
    return Row(page.first, body, _alone(page.first, body))


def page_of(row: Row) -> Page:
    """Return the page that *row* holds.

    Raises:
        Damaged: it is not what was written.
    """
    _check_alone("page", row)
    page = Page(row.number)
    count, size = _COUNTS.unpack_from(row.body)
    offset = _COUNTS.size
    for column in (page.ends, page.times, page.authors):
        length = count * column.itemsize
        column.frombytes(row.body[offset : offset + length])
        if sys.byteorder == "big":
            column.byteswap()
        offset += length
    page.kinds += row.body[offset : offset + count]
    page.lines += row.body[offset + count : offset + count + size]
    return page


def snapshot_row(number: int, state: dict[str, Any], checksum: int) -> Row:
    """Return the snapshot of *state* after the batch *number*, which has that
    *checksum*."""
    body = json.dumps({"checksum": checksum, **state}, separators=(",", ":")).encode()
    return Row(number, body, _alone(number, body))


def snapshot_of(row: Row) -> tuple[dict[str, Any], int]:
    """Return the state that *row* holds, and the checksum of the batch that it comes after.

    Raises:
        Damaged: it is not what was written.
    """
    _check_alone("snapshot", row)
    state = json.loads(row.body)
    return state, state.pop("checksum")


def _alone(number: int, body: bytes) -> int:
    return crc32(body, crc32(b"%d" % number))


def _check_alone(kind: str, row: Row) -> None:
    if row.checksum != _alone(row.number, row.body):
        raise Damaged(f"the {kind} {row.number:,} is damaged")


def _little_endian(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
