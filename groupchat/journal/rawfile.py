"""A SQLite file, read without SQLite.

What lives here: enough of the file format (https://sqlite.org/fileformat2.html) to find rows on
pages. What must not: anything that trusts what it reads, or writes.

Theory. A SQLite file is pages of one size. Rows lie in *leaf* pages, in each some in the order of
their numbers. A row that is too long for its page goes on in a chain of *overflow* pages. Newer
versions of pages are in the WAL, as *frames*, which count as far as their chain of checksums is
whole and ends with a commit. Whatever is found is taken for a row of ours if its own checksum says
so (see :mod:`groupchat.journal.rows`), so anything at all may be in the pages.

Behind the frames that count are others: from before SQLite began at the start of the WAL again,
when all there was had been put into the file; and one write at the most that was not finished, or
was made void. So what is there may be the batch after the last, but never one after that: if there
is, the WAL is damaged, and those in between had been there.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Self
from zlib import crc32

from groupchat.journal.errors import on_failure
from groupchat.journal.rows import BASE, BATCH, PAGE, SNAPSHOT, salt
from groupchat.journal.storage import Row

__all__ = ["RawFile", "is_committed"]

_PAGE_SIZE: Final = 8_192  # bytes; what the header says may be damaged, and is the same if not
_FILE_HEADER: Final = 100
_LEAF: Final = 0x0D
_LEAF_HEADER: Final = struct.Struct(">BHHHB")
_FRAME_HEADER: Final = struct.Struct(">IIIIII")
_WAL_HEADER: Final = struct.Struct(">IIIIIIII")
_WAL_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}  # and the byte order of checksums
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # by type
_LEAST: Final = -1 << 63  # less than any number
_MOST_ROW_BYTES: Final = 1 << 30
_SALTS: Final = {kind: salt(kind) for kind in (BATCH, PAGE, SNAPSHOT, BASE)}


class RawFile:
    """The file *path* and its WAL. Use it as a context.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        self._wal: IO[bytes] | None = None
        with on_failure(self.close):
            self.page_size = _PAGE_SIZE
            self.count = self._file.seek(0, 2) // self.page_size
            """How many pages there are."""
            self.frames: dict[int, int] = {}
            """Where in the WAL the newest version of a page is, for those that are there."""
            self._end = 0  # of what counts of the WAL
            wal = _wal(path)
            if wal.exists():
                self._wal = wal.open("rb")
                self.frames, self._end = _frames(self._wal, self.page_size)
                self.count = max([self.count, *self.frames])

    def rows(self, number: int, after: int = _LEAST) -> Iterator[tuple[str, Row]]:
        """Yield what kind of row it is, and the row, for each whole one on the page *number*, with
        a number greater than *after*."""
        page = self._read(number)
        header = _FILE_HEADER if number == 1 else 0
        if len(page) < self.page_size or page[header] != _LEAF:
            return
        _, _, count, _, _ = _LEAF_HEADER.unpack_from(page, header)
        start = header + _LEAF_HEADER.size
        for offset in range(start, min(start + 2 * count, len(page) - 1), 2):
            row = self._row(page, int.from_bytes(page[offset : offset + 2], "big"), after)
            kind = None if row is None else _kind(row)
            if row is not None and kind is not None:
                yield kind, row

    def header(self) -> bytes:
        """Return the first bytes, in their newest version."""
        return self._read(1)[:_FILE_HEADER]

    def beyond(self, after: int) -> list[Row]:
        """Return the batches after *after* in what does not count of the WAL, in order."""
        if self._wal is None:
            return []
        found: set[Row] = set()
        changed: list[int] = []
        commit = 0
        counting, self.frames = self.frames, dict(self.frames)
        stride = _FRAME_HEADER.size + self.page_size
        stop = self._wal.seek(0, 2)
        for at in range(self._end or _WAL_HEADER.size, stop, stride):
            self._wal.seek(at)
            header = self._wal.read(_FRAME_HEADER.size)
            if len(header) == _FRAME_HEADER.size:
                number, commit, *_ = _FRAME_HEADER.unpack(header)
                self.frames[number] = at + _FRAME_HEADER.size
                changed.append(number)
            if commit or at + stride >= stop:
                for number in changed:
                    found.update(row for kind, row in self.rows(number, after) if kind == BATCH)
                changed.clear()
        self.frames = counting
        return _chosen(found)

    def proven(self, after: int) -> int:
        """Return up to which batch all must have been there, by those after *after* in what does
        not count of the WAL. If SQLite finds fewer, the WAL is damaged."""
        newest = max((row.number for row in self.beyond(after)), default=0)
        # The WAL's own header is on the disk before anything else is.
        return newest - 1 if self._end else newest

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        if self._wal is not None:
            self._wal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _row(self, page: bytes, at: int, after: int) -> Row | None:
        """Return what seems to be the row at an offset in *page*, if anything."""
        try:
            length, at = _varint(page, at)
            number, at = _varint(page, at)
            if number <= after:
                return None
            payload = self._payload(page, at, length)
            header, start = _varint(payload, 0)
            types = []
            while start < header:
                kind, start = _varint(payload, start)
                types.append(kind)
            none, body, checksum = types
        except (IndexError, ValueError):
            return None
        size, rest = divmod(body - 12, 2)
        if none or size < 0 or rest > 1 or checksum not in _INTEGER_BYTES:
            return None
        end = header + size
        if len(payload) != end + _INTEGER_BYTES[checksum]:
            return None
        value = int.from_bytes(payload[end:], "big", signed=True)
        return Row(number, payload[header:end], value if checksum < 8 else checksum - 8)

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """Return the bytes of a row, those on other pages included."""
        pages = self.count + len(self.frames)
        if not 0 < length <= min(_MOST_ROW_BYTES, pages * self.page_size):
            raise ValueError(length)
        most = self.page_size - 35
        if length <= most:
            return page[at : at + length]
        least = (self.page_size - 12) * 32 // 255 - 23
        local = least + (length - least) % (self.page_size - 4)
        if local > most:
            local = least
        pieces = [page[at : at + local]]
        missing = length - local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while missing > 0:
            overflow = self._read(following)
            if len(overflow) < self.page_size:
                raise ValueError(following)
            following = int.from_bytes(overflow[:4], "big")
            pieces.append(overflow[4 : 4 + missing])
            missing -= self.page_size - 4
        return b"".join(pieces)

    def _read(self, number: int) -> bytes:
        """Return the newest version of the page *number*; less than a page if it is not there."""
        frame = self.frames.get(number)
        if frame is None and not 0 < number <= self.count:
            return b""
        file, offset = self._file, (number - 1) * self.page_size
        if frame is not None and self._wal is not None:
            file, offset = self._wal, frame
        try:
            file.seek(offset)
            return file.read(self.page_size)
        except OSError:  # a bad sector
            return b""


