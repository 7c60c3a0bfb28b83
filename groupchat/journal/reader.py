"""Reads a journal in whatever state it is, beside a server or alone.

What lives here: how to get at as much of the log as there is, and what is missing of it. What must
not: what the log says.

Theory. As long as SQLite finds batch after batch, and each follows the one before, it is used. At
the first that does not, nothing it says is relied on any more: from there on batches are looked
for in the file itself (:mod:`groupchat.journal.salvage`), and those that are not found are *gaps*.
Every batch says how many records and events there had been before it, so it is known how large
a gap is, if there is anything behind it. What there was behind the last that is found, only a
snapshot of the same batch tells: nothing. Without one, nobody knows, and that is a gap, too.

A server can go on writing meanwhile, let go of old batches, or start only now; all of that can look
like damage to somebody who reads. So while there is a server, it is looked at again a few times
before anything is called damage.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self, TypeVar

from attrs import frozen

from groupchat.core.quantity import counted
from groupchat.journal.chain import Chain
from groupchat.journal.files import Look, Newer, Unusable, has_wal, inspect, is_served, lock
from groupchat.journal.peek import Peek
from groupchat.journal.rows import BASE, PAGE, SNAPSHOT, State, check, header_of, state_of
from groupchat.journal.salvage import Salvage
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Damaged, Row

__all__ = ["TRIES", "Gap", "Reader", "Removed"]

TRIES: Final = 10
"""So many times in a row something must look damaged, beside a running server, before it is."""

_PAUSE_SECONDS: Final = 0.05
Result = TypeVar("Result")

_LEAST_BYTES: Final = 16_384  # no journal is shorter


@frozen
class Gap:
    """Batches that are missing."""

    first: int
    last: int | None
    """Less than *first* if none is missing, but the next does not follow; None if nobody knows how
    many there were, or whether there were any."""
    records: int | None
    """How many records they had, if that is known."""
    why: str = ""
    """Why nobody knows."""

    def __str__(self) -> str:
        if self.last is None:
            return (
                f"what followed batch {self.first - 1:,}, if anything, cannot be read: {self.why}"
            )
        if self.last < self.first:
            return f"batch {self.first:,} does not follow the one before"
        which = f"batch {self.first:,} is"
        if self.last > self.first:
            which = f"batches {self.first:,} to {self.last:,} are"
        records = "" if self.records is None else f" ({counted(self.records, 'record')})"
        return f"{which} damaged or missing{records}"


@frozen
class Removed:
    """What came next has been let go of; the log goes on after *base*."""

    base: State


class Reader:
    """The journal *path*, to be read. Use it as a context.

    Args:
        path: the file.
        progress: called now and then with how many bytes more have been read.
        alone: whether the lock is ours, so that nobody writes meanwhile.

    Raises:
        FileNotFoundError: there is none.
        Unusable: it is no journal at all, or from a newer version.
        OSError: it cannot be read.
    """

    def __init__(
        self, path: Path, progress: Callable[[int], object] = bool, *, alone: bool = False
    ) -> None:
        self._path = path = Path(os.path.realpath(path))  # beside that is its WAL
        self._progress = progress
        self._alone = alone
        self._salvage: Salvage | None = None
        self._peek: Peek | None = None
        self._open = contextlib.ExitStack()
        self.troubles: list[str] = []
        """What is wrong with the file, as far as it has come up; the gaps in the log excepted."""
        self.served = not alone and is_served(path)
        """Whether a server has it open. To be read."""
        with contextlib.ExitStack() as opening:
            opening.callback(self.close)
            self._begin()
            opening.pop_all()

    def _begin(self) -> None:
        path = self._path
        try:
            if not inspect(path):
                raise FileNotFoundError(f"there is no journal at {path}")
            self._look_first()
        except Newer:
            raise
        except Unusable as error:
            if not self._is_ours_all_the_same():
                raise
            self.troubles.append(f"{error.problem}, by its first bytes")
        except Damaged as error:
            self.troubles.append(str(error))

    def reading(self) -> Peek | Salvage:
        """Return what to read by: SQLite, unless it has failed."""
        return self._peek or self._by_hand()

    def check(self) -> None:
        """Check how SQLite has arranged the file, unless a server has it, or nothing can be made
        beside it, which SQLite needs for that.

        Raises:
            Damaged: it is not as it should be.
        """
        if self._peek is None or self.served:
            return
        with contextlib.ExitStack() as stack:
            if has_wal(self._path) and not self._alone:
                if not os.access(self._path.parent, os.W_OK):
                    return
                try:  # else a server that starts would find that somebody has it open
                    stack.enter_context(contextlib.closing(lock(self._path)))
                except Unusable:
                    return
            found = stack.enter_context(contextlib.closing(Look(self._path)))
            try:
                SQLiteReading(found.connection).check()
            except Damaged:
                stack.close()
                if self._alone or not is_served(self._path):  # else it was written to meanwhile
                    raise

    def base(self) -> State | None:
        """Return the base, if there is one.

        Raises:
            Damaged: there is one, but not as it was.
        """
        return self.retry(lambda: _state(BASE, self.reading().base()))

    def snapshot(self) -> State | None:
        """Return the snapshot, if there is one.

        Raises:
            Damaged: there is one, but not as it was.
        """
        return self.retry(lambda: _state(SNAPSHOT, self.reading().snapshot()))

    def next_page(self, after: int) -> Row | None:
        """Return the page of the timeline whose first position is the next after *after*.

        Raises:
            Damaged: it cannot be read.
        """

        def read() -> Row | None:
            row = next(self.reading().pages(after), None)
            if row is not None and self.served:
                check(PAGE, row)
            return row

        return self.retry(read)

    def retry(self, read: Callable[[], Result]) -> Result:
        """Return what *read* does, called again if a server may have got in its way.

        Raises:
            Damaged: that is no help.
        """
        tries = 0
        while True:
            try:
                return read()
            except (Damaged, OSError) as error:  # a bad sector is damage to who reads
                tries += 1
                if not self._look_again(tries):
                    raise Damaged(str(error)) from error

    def log(self, base: State | None = None) -> Iterator[Row | Gap | Removed]:
        """Yield all batches there are after *base*, in order, the gaps between them, and what has
        been let go of since that was the base."""
        chain = Chain()
        if base is not None:
            chain = Chain(base.number, base.checksum, base.records)
        yield from self._catch_up(chain)
        cause = ""
        tries, last, sure = 0, -1, False
        while self._peek is not None:
            try:
                yield from chain.follow(self._peek.batches(chain.number), 0, self._progress)
                if sure or not self._look_again(1):
                    break
                sure = True  # it does not only seem to be the end
                yield from self._catch_up(chain)
            except (Damaged, OSError) as error:
                tries, last = tries + 1 if chain.number == last else 1, chain.number
                if not self._look_again(tries):
                    cause, self._peek = str(error), None
                yield from self._catch_up(chain)
        gaps = 0
        if self._peek is None:
            for row in self._fill(chain, self._by_hand().batches(chain.number)):
                gaps += isinstance(row, Gap)
                yield row
        end = self._end(chain, cause)
        if end is not None:
            yield end
        elif cause and not gaps:  # else these tell
            self.troubles.append(cause)

    def close(self) -> None:
        """Let go of the file."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, chain: Chain, batches: Iterator[Row]) -> Iterator[Row | Gap]:
        for row in batches:
            try:
                header = header_of(row)
            except Damaged:
                continue
            follows = row.number == chain.number + 1 and header.checksum == chain.checksum
            if not follows:
                yield _gap(chain, row.number - 1, header.records)
            chain.records = header.records
            chain.add(row)
            yield row

    def _end(self, chain: Chain, cause: str) -> Gap | None:
        """Return what may be missing after the last batch that was found, at the end of *chain*."""
        snapshot = None
        with contextlib.suppress(Damaged):
            snapshot = self.snapshot()
        if snapshot is not None and snapshot.number > chain.number and not self.served:
            return _gap(chain, snapshot.number, snapshot.records)
        if self._peek is not None or (snapshot is not None and snapshot.number == chain.number):
            return None
        return Gap(chain.number + 1, None, None, cause or "; ".join(self.troubles))

    def _look_first(self) -> None:
        """Open it, again and again if a server may be in the way."""
        tries = 0
        while self._peek is None:
            try:
                self._look()
            except Damaged:
                tries += 1
                if not self.served or tries > TRIES:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def _look(self) -> None:
        try:
            self._peek = self._open.enter_context(Peek(self._path))
        except OSError as error:
            raise Damaged(str(error)) from error

    def _look_again(self, tries: int) -> bool:
        """Open it anew, if a server may have got in the way, and return whether that was done."""
        self.served = not self._alone and is_served(self._path)
        if self._peek is None or not self.served or tries > TRIES:
            return False
        # The server is at work on the file, and there is nothing that would tell when it has done.
        time.sleep(_PAUSE_SECONDS * (tries - 1))
        self._peek.close()
        with contextlib.suppress(Damaged):
            self._look()
        return True

    def _catch_up(self, chain: Chain) -> Iterator[Removed]:
        """Have *chain* go on from where the log begins now, if what comes next has been let go."""
        base = None
        with contextlib.suppress(Damaged):
            base = self.base()
        if base is not None and base.number > chain.number:
            chain.number, chain.checksum, chain.records = base.number, base.checksum, base.records
            yield Removed(base)

    def _by_hand(self) -> Salvage:
        if self._salvage is None:
            self._salvage = self._open.enter_context(Salvage(self._path, self._progress))
        return self._salvage

    def _is_ours_all_the_same(self) -> bool:
        """Whether there are batches in what does not look like a journal."""
        try:
            if not self._path.is_file() or self._path.stat().st_size < _LEAST_BYTES:
                return False
            return any(True for _ in self._by_hand().batches(0))
        except OSError:
            return False


def _state(kind: str, row: Row | None) -> State | None:
    return None if row is None else state_of(kind, row)


def _gap(chain: Chain, last: int, records: int) -> Gap:
    return Gap(chain.number + 1, last, max(0, records - chain.records))
