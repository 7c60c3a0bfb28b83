"""The disk: what a journal is stored on, and what becomes of that when the server crashes.

What lives here: a storage (:class:`groupchat.journal.storage.Storage`) in simulated time. What must
not: what its bytes mean.

Theory. A write is under way for a while, and then it is on the disk, all of it at once; a while
later that is reported. A crash in the first while tosses a coin for it; in the second it stays.
What can go wrong:

* the disk is full, or reports an error: nothing has been written;
* it reports the error at the very end: nobody knows whether the write is there. A storage must
  then make sure that it is not, before it says so; that may fail for a while, and a crash before it
  is done tosses the coin;
* what is read is not what was written: one byte is another. To notice is the journal's job; the
  next read is right again.
"""

from collections.abc import Callable, Iterator
from typing import Final

from attrs import define, field, frozen

from groupchat.journal.interface import Done
from groupchat.journal.storage import Damaged, Row, Write
from tests.simulation.world import MILLISECOND, Call, Life, Violation, World

__all__ = ["FAILURES", "Disk", "Health", "Mount"]

FAILURES: Final = ("writes failed", "writes failed at the very end")
"""What failed writes are counted as."""

VOID_TIME: Final = 200 * MILLISECOND
"""Between two tries to make a write void."""

ROW_BYTES: Final = 24
"""What a row takes besides its body."""


@frozen
class Health:
    """How well the disk works."""

    full: bool = False
    """Whether all writes fail."""
    errors: float = 0.0
    """How often a write fails."""
    unknown: float = 0.0
    """How often a write fails at the very end."""
    stubborn: float = 0.0
    """How often it fails to make such a write void, each time that is tried."""
    stalls: float = 0.0
    """How often a write takes long."""
    bit_rot: float = 0.0
    """How often one byte is another in what is read when a server starts."""
    unreadable: float = 0.0
    """How often something cannot be read when a server runs."""


@define(eq=False)
class _Files:
    """All that is on the disk."""

    batches: dict[int, Row] = field(factory=dict)
    pages: dict[int, Row] = field(factory=dict)
    snapshot: Row | None = None
    base: Row | None = None
    size: int = 0


