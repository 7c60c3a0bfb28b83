"""Any damage to the file gives an error or the exact state, and leaves the file as it is."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupchat.core import Join, Send
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.journal import Damaged, DurableJournal, Unusable, open_journal
from groupchat.journal.reader import Reader
from groupchat.journal.retention import Retention
from groupchat.journal.rows import header_of
from groupchat.journal.storage import Row
from groupchat.journal.transcript import Hole, Transcript
from groupchat.journal.verification import verify
from tests.journal.making import batch, conversation, fingerprint, journal, lines, many, same
from tests.journal.opening import call

PAGE = 8_192


class Original:
    """A journal that was whole, as bytes, and what is in it."""

    def __init__(
        self, file: bytes, wal: bytes, state: Chat, batches: dict[int, Row], events: list[str]
    ) -> None:
        self.file = file
        self.wal = wal
        self.state = state
        self.batches = batches
        self.events = events
        self.last_events = header_of(batches[max(batches)]).events
        """How many there were before the last batch."""

    def put(self, folder: Path, file: bytes | None = None, wal: bytes | None = None) -> Path:
        """Write it, or another version of it, to *folder*."""
        folder.mkdir(exist_ok=True)
        path = folder / "chat.journal"
        path.write_bytes(self.file if file is None else file)
        beside = folder / "chat.journal-wal"
        wal = self.wal if wal is None else wal
        if wal:
            beside.write_bytes(wal)
        else:
            beside.unlink(missing_ok=True)
        return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A journal with several pages of every kind, some of it in the WAL alone."""
    folder = tmp_path_factory.mktemp("original")
    path = folder / "chat.journal"
    one = journal(path)
    conversation(one)
    many(one, 400, size=300, a_batch=20)  # fills a page and a half of the timeline
    one.keep(Record(one.now, "udp 1", 0, (Send("long " * 790),) * 5, 1_024))  # overflows
    one.rest()
    one.journal.close()
    one = journal(path)
    one.now += 10**6
    one.keep(Record(one.now, "udp 8", 0, (Join("In the WAL"),), 1_024))
    many(one, 30, size=100)
    storage = one.journal._storage
    batches = {row.number: row for row in storage.batches(0)}
    copy = folder / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", copy / f"chat.journal{suffix}")
    one.journal.close()
    again = DurableJournal(storage_of(copy / "chat.journal"))
    with Transcript(copy / "chat.journal") as transcript:
        events = [str(entry) for entry in transcript]
    return Original(
        (copy / "chat.journal").read_bytes(),
        (copy / "chat.journal-wal").read_bytes(),
        again.chat,
        batches,
        events,
    )


def storage_of(path: Path) -> "SQLiteCopy":
    return SQLiteCopy(path)


