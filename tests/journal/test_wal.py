"""The WAL, read by hand as SQLite does: what is in it alone, what of it is damaged, and what is
not.
"""

import os
import shutil
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.journal import Damaged, rawfile
from groupchat.journal.peek import Peek
from groupchat.journal.rawfile import RawFile
from groupchat.journal.salvage import Salvage
from groupchat.journal.verification import verify
from tests.journal.looking import PAGE, read, rows, various
from tests.journal.making import Quick, batch, copy_of, fingerprint, flipped, journal
from tests.journal.opening import open_


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return various(tmp_path / "chat.journal")


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
    copied = copy_of(path, tmp_path / "copy")
    one.journal.close()
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
    copied = copy_of(path, tmp_path / "copy")
    one.journal.close()
    flipped(copied.with_name(copied.name + "-wal"), at)
    before = fingerprint(copied)
    with pytest.raises(Damaged, match="the WAL is damaged behind batch 173"):
        open_(copied)
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
    copied = copy_of(path, tmp_path / "copy")
    one.journal.close()
    with RawFile(copied) as raw:
        assert len(raw.frames) < 10
        assert len(raw.beyond(0)) == 30
        assert raw.proven(204) <= 204
    assert len(rows(copied)) == 204
    assert verify(copied).whole
    open_(copied).close()
    assert len(rows(copied)) == 204


def test_a_last_write_that_was_not_finished_is_no_damage(path: Path, tmp_path: Path) -> None:
    one = journal(path)
    for text in ("stored", "perhaps"):
        batch(one, ("udp 1", Send(text)))
    copied = copy_of(path, tmp_path / "copy")
    one.journal.close()
    wal = copied.with_name(copied.name + "-wal")
    flipped(wal, wal.stat().st_size - PAGE - 8)  # in a checksum of SQLite's
    with RawFile(copied) as raw:
        assert [row.number for row in raw.beyond(174)] == [175]
    assert len(rows(copied)) == 174
    assert verify(copied).whole
    open_(copied).close()
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