class Disk:
    """What outlives every crash.

    Args:
        world: drives it.
        begun: called when a write begins.
        stored: called with each batch, when it is on the disk.
    """

    def __init__(
        self, world: World, begun: Callable[[], None], stored: Callable[[Row], None]
    ) -> None:
        self.world = world
        self.health = Health()
        self.files = _Files()
        self.fatal: Callable[[], None] | None = None
        """Called, once, when the next write is under way or has just been made."""
        self._begun = begun
        self._stored = stored
        self._under_way: Write | None = None  # a crash decides
        self._call: Call | None = None  # and when it will be

    def begin(self, what: Write, done: Done, life: Life) -> None:
        """Write *what*, and call *done* unless the server's *life* is over by then."""
        if self._call is not None:
            raise Violation("two writes at a time")
        self._begun()
        world, health = self.world, self.health
        took = world.between(20, 2_000)
        if world.chance(health.stalls):
            took += world.between(1, 1_500) * MILLISECOND
        if self.fatal is not None:
            world.call_later(world.between(0, took + 300), self.fatal)
            self.fatal = None
        self._under_way = what
        if health.full or world.chance(health.errors):
            world.counts["writes failed"] += 1
            error = OSError("the disk is full" if health.full else "input/output error")
            self._under_way = None
            self._call = world.call_later(took, lambda: self._report(done, error, life))
        elif world.chance(health.unknown):
            world.counts["writes failed at the very end"] += 1
            error = OSError("input/output error at the very end")
            self._call = world.call_later(took, lambda: self._fail_late(done, error, life))
        else:
            self._call = world.call_later(took, lambda: self._finish(what, done, life))

    def crash(self) -> None:
        """The server is gone. What it was writing is there, or not."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._under_way is not None:
            there = self.world.chance(0.5)
            self.world.counts["writes cut short"] += 1
            self.world.note("disk", b"the last write is %b" % (b"there" if there else b"not there"))
            if there:
                self._put(self._under_way)
            self._under_way = None

    def void(self) -> None:
        """Make sure that the write that has failed is not there."""
        self._under_way = None

    def _finish(self, what: Write, done: Done, life: Life) -> None:
        self._put(what)
        self._under_way = None
        took = self.world.between(0, 300)
        self._call = self.world.call_later(took, lambda: self._report(done, None, life))

    def _fail_late(self, done: Done, error: OSError, life: Life) -> None:
        took = self.world.between(0, 2_000)
        self._call = self.world.call_later(took, lambda: self._undo(done, error, life))

    def _undo(self, done: Done, error: OSError, life: Life) -> None:
        if self.world.chance(self.health.stubborn):
            self.world.counts["writes not made void at once"] += 1
            self._call = self.world.call_later(VOID_TIME, lambda: self._undo(done, error, life))
        else:
            self.void()
            self._report(done, error, life)

    def _report(self, done: Done, error: OSError | None, life: Life) -> None:
        self._call = None
        if error is not None:
            self.world.note("disk", str(error).encode())
        if not life.over:
            done(error)

    def _put(self, what: Write) -> None:
        files = self.files
        if what.batch is not None:
            self.world.note("disk", b"batch %d\n%b" % (what.batch.number, what.batch.body))
            files.batches[what.batch.number] = what.batch
            files.size += len(what.batch.body) + ROW_BYTES
        for page in what.pages:
            before = files.pages.get(page.number)
            files.size += len(page.body) - _length(before) + (0 if before else ROW_BYTES)
            files.pages[page.number] = page
        if what.snapshot is not None:
            self.world.counts["snapshots"] += 1
            files.size += len(what.snapshot.body) - _length(files.snapshot)
            files.snapshot = what.snapshot
        if what.first_page is not None:
            passed = [first for first in files.pages if first < what.first_page]
            for first in [first for first in passed if first not in what.spared]:
                files.size -= len(files.pages.pop(first).body) + ROW_BYTES
        if what.base is not None:
            self.world.counts["bases"] += 1
            files.size += len(what.base.body) - _length(files.base)
            files.base = what.base
            for number in [number for number in files.batches if number <= what.base.number]:
                files.size -= len(files.batches.pop(number).body) + ROW_BYTES
        if what.batch is not None:
            self._stored(what.batch)


class Mount:
    """The disk as one server sees it: a storage.

    Args:
        disk: the disk.
        life: the server's.
    """

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk = disk
        self._life = life
        self.damaged = 0
        """How many rows were not what was written."""
        self.starting = True
        """Whether the server is starting. Only then can what is read be damaged."""

    def write(self, what: Write, done: Done) -> None:
        """Write *what*, later."""
        self._disk.begin(what, done, self._life)

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches."""
        for number, row in self._disk.files.batches.items():  # they came in this order
            if number > after:
                yield self._read(row)

    def page(self, first: int) -> Row | None:
        """Return a page."""
        self._disk.world.counts["pages read back"] += 1
        row = self._disk.files.pages.get(first)
        return None if row is None else self._read(row)

    def pages(self) -> Iterator[Row]:
        """Yield the pages."""
        yield from sorted(self._disk.files.pages.values(), key=lambda row: row.number)

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        row = self._disk.files.snapshot
        return None if row is None else self._read(row)

    def base(self) -> Row | None:
        """Return the base."""
        row = self._disk.files.base
        return None if row is None else self._read(row)

    def size(self) -> int:
        """Return how many bytes there are."""
        return self._disk.files.size

    def close(self) -> None:
        """Let go of it."""

    def _read(self, row: Row) -> Row:
        disk = self._disk
        if not self.starting:
            if disk.world.chance(disk.health.unreadable):
                disk.world.counts["rows not readable"] += 1
                raise Damaged("cannot be read")
            return row
        if not disk.world.chance(disk.health.bit_rot):
            return row
        self.damaged += 1
        disk.world.counts["rows read with damage"] += 1
        body = bytearray(row.body)
        body[disk.world.below(len(body))] ^= disk.world.between(1, 255)
        return Row(row.number, bytes(body), row.checksum)


def _length(row: Row | None) -> int:
    return 0 if row is None else len(row.body)
