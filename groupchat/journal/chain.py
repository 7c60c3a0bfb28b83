"""The log as a chain of batches: each says which one it follows.

What lives here: whether batches that are whole by themselves are the whole log, in its order.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from zlib import crc32

from attrs import define

from groupchat.journal.rows import BASE, BATCH, State, salt, state_of
from groupchat.journal.storage import Damaged, Reading, Row

__all__ = ["Chain"]

_STRIDE: Final = (1 << 10) - 1  # between two reports of progress are this many batches


@define(eq=False)
class Chain:
    """How far a log has been followed."""

    number: int = 0
    """Of the last batch."""
    checksum: int = 0
    """Of the last batch."""
    records: int = 0
    """How many there have been."""

    @classmethod
    def begin(cls, reading: Reading) -> "tuple[Chain, State | None]":
        """Return the chain where its first batch is yet to come, and the base, if there is one.

        Raises:
            Damaged: the base is not what was written.
        """
        row = reading.base()
        if row is None:
            return cls(), None
        base = state_of(BASE, row)
        return cls(base.number, base.checksum, base.records), base

    def add(self, row: Row) -> None:
        """Go on to the batch *row*, which is known to follow."""
        self.number, body, self.checksum = row
        self.records += body.count(b"\n")

    def follow(
        self, batches: Iterable[Row], quiet: int = 0, progress: Callable[[int], object] = bool
    ) -> Iterator[Row]:
        """Yield *batches*, having gone on to each.

        Args:
            batches: the next one first.
            quiet: those before this number are checked, but not yielded.
            progress: called now and then with how many bytes more have been read.

        Raises:
            Damaged: one is missing, or not what was written.
        """
        number, checksum, records = self.number, self.checksum, self.records
        salted = salt(BATCH)
        size = 0
        for found, body, seal in batches:  # for each there is, whenever a journal is opened
            number += 1
            if found != number:
                raise Damaged(f"{BATCH} {number:,} is missing")
            try:
                whole = crc32(body, salted) == seal
            except TypeError:  # not even bytes
                whole = False
            if not whole:
                raise Damaged(f"{BATCH} {number:,} is not what was written")
            if not body.startswith(b"%d %d %d " % (number, checksum, records)):
                raise Damaged(f"{BATCH} {number:,} does not follow the one before")
            checksum = seal
            records += body.count(b"\n")
            if not number & _STRIDE:
                progress(size)
                size = 0
            size += len(body)
            if number >= quiet:
                self.number, self.checksum, self.records = number, checksum, records
                yield Row(found, body, seal)
        self.number, self.checksum, self.records = number, checksum, records
