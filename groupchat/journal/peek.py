"""A look at a journal that somebody else may be writing to.

What lives here: reading beside a server. What must not: a lock, or anything else that is noticed.

Theory. SQLite reads the file itself, and is told that nobody changes it, so that it does nothing
but read. It does not see the WAL then; the rows on the pages that are there are found without it. A
server can write meanwhile, and have SQLite put the WAL into the file, so what is read can be
nonsense. But every row has its checksum, and every batch says which one it follows: whatever is
read is right, or is found not to be; then one looks again.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from groupchat.journal.files import Look, Newer, Unusable, identify
from groupchat.journal.rawfile import RawFile
from groupchat.journal.rows import BASE, BATCH, PAGE, SNAPSHOT
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Damaged, Row

__all__ = ["Peek"]


class Peek:
    """The journal *path* as it is at this moment, more or less: a
    :class:`~groupchat.journal.storage.Reading`. Use it as a context.

    Args:
        path: the file.

    Raises:
        Newer: it is from a newer version, by what is in its WAL.
        Damaged: its tables, or its first bytes, are not ours.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            look = Look(path, wal=False)
            opening.callback(look.close)
            self._file = SQLiteReading(look.connection)
            self._fresh: dict[str, dict[int, Row]] = {
                kind: {} for kind in (BATCH, PAGE, SNAPSHOT, BASE)
            }
            with RawFile(path) as raw:
                self._identify(path, raw.header())
                for number in raw.frames:
                    for kind, row in raw.rows(number):
                        self._fresh[kind][row.number] = row
                self._proven = raw.proven(max(self._fresh[BATCH], default=0))
            self._open = opening.pop_all()

    @staticmethod
    def _identify(path: Path, header: bytes) -> None:
        try:
            identify(path, header)
        except Newer:
            raise
        except Unusable as error:  # a server has begun the WAL anew, perhaps, since we looked there
            raise Damaged(error.problem) from error

    def batches(self, after: int) -> Iterator[Row]:
        """Yield the batches after *after*, in order."""
        for row in self._file.batches(after):
            yield row
            after = row.number
        fresh = self._fresh[BATCH]
        for number in sorted(fresh):
            if number > after:
                yield fresh[number]
                after = number
        if self._proven > after:
            raise Damaged(f"the WAL is damaged behind {BATCH} {after:,}")

    def page(self, first: int) -> Row | None:
        """Return the page *first*."""
        return self._fresh[PAGE].get(first) or self._file.page(first)

    def pages(self, after: int = -1) -> Iterator[Row]:
        """Yield the pages whose first position is greater than *after*."""
        while True:
            old = next(self._file.pages(after), None)
            first = min((n for n in self._fresh[PAGE] if n > after), default=None)
            if first is None and old is None:
                return
            if first is None or (old is not None and old.number < first):
                assert old is not None
                yield old
                after = old.number
            else:
                yield self._fresh[PAGE][first]
                after = first

    def snapshot(self) -> Row | None:
        """Return the snapshot."""
        return self._newest(SNAPSHOT, self._file.snapshot)

    def base(self) -> Row | None:
        """Return the base."""
        return self._newest(BASE, self._file.base)

    def size(self) -> int:
        """Return how many bytes are in use in the file."""
        return self._file.size()

    def close(self) -> None:
        """Let go of it."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _newest(self, kind: str, old: Callable[[], Row | None]) -> Row | None:
        fresh = self._fresh[kind]
        return fresh[max(fresh)] if fresh else old()