class SQLiteCopy:
    """Everything that is in a journal, in memory."""

    def __init__(self, path: Path) -> None:
        with Reader(path) as reader:
            found = reader.reading()
            self._rows = [row for row in reader.log() if isinstance(row, Row)]
            self._pages = {row.number: row for row in found.pages()}
            self._snapshot, self._base = found.snapshot(), found.base()

    def batches(self, after: int) -> Iterator[Row]:
        return (row for row in self._rows if row.number > after)

    def page(self, first: int) -> Row | None:
        return self._pages.get(first)

    def pages(self) -> Iterator[Row]:
        return iter(self._pages.values())

    def snapshot(self) -> Row | None:
        return self._snapshot

    def base(self) -> Row | None:
        return self._base

    def size(self) -> int:
        return 0

    def write(self, *_: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing."""


def examine(original: Original, path: Path) -> None:
    """Open and read what may be damaged in all ways; nothing may be wrong, or touched."""
    before = fingerprint(path)
    found: Chat | None = None
    with contextlib.suppress(Damaged, Unusable, OSError):
        storage = open_without_writing(path)
        found = storage
    assert fingerprint(path) == before
    if found is not None:
        assert same(found, original.state)
    with contextlib.suppress(Unusable, OSError):
        with Reader(path) as reader:
            for row in reader.log():
                assert not isinstance(row, Row) or row == original.batches[row.number]
        verify(path)
        with Transcript(path) as transcript:
            entries = [str(entry) for entry in transcript if not isinstance(entry, Hole)]
            if not transcript.holes:
                assert entries == original.events[: len(entries)]
    assert fingerprint(path) == before


def open_without_writing(path: Path) -> Chat:
    """Return the state to which the journal *path* leads, up to where a server would begin to
    write. All pages are read by then."""
    from groupchat.journal.sqlite import SQLiteStorage

    storage = SQLiteStorage(path, call)
    try:
        storage.check()
        chat = DurableJournal(storage).chat
        lines(chat)
        for place in chat.group.timeline.pages:
            place.page = place.load()  # for it cannot be read when it is closed
        return chat
    finally:
        storage.close()


def test_without_damage_it_is_what_it_was(original: Original, tmp_path: Path) -> None:
    path = original.put(tmp_path)
    assert same(open_without_writing(path), original.state)
    examine(original, path)
    assert verify(path).whole


ANYWHERE = st.integers(0, 1 << 30)
CHANGE = st.integers(1, 255)


@given(ANYWHERE, CHANGE)
@settings(max_examples=120)
def test_a_byte_that_is_another(original: Original, where: int, change: int) -> None:
    with folder() as place:
        examine(original, original.put(place, changed(original.file, where, change)))


@given(ANYWHERE, CHANGE)
@settings(max_examples=100)
def test_a_byte_that_is_another_in_the_wal(original: Original, where: int, change: int) -> None:
    with folder() as place:
        damage_in_wal(original, original.put(place, None, changed(original.wal, where, change)))


def changed(content: bytes, where: int, change: int) -> bytes:
    """Return *content* with one byte that is another."""
    new = bytearray(content)
    new[where % len(new)] ^= change
    return bytes(new)


def damage_in_wal(original: Original, path: Path) -> None:
    """A WAL counts up to where it is damaged. What comes after could be half a write, if it is no
    more than one; otherwise it is missed."""
    before = fingerprint(path)
    with contextlib.suppress(Damaged, Unusable, OSError):
        chat = open_without_writing(path)
        end = chat.group.timeline.end
        assert original.last_events <= end <= original.state.group.timeline.end
        assert lines(chat) == b"".join(
            line
            for line in lines(original.state).splitlines(keepends=True)
            if int(line.split(b" ", 1)[0]) < end
        )
    assert fingerprint(path) == before
    with Reader(path) as reader:
        found = [row for row in reader.log() if isinstance(row, Row)]
    missing = original.batches.keys() - {row.number for row in found}
    assert missing <= {max(original.batches)}
    verify(path)
    assert fingerprint(path) == before


@given(ANYWHERE, ANYWHERE, CHANGE)
@settings(max_examples=100)
def test_every_row_is_covered(original: Original, which: int, where: int, change: int) -> None:
    """A change in what a row holds is always found."""
    rows = sorted(original.batches.values())
    row = rows[which % len(rows)]
    at = original.file.find(row.body[:200])
    if at < 0:
        return  # in the WAL, or in two pieces
    piece = changed(row.body[:200], where, change)
    content = original.file[:at] + piece + original.file[at + len(piece) :]
    with folder() as place:
        path = original.put(place, content, b"")
        with pytest.raises(Damaged):
            open_without_writing(path)
        assert verify(path).lost
        examine(original, path)


@given(ANYWHERE)
@settings(max_examples=60)
def test_a_file_that_is_too_short(original: Original, where: int) -> None:
    with folder() as place:
        examine(original, original.put(place, original.file[: where % len(original.file)]))


@given(ANYWHERE, ANYWHERE, st.sampled_from([b"\0", b"\xff", b""]))
@settings(max_examples=60)
def test_a_page_of_something_else(original: Original, where: int, other: int, fill: bytes) -> None:
    pages = len(original.file) // PAGE
    at, other = where % pages * PAGE, other % pages * PAGE
    new = fill * PAGE or original.file[other : other + PAGE]
    with folder() as place:
        content = original.file[:at] + new + original.file[at + PAGE :]
        examine(original, original.put(place, content))


@pytest.mark.parametrize(
    ("table", "key", "needed"),
    [("batches", "number", True), ("pages", "first", True), ("snapshot", "number", False)],
)
def test_rows_that_are_gone(
    original: Original, table: str, key: str, needed: bool, tmp_path: Path
) -> None:
    path = original.put(tmp_path)
    keys = [key for (key,) in execute(path, f"SELECT {key} FROM {table} ORDER BY 1")]
    if table == "batches":
        del keys[-1]  # nobody would miss the last one
    assert keys
    for number in keys:
        path = original.put(tmp_path)
        execute(path, f"DELETE FROM {table} WHERE {key} = {number}")
        if needed:
            with pytest.raises(Damaged, match="missing"):
                open_without_writing(path)
            assert not verify(path).whole
        else:
            assert lines(open_without_writing(path)) == lines(original.state)


def test_a_base_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path, Retention(milliseconds=60_000))
    many(one, 100, a_batch=1)
    one.now += 60_000
    batch(one, ("udp 2", Send("all else is gone")))
    while one.tick():
        pass
    one.journal.close()
    assert same(open_without_writing(path), one.chat)
    assert verify(path).whole
    assert len(execute(path, "SELECT number FROM base")) == 1
    execute(path, "DELETE FROM base")
    with pytest.raises(Damaged, match="batch 1 is missing"):
        open_without_writing(path)
    assert verify(path).lost


def test_failures_that_were_counted_change_nothing(original: Original, tmp_path: Path) -> None:
    path = original.put(tmp_path)
    execute(path, "INSERT INTO failures VALUES (1, 17)")
    assert same(open_without_writing(path), original.state)
    assert verify(path).whole


def execute(path: Path, statement: str) -> list[tuple[int, ...]]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_journal_that_was_opened_is_as_good_as_new(original: Original, tmp_path: Path) -> None:
    path = original.put(tmp_path)
    open_journal(path, call).close()
    assert same(open_without_writing(path), original.state)
    assert verify(path).whole
