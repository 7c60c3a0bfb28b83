"""What is no journal, or not of this version, is refused without a trace."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groupchat.journal import Damaged, Unusable
from groupchat.journal.compaction import compact
from groupchat.journal.files import Newer
from groupchat.journal.reader import Reader
from tests.journal.making import copy_of, fingerprint, flipped, journal
from tests.journal.opening import listing, open_


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 1_000)


def nothing(path: Path) -> None:
    path.touch()


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(50))


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()


def other_database_in_use(path: Path) -> None:
    """Its -wal stays, for it is never closed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE batches (number INTEGER PRIMARY KEY, body, checksum)")
    OPEN.append(connection)


OPEN: list[sqlite3.Connection] = []


def empty_folder(path: Path) -> None:
    path.mkdir()


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("mine")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def version(number: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        journal(path).journal.close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"PRAGMA user_version={number}")
        connection.close()

    return make


def only_a_wal(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"the newest messages")


FOREIGN: list[tuple[Callable[[Path], None], str]] = [
    (text_file, "is not a journal of groupchat; choose another --journal"),
    (nothing, "is empty; if it should be, remove it, or choose another --journal"),
    (short, "is not a journal of groupchat"),
    (other_database, "is not a journal of groupchat"),
    (other_database_in_use, "is not a journal of groupchat"),
    (empty_folder, "is not a file; choose another --journal"),
    (full_folder, "is not a file"),
    (version(2), r"from a newer groupchat \(format 2, and this one reads 1\); upgrade, or choose"),
    (version(0), "is not a journal of groupchat"),
    (version(2_000_000), "is not a journal of groupchat"),
    (only_a_wal, "is gone, but its newest part, .*-wal, is there; put the first back"),
]
if os.name == "posix":
    FOREIGN += [(pipe, "is not a file"), (device, "is not a file")]


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.mark.parametrize(("make", "message"), FOREIGN)
def test_what_is_no_journal_is_refused_without_a_trace(
    make: Callable[[Path], None], message: str, path: Path
) -> None:
    make(path)
    before = listing(path.parent)
    with pytest.raises(Unusable, match=message):
        open_(path)
    assert listing(path.parent) == before  # not even a lock


def test_tables_that_are_not_ours_are_damage(made: Path) -> None:
    connection = sqlite3.connect(made, isolation_level=None)
    connection.execute("CREATE TABLE more (a)")
    connection.close()
    before = fingerprint(made)
    with pytest.raises(Damaged, match="its tables are not what they were"):
        open_(made)
    assert fingerprint(made) == before


def test_a_newer_version_is_noticed_in_the_wal_too(killed: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(killed, isolation_level=None)
    connection.execute("PRAGMA user_version=2")
    newer = copy_of(killed, tmp_path / "newer")
    connection.close()
    before = fingerprint(newer)
    for use in (open_, compact, Reader):
        with pytest.raises(Newer, match="format 2"):
            use(newer)
    assert fingerprint(newer) == before


@pytest.mark.parametrize("at", [18, 19])
@pytest.mark.parametrize("change", [1, 3, 64])
def test_a_byte_that_says_how_sqlite_is_to_write(killed: Path, at: int, change: int) -> None:
    flipped(killed, at, change)
    before = fingerprint(killed)
    with pytest.raises(Damaged, match="its first bytes are not what they were"):
        open_(killed)
    assert fingerprint(killed) == before
    with Reader(killed) as reader:
        assert len(list(reader.log())) >= 13


def test_a_lock_that_is_none(made: Path) -> None:
    made.with_name(made.name + "-lock").mkdir()
    with pytest.raises(OSError, match="-lock: unable to open"):
        open_(made)
    for use in (Reader, compact, open_):
        with pytest.raises(Unusable, match="is not a file"):
            use(Path("/"))


@pytest.mark.skipif(os.name != "posix", reason="Unix alone has such files")
def test_a_path_that_is_too_long_for_sqlite_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unable to open"):
        open_(tmp_path.joinpath(*["folder" * 20] * 5) / "chat.journal")
