"""Reading what there is: damaged files, files in disorder, and beside a server that writes."""

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.journal import Damaged, Unusable, open_journal, rawfile
from groupchat.journal import reader as reader_module
from groupchat.journal.compaction import compact
from groupchat.journal.files import Newer, is_served, lock
from groupchat.journal.peek import Peek
from groupchat.journal.rawfile import RawFile
from groupchat.journal.reader import Gap, Reader, Removed
from groupchat.journal.retention import Retention
from groupchat.journal.salvage import Salvage
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Row
from groupchat.journal.verification import verify
from tests.journal.making import (
    Keeper,
    Quick,
    batch,
    conversation,
    fingerprint,
    flipped,
    journal,
    many,
    put_into_the_file,
)
from tests.processes import serving

PAGE = 8_192


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with batches that are short, long, and longer than a page."""
    path = tmp_path / "chat.journal"
    one = journal(path)
    conversation(one)
    many(one, 600, size=300, a_batch=10)
    batch(one, *[("udp 1", Send("long " * 700))] * 4)
    many(one, 100, size=100, a_batch=1)
    one.rest()
    one.journal.close()
    return path


def rows(path: Path) -> list[Row]:
    with Reader(path) as reader:
        found = [row for row in reader.log() if isinstance(row, Row)]
        assert not reader.troubles
    return found


def read(path: Path) -> tuple[list[Row], list[str], list[str]]:
    """Return what can be read, the gaps, and what else is wrong."""
    with Reader(path) as reader:
        found = list(reader.log())
        return (
            [row for row in found if isinstance(row, Row)],
            [str(row) for row in found if isinstance(row, Gap)],
            reader.troubles,
        )


def where(path: Path, row: Row) -> int:
    """Return where in the file the body of *row* begins."""
    at = path.read_bytes().index(row.body[:100])
    assert at > 0
    return at


def test_a_whole_journal_is_read_without_a_trace(path: Path) -> None:
    before = fingerprint(path)
    assert [row.number for row in rows(path)] == list(range(1, 174))
    assert fingerprint(path) == before
    assert list(path.parent.iterdir()) == [path]


def test_one_damaged_batch_is_a_gap_of_known_size(path: Path) -> None:
    whole = rows(path)
    flipped(path, where(path, whole[20]) + 50)
    found, gaps, troubles = read(path)
    assert found == whole[:20] + whole[21:]
    assert gaps == ["batch 21 is damaged or missing (10 records)"]
    assert not troubles


def test_what_cannot_be_read_because_of_a_bad_sector_is_looked_for_without_sqlite(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(path)

    def failing(*_: object) -> Iterator[Row]:
        yield whole[0]
        raise OSError("disk I/O error (SQLITE_IOERR_READ)")

    monkeypatch.setattr(SQLiteReading, "batches", failing)
    assert read(path) == (whole, [], ["disk I/O error (SQLITE_IOERR_READ)"])


def test_several_are(path: Path) -> None:
    whole = rows(path)
    for number in (20, 21, 22, 50):
        flipped(path, where(path, whole[number]) + 50)
    found, gaps, troubles = read(path)
    assert [row.number for row in found] == [n for n in range(1, 174) if n not in (21, 22, 23, 51)]
    assert gaps == [
        "batches 21 to 23 are damaged or missing (30 records)",
        "batch 51 is damaged or missing (10 records)",
    ]
    assert not troubles


def test_the_last_one_is_missed_if_there_is_a_snapshot(path: Path) -> None:
    whole = rows(path)
    flipped(path, where(path, whole[-1]) + 50)
    assert read(path)[1] == ["batch 173 is damaged or missing (1 record)"]


def test_a_batch_from_another_time_does_not_follow(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    other = path.with_name("other.journal")
    one = journal(other)
    conversation(one)
    one.now += 1
    many(one, 600, size=300, a_batch=10)
    strange = next(row for row in one.journal._storage.batches(0) if row.number == 30)
    one.journal.close()
    connection.execute(
        "UPDATE batches SET body = ?, checksum = ? WHERE number = 30",
        (strange.body.decode(), strange.checksum),
    )
    connection.close()
    found, gaps, _ = read(path)
    assert len(found) == 173
    assert gaps == [
        "batch 30 does not follow the one before",
        "batch 31 does not follow the one before",
    ]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_page_of_sqlite_s_own_costs_nothing(path: Path, number: int) -> None:
    """Those that only say where the rows are: the first ones."""
    whole = rows(path)
    with path.open("rb+") as file:
        file.seek((number - 1) * PAGE)
        file.write(b"\xaa" * PAGE)
    found, gaps, troubles = read(path)
    if number in (1, 2):
        assert troubles
    assert found == whole
    assert not gaps


def test_a_file_that_ends_too_early(path: Path) -> None:
    whole = rows(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found, gaps, _ = read(path)
    assert 20 < len(found) < 173
    assert [row for row in whole if row in found] == found
    assert gaps


def test_where_nothing_tells_how_it_ended_it_may_not_be_whole(tmp_path: Path) -> None:
    """A server that is killed leaves no snapshot of the end."""
    path = tmp_path / "chat.journal"
    one = journal(path)
    many(one, 600, a_batch=1)
    one.journal.close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found, gaps, _ = read(path)
    assert 100 < len(found) < 600
    assert len(gaps) == 1
    assert gaps[0].startswith(f"what followed batch {len(found)}, if anything, cannot be read: ")
    assert verify(path).lost == gaps
    before = fingerprint(path)
    with pytest.raises(Damaged, match="what followed batch"):
        compact(path)
    assert fingerprint(path) == before


def test_the_last_batch_is_missed_without_a_snapshot_too(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    many(one, 30, a_batch=1)
    one.journal.close()
    whole = rows(path)
    flipped(path, where(path, whole[-1]) + 20)
    found, gaps, _ = read(path)
    assert found == whole[:-1]
    cause = f"batch {len(whole)} is not what was written"
    assert gaps == [f"what followed batch {len(found)}, if anything, cannot be read: {cause}"]
    assert verify(path).lost == gaps
    with pytest.raises(Damaged):
        compact(path)


def test_any_page_can_be_lost(path: Path) -> None:
    whole = {row.number: row for row in rows(path)}
    content = path.read_bytes()
    for number in range(len(content) // PAGE):
        at = number * PAGE
        path.write_bytes(content[:at] + bytes(PAGE) + content[at + PAGE :])
        found, gaps, troubles = read(path)
        assert all(row == whole[row.number] for row in found)
        assert [row.number for row in found] == sorted({row.number for row in found})
        assert len(found) >= 100
        assert gaps or len(found) == 173
        del troubles


def test_stale_versions_of_rows_do_no_harm(path: Path) -> None:
    """Pages that are not in use any more are read, too."""
    content = path.read_bytes()
    whole = rows(path)
    path.write_bytes(content + content[PAGE:])  # each page twice
    flipped(path, 4 * PAGE + 3)
    found, gaps, _ = read(path)
    assert (found, gaps) == (whole, [])


# By hand, as SQLite does.


def test_by_hand_the_same_is_found(path: Path) -> None:
    with Peek(path) as peek, Salvage(path) as salvage:
        assert list(salvage.batches(0)) == list(peek.batches(0))
        assert list(salvage.batches(100)) == list(peek.batches(100))
        assert list(salvage.pages()) == list(peek.pages())
        assert salvage.snapshot() == peek.snapshot()
        assert salvage.base() is peek.base() is None
        assert salvage.size() >= peek.size()
        first = next(peek.pages()).number
        assert salvage.page(first) == peek.page(first)
        assert salvage.page(first + 1) is peek.page(first + 1) is None
        assert list(salvage.pages(first)) == list(peek.pages(first))


def test_what_is_in_the_wal_alone_is_found(path: Path, tmp_path: Path) -> None:
    one = journal(path)
    one.now += 10**6
    batch(one, ("udp 7", Join("Late")))
    batch(one, *[("udp 7", Send("long " * 700))] * 9)
    one.rest()
    whole = list(one.journal._storage.batches(0))
    snapshot = one.journal._storage.snapshot()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, copy)
    one.journal.close()
    copied = copy / path.name
    with RawFile(copied) as raw:
        assert raw.frames
    for reading in (Peek(copied), Salvage(copied)):
        with reading:
            assert list(reading.batches(0)) == whole
            assert reading.snapshot() == snapshot
    assert rows(copied) == whole
    # Of a WAL that is damaged, what is before that counts.
    wal = copied.with_name(copied.name + "-wal")
    flipped(wal, wal.stat().st_size - 100)
    with Salvage(copied) as salvage:
        assert list(salvage.batches(0)) == whole
        assert salvage.snapshot() != snapshot


@pytest.mark.parametrize("at", [5, 17, 32 + 8, 32 + 24 + 5_000])
def test_what_sqlite_does_not_find_in_a_damaged_wal_is_missed(
    at: int, path: Path, tmp_path: Path
) -> None:
    """For SQLite, it ends where it is damaged; and it is nothing at all if its header is."""
    one = journal(path)
    one.now += 10**6
    batch(one, ("udp 7", Join("Late")))
    for number in range(5):
        batch(one, *[("udp 7", Send(f"{number} ".ljust(3_500, "x")))] * 9)
    whole = list(one.journal._storage.batches(0))
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, copied.parent)
    one.journal.close()
    flipped(copied.with_name(copied.name + "-wal"), at)
    before = fingerprint(copied)
    with pytest.raises(Damaged, match="the WAL is damaged behind batch 173"):
        open_journal(copied, lambda call, *arguments: call(*arguments))
    with Peek(copied) as peek, pytest.raises(Damaged, match="the WAL is damaged"):
        list(peek.batches(0))
    found, gaps, _ = read(copied)
    assert found == whole
    why = "the WAL is damaged behind batch 173"
    assert gaps == [f"what followed batch {len(whole)}, if anything, cannot be read: {why}"]
    assert verify(copied).lost == gaps
    assert fingerprint(copied) == before


def test_what_was_in_the_wal_before_is_no_damage(path: Path, tmp_path: Path) -> None:
    """SQLite begins at its start again, and what was written before stays behind."""
    one = journal(path)
    for number in range(30):
        batch(one, *[("udp 1", Send(f"{number} ".ljust(3_500, "x")))] * 3)
    storage = one.journal._storage
    assert isinstance(storage, Quick)
    storage.connection.execute("PRAGMA wal_checkpoint(RESTART)")
    batch(one, ("udp 1", Send("the first at the start again")))
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, copied.parent)
    one.journal.close()
    with RawFile(copied) as raw:
        assert len(raw.frames) < 10
        assert len(raw.beyond(0)) == 30
        assert raw.proven(204) <= 204
    assert len(rows(copied)) == 204
    assert verify(copied).whole
    open_journal(copied, lambda call, *arguments: call(*arguments)).close()
    assert len(rows(copied)) == 204


def test_a_last_write_that_was_not_finished_is_no_damage(path: Path, tmp_path: Path) -> None:
    one = journal(path)
    for text in ("stored", "perhaps"):
        batch(one, ("udp 1", Send(text)))
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, copied.parent)
    one.journal.close()
    wal = copied.with_name(copied.name + "-wal")
    flipped(wal, wal.stat().st_size - PAGE - 8)  # in a checksum of SQLite's
    with RawFile(copied) as raw:
        assert [row.number for row in raw.beyond(174)] == [175]
    assert len(rows(copied)) == 174
    assert verify(copied).whole
    open_journal(copied, lambda call, *arguments: call(*arguments)).close()
    assert len(rows(copied)) == 174


def test_of_two_writes_with_one_number_that_is_taken_which_the_next_follows(
    path: Path, tmp_path: Path
) -> None:
    """One has failed, and was made void; its remains are behind the other."""
    long = [("udp 1", Send("long " * 700))] * 9
    found = []
    for name, texts in (("void", long), ("other", [("udp 1", Send("short"))])):
        copied = tmp_path / name / path.name
        copied.parent.mkdir()
        shutil.copy(path, copied)
        one = journal(copied)
        batch(one, *texts)
        batch(one, ("udp 1", Send("after")))
        found.append(list(one.journal._storage.batches(173)))
        one.journal.close()
    (void, _), (right, after) = found
    assert void.number == right.number == 174
    assert rawfile._chosen({void, right, after}) == [right, after]


@pytest.mark.parametrize("content", [b"", b"\0" * 31, b"\x37\x7f\x06\x82" + bytes(100)])
def test_what_is_no_wal_is_left_out(path: Path, content: bytes) -> None:
    path.with_name(path.name + "-wal").write_bytes(content)
    assert len(rows(path)) == 173


@pytest.mark.skipif(os.name != "posix", reason="needs a symbolic link")
def test_through_a_link_the_wal_is_found_too(path: Path, tmp_path: Path) -> None:
    one = journal(path)
    batch(one, ("udp 7", Join("Late")))
    link = tmp_path / "folder" / "link"
    link.parent.mkdir()
    link.symlink_to(path)
    found = rows(link)
    assert found == list(one.journal._storage.batches(0))
    assert found[-1].number == 174
    one.journal.close()


@pytest.fixture
def killed(path: Path, tmp_path: Path) -> Path:
    """A journal whose server was killed."""
    one = journal(path)
    batch(one, ("udp 7", Join("Late")))
    copied = tmp_path / "killed" / path.name
    copied.parent.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, copied.parent)
    one.journal.close()
    return copied


def test_who_checks_has_the_lock_meanwhile(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a server that starts would wait for SQLite's locks, and give up."""
    held: list[bool] = []
    check = SQLiteReading.check

    def looking(self: SQLiteReading) -> None:
        held.append(is_served(killed))
        check(self)

    monkeypatch.setattr(SQLiteReading, "check", looking)
    with Reader(killed) as reader:
        reader.check()
        with contextlib.closing(lock(killed)):
            reader.check()  # leaves it to who has it
    assert held == [True]
    assert not is_served(killed)


