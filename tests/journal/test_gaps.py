"""Reading a damaged journal: what cannot be read is a gap, and costs nothing else."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.journal import Damaged
from groupchat.journal.compaction import compact
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Row
from groupchat.journal.verification import verify
from tests.journal.looking import PAGE, read, rows, various, where
from tests.journal.making import conversation, fingerprint, flipped, journal, many


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return various(tmp_path / "chat.journal")


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
