"""The files: what is made and left, who may have them, and that to look leaves no trace."""

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.core.records import Record
from groupchat.journal import Damaged, SQLiteStorage, Unusable, files
from groupchat.journal import sqlite as sqlite_storage
from groupchat.journal.compaction import compact
from groupchat.journal.files import InUse, Look, create, inspect, is_served, publish
from groupchat.journal.peek import Peek
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Write
from tests.journal.making import fingerprint, lines
from tests.journal.opening import call, listing, open_
from tests.processes import DEADLINE, eventually

POSIX = pytest.mark.skipif(os.name != "posix", reason="Unix alone has such files")


# What it makes.


def test_a_new_journal_is_private_and_so_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chat.journal"
    one = open_(path)
    results: list[OSError | None] = []
    one.append([Record(1, "udp 1", 0, (Join("A"),), 1_024)], results.append)
    one.close()
    assert results == [None]
    one = open_(path)
    made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert made == dict.fromkeys(["chat.journal", "chat.journal-lock", "chat.journal-wal"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    one.close()
    # In peace, all of it is in one file again.
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["chat.journal", "chat.journal-lock"]


def test_it_is_written_as_safely_as_sqlite_can(path: Path) -> None:
    storage = SQLiteStorage(path, call)
    storage.begin()
    writing = storage._writing
    assert writing is not None
    assert writing.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
    assert writing.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    storage.close()


def test_a_disk_that_does_not_answer_is_not_waited_for_at_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = threading.Event()
    put = sqlite_storage.put

    def slow(connection: sqlite3.Connection, what: Write) -> None:
        assert answers.wait(DEADLINE)
        put(connection, what)

    monkeypatch.setattr(sqlite_storage, "put", slow)
    monkeypatch.setattr(sqlite_storage, "_CLOSE_SECONDS", 0.05)
    one = open_(path)
    results: list[OSError | None] = []
    one.append([Record(1, "udp 1", 0, (Join("A"),), 1_024)], results.append)
    one.close()
    expected = "the disk does not answer; what was not answered may be stored or not"
    assert caplog.messages == [expected]
    assert results == []
    with pytest.raises(InUse):  # for it may still be stored
        open_(path)
    answers.set()
    eventually(lambda: "journal" not in [thread.name for thread in threading.enumerate()])
    assert results == [None]
    storage = one._storage
    assert isinstance(storage, SQLiteStorage)
    storage._lock.close()  # which only the end of a process does


def test_one_row_holds_a_batch(made: Path) -> None:
    with contextlib.closing(sqlite3.connect(made)) as reading:
        ((count, text),) = reading.execute("SELECT count(*), min(body) FROM batches").fetchall()
    assert count == 12
    assert text.startswith("1 0 0 0\n1763848800000\tudp 1\t0\t1024\t1 Alice\n")


@POSIX
def test_a_new_one_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []

    def fsync(file: int) -> None:
        synced.append((os.fstat(file).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    publish(path, create(path))
    assert synced == [(path.stat().st_ino, False), (path.parent.stat().st_ino, True)]


def test_what_was_left_of_one_that_was_being_made_is_no_problem(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path, made: sqlite3.Connection) -> None:
        made.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("groupchat.journal.sqlite.publish", killed)
        with pytest.raises(KeyboardInterrupt):
            SQLiteStorage(path, call)
    assert not path.exists()
    for suffix in ("-new-wal", "-new-journal", "-new-shm"):
        path.with_name(path.name + suffix).write_bytes(b"nonsense" * 1_000)
    open_(path).close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["chat.journal", "chat.journal-lock"]


def test_what_a_killed_compaction_was_making_is_removed(made: Path) -> None:
    create(made).close()
    open_(made).close()
    assert sorted(file.name for file in made.parent.iterdir()) == [made.name, f"{made.name}-lock"]


def test_a_file_of_somebody_s_own_is_not_removed(made: Path) -> None:
    mine = made.with_name(made.name + "-new")
    mine.write_bytes(b"my own notes")
    open_(made).close()
    before = fingerprint(made)
    with pytest.raises(Unusable, match="-new is not a journal"):
        compact(made)
    assert fingerprint(made) == before
    assert mine.read_bytes() == b"my own notes"


def test_what_a_killed_server_has_written_last_is_there(killed: Path) -> None:
    one = open_(killed)
    assert lines(one.chat).endswith(b"Last has joined\n")
    one.close()
    one = open_(killed)
    assert lines(one.chat).endswith(b"Last has joined\n")
    one.close()


def test_a_journal_can_be_deep_in_folders_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "c?d#e%f" / "chat.journal"
    open_(path).close()
    assert inspect(path)
    one = open_(path)
    results: list[OSError | None] = []
    one.append([Record(1, "udp 1", 0, (Join("A"), Send("x")), 1_024)], results.append)
    one.close()
    one = open_(path)
    assert lines(one.chat).count(b"\n") == 2
    one.close()


# Who has it.


def test_a_second_server_is_refused(made: Path) -> None:
    one = open_(made)
    before = fingerprint(made)
    with pytest.raises(Unusable, match="in use; is a server running already, or"):
        open_(made)
    assert fingerprint(made) == before
    assert is_served(made)
    one.close()
    assert not is_served(made)
    open_(made).close()


@POSIX
def test_it_is_refused_by_another_name_too(made: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made)
    one = open_(made)
    with pytest.raises(Unusable, match="in use"):
        open_(tmp_path / "link")
    one.close()
    open_(tmp_path / "link").close()
    assert (tmp_path / "link").is_symlink()


@POSIX
def test_a_file_with_two_names_is_refused(killed: Path) -> None:
    """Its lock and its WAL go by one of them."""
    other = killed.with_name("other.journal")
    other.hardlink_to(killed)
    before = listing(killed.parent)
    for name in (killed, other):
        for use in (open_, compact):
            with pytest.raises(Unusable, match=r"by a hard link\); remove all its names but one"):
                use(name)
    assert listing(killed.parent) == before
    other.unlink()
    open_(killed).close()


def test_a_journal_that_does_not_open_is_let_go_of(made: Path) -> None:
    whole = made.read_bytes()
    made.write_bytes(whole[:-8_192])
    for _ in range(2):
        with pytest.raises(Damaged):
            open_(made)
    made.write_bytes(whole)
    open_(made).close()


# Looks.


@pytest.mark.parametrize("which", ["made", "killed"])
def test_to_look_leaves_no_trace(which: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    before = listing(path.parent)
    found = Look(path)
    reading = SQLiteReading(found.connection)
    assert len(list(reading.batches(0))) == 12 + (which == "killed")
    reading.check()
    found.close()
    assert listing(path.parent) == before
    with Peek(path) as peek:
        assert len(list(peek.batches(0))) == 12 + (which == "killed")
        assert listing(path.parent) == before  # at no time


def test_inspecting_says_whether_anything_is_there(made: Path, path: Path) -> None:
    assert inspect(made)
    assert not inspect(path.with_name("other"))
    assert files.FORMAT == 1