def is_committed(path: Path, piece: bytes) -> bool:
    """Whether *piece* is in what counts of the WAL of the file *path*.

    The file itself is not even opened: when a process closes a file, the system takes all locks
    from it that the process has on that file, those of SQLite as well.

    Raises:
        OSError: it cannot be read.
    """
    try:
        wal = _wal(path).open("rb")
    except FileNotFoundError:
        return False
    with wal:
        if piece not in wal.read():  # nearly always; what counts takes much longer to find out
            return False
        wal.seek(0)
        _, end = _frames(wal, _PAGE_SIZE)
        wal.seek(0)
        return piece in wal.read(end)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _chosen(found: set[Row]) -> list[Row]:
    """Return batches in order: of several with one number, that which the next follows."""
    chosen: list[Row] = []
    for row in sorted(found, reverse=True):
        if not chosen or row.number < chosen[-1].number:
            chosen.append(row)
        elif chosen[1:] and chosen[-2].body.startswith(b"%d %d " % (row.number + 1, row.checksum)):
            chosen[-1] = row
    return chosen[::-1]


def _kind(row: Row) -> str | None:
    """Return of which kind *row* is, if its checksum is that of any."""
    for kind, salted in _SALTS.items():
        if crc32(row.body, salted) == row.checksum:
            return kind if kind != BATCH or row.body.startswith(b"%d " % row.number) else None
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset after it."""
    number = 0
    for offset in range(at, at + 8):
        number = number << 7 | data[offset] & 0x7F
        if data[offset] < 0x80:
            return number, offset + 1
    number = number << 8 | data[at + 8]
    return number - (1 << 64 if number >> 63 else 0), at + 9


def _frames(wal: IO[bytes], size: int) -> tuple[dict[int, int], int]:
    """Return where in the *wal* the newest version of each page is that has been committed, and
    where the last commit ends."""
    committed: dict[int, int] = {}
    pending: dict[int, int] = {}
    end = 0
    header = wal.read(_WAL_HEADER.size)
    if len(header) < _WAL_HEADER.size:
        return committed, end
    magic, _, page_size, _, salt1, salt2, _, _ = _WAL_HEADER.unpack(header)
    order = _WAL_MAGIC.get(magic)
    if order is None or page_size != size:
        return committed, end
    sums = _sums(header[:24], (0, 0), order)
    if sums != struct.unpack(">II", header[24:]):
        return committed, end
    end = _WAL_HEADER.size
    while True:
        offset = wal.tell() + _FRAME_HEADER.size
        frame = wal.read(_FRAME_HEADER.size + size)
        if len(frame) < _FRAME_HEADER.size + size:
            return committed, end
        number, commit, one, two, *found = _FRAME_HEADER.unpack_from(frame)
        sums = _sums(frame[_FRAME_HEADER.size :], _sums(frame[:8], sums, order), order)
        if (one, two) != (salt1, salt2) or list(sums) != found:
            return committed, end
        pending[number] = offset
        if commit:
            committed |= pending
            pending.clear()
            end = offset + size


def _sums(data: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    """Return SQLite's two checksums of *data* after those *before*."""
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = one + even + two & 0xFFFFFFFF
        two = two + odd + one & 0xFFFFFFFF
    return one, two
