"""What a durable journal needs of the place where its bytes lie.

Four kinds of things are kept: *batches* of records, numbered from 1, which are the log; *pages*
of the timeline, by the position of their first event; and *snapshots* of the state, of which the
newest counts. Where old batches have been let go of, the *base* is the snapshot of what they had
led to. Each comes with a checksum that the journal makes and checks; to a storage they are
bytes.
"""

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple, Protocol

from attrs import frozen

from groupchat.journal.interface import Done

__all__ = ["Damaged", "Reading", "Row", "Storage", "Write"]


class Damaged(Exception):
    """What is stored is not what was written. The message says where."""


class Row(NamedTuple):
    """Something stored under a number."""

    number: int
    body: bytes
    checksum: int


@frozen
class Write:
    """What is to be written: all of it, or nothing."""

    batch: Row | None = None
    pages: Sequence[Row] = ()
    """New pages, or new versions of pages."""
    snapshot: Row | None = None
    """Replaces the one before. Its number is that of the last batch that it contains."""
    first_page: int | None = None
    """No page before this is needed any more, but those that are spared."""
    spared: Container[int] = ()
    """First positions of pages that a reply has yet to show, though everybody has passed them."""
    base: Row | None = None
    """Replaces the one before. Batches up to its number are not needed any more."""


class Reading(Protocol):
    """Something that can be read.

    Raises:
        Damaged: by all of it: something cannot be read.
    """

    def batches(self, after: int) -> Iterator[Row]:
        """Yield all batches with a number greater than *after*, in order."""

    def page(self, first: int) -> Row | None:
        """Return the page whose first position is *first*."""

    def pages(self) -> Iterator[Row]:
        """Yield all pages, in order."""

    def snapshot(self) -> Row | None:
        """Return the snapshot, if there is one."""

    def base(self) -> Row | None:
        """Return the base, if there is one."""

    def size(self) -> int:
        """Return how many bytes everything takes."""


class Storage(Reading, Protocol):
    """Where a journal's bytes lie."""

    def write(self, what: Write, done: Done) -> None:
        """Write *what*, durably, and call *done*, now or later. One write at a time."""

    def close(self) -> None:
        """Let go of everything."""