def test_what_cannot_be_written_beside_is_checked_all_the_same(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a medium that is read-only, SQLite cannot open it. The rows are read without it."""
    before = sorted(killed.parent.iterdir())
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert verify(killed).whole
    assert sorted(killed.parent.iterdir()) == before


# Whether it is one at all.


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / "none")
    (tmp_path / "text").write_text("not mine\n" * 10_000)
    with pytest.raises(Unusable, match="is not a journal"):
        Reader(tmp_path / "text")
    (tmp_path / "short").write_text("not mine\n")
    with pytest.raises(Unusable, match="is not a journal"):
        Reader(tmp_path / "short")


def test_one_from_a_newer_version_is_not_guessed_at(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(Newer):
        Reader(path)


def test_one_whose_first_bytes_are_gone_is_known_by_its_batches(path: Path) -> None:
    whole = rows(path)
    with path.open("rb+") as file:
        file.write(bytes(100))
    found, gaps, troubles = read(path)
    assert (found, gaps) == (whole, [])
    assert troubles == [f"{path} is not a journal of groupchat, by its first bytes"]


@pytest.mark.parametrize("size", [512, 4_096, 16_384])
def test_the_size_of_pages_that_the_header_says_is_not_believed(path: Path, size: int) -> None:
    whole = rows(path)
    with path.open("rb+") as file:
        file.seek(16)
        file.write(size.to_bytes(2, "big"))
    found, gaps, _ = read(path)
    assert (found, gaps) == (whole, [])


def test_one_with_other_tables(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TABLE batches")
    connection.close()
    assert read(path)[2] == ["its tables are not what they were"]


# Beside a server.


def test_while_a_server_writes(tmp_path: Path) -> None:
    """Whatever it does: everything that was there at the beginning is read, and nothing wrong."""
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "--no-limits", "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        stop = threading.Event()
        said = [0]

        def talk() -> None:
            while not stop.is_set():
                requests = [b"2 %d %b\n" % (said[0] + n, b"x" * 3_000) for n in range(30)]
                alice.socket.sendall(b"".join(requests))
                for _ in requests:
                    assert alice.receive() == b""
                said[0] += len(requests)

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            while said[0] < 4_000:  # some checkpoints
                before = said[0]
                found, gaps, troubles = read(path)
                assert not gaps
                assert not troubles
                assert sum(row.body.count(b"\t2 ") for row in found) >= before
                assert [row.number for row in found] == list(range(1, len(found) + 1))
        finally:
            stop.set()
            talker.join()
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            "chat.journal",
            "chat.journal-lock",
            "chat.journal-wal",
        ]
        server.program.process.kill()
        server.program.wait()
    found, gaps, troubles = read(path)
    assert not gaps + troubles
    assert sum(row.body.count(b"\t2 ") for row in found) == said[0]


@pytest.fixture
def served(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A journal whose lock somebody has."""
    monkeypatch.setattr(reader_module, "_PAUSE_SECONDS", 0)
    held = lock(path)
    yield path
    held.close()


def test_what_looks_damaged_beside_a_server_is_looked_at_again(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = served.read_bytes()
    with Salvage(served) as salvage:
        snapshot = salvage.snapshot()
    assert snapshot
    flipped(served, where(served, snapshot) + 3)
    looks: list[int] = []

    class Mending(Peek):
        def __init__(self, path: Path) -> None:
            looks.append(1)
            if len(looks) == 4:
                path.write_bytes(whole)
            super().__init__(path)

    monkeypatch.setattr(reader_module, "Peek", Mending)
    with Reader(served) as reader:
        assert reader.served
        assert reader.snapshot() is not None
    assert len(looks) == 4


def test_what_is_damaged_beside_a_server_is_found_to_be(served: Path) -> None:
    whole = rows(served)
    flipped(served, where(served, whole[20]) + 50)
    found, gaps, _ = read(served)
    assert gaps == ["batch 21 is damaged or missing (10 records)"]
    assert len(found) == 172


def test_what_a_server_lets_go_of_meanwhile_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "_PAUSE_SECONDS", 0)
    path = tmp_path / "chat.journal"
    one = journal(path, Retention(milliseconds=100_000))
    many(one, 3_000, size=300, a_batch=2)
    put_into_the_file(one)
    held = lock(path)
    with Reader(path) as reader:
        log = reader.log()
        assert isinstance(next(log), Row)
        one.now += 10_000_000
        settle(one)
        put_into_the_file(one)
        batch(one, ("udp 1", Send("the last")))
        rest = list(log)
        (removed,) = [row for row in rest if not isinstance(row, Row)]
        assert isinstance(removed, Removed)
        assert removed.base == reader.base()
        last = rest[-1]
        assert isinstance(last, Row)
        assert last.body.endswith(b"2 the last")
    held.close()
    one.journal.close()


def settle(one: Keeper) -> None:
    while one.tick():
        pass


def test_progress_is_told(path: Path) -> None:
    told: list[int] = []
    flipped(path, where(path, rows(path)[100]) + 50)
    with Reader(path, told.append) as reader:
        list(reader.log())
    assert sum(told) >= path.stat().st_size
