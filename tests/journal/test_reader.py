"""Reading what there is: whether it is a journal at all, and beside a server that writes."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.journal import Unusable
from groupchat.journal import reader as reader_module
from groupchat.journal.files import Newer, is_served, lock
from groupchat.journal.peek import Peek
from groupchat.journal.rawfile import RawFile
from groupchat.journal.reader import Reader, Removed
from groupchat.journal.retention import Retention
from groupchat.journal.salvage import Salvage
from groupchat.journal.sqlite import SQLiteReading
from groupchat.journal.storage import Row
from groupchat.journal.verification import verify
from tests.journal.looking import read, rows, various, where
from tests.journal.making import (
    Keeper,
    batch,
    copy_of,
    fingerprint,
    flipped,
    journal,
    many,
    put_into_the_file,
)
from tests.processes import eventually, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return various(tmp_path / "chat.journal")


def test_a_whole_journal_is_read_without_a_trace(path: Path) -> None:
    before = fingerprint(path)
    assert [row.number for row in rows(path)] == list(range(1, 174))
    assert fingerprint(path) == before
    assert list(path.parent.iterdir()) == [path]


def test_progress_is_told(path: Path) -> None:
    told: list[int] = []
    flipped(path, where(path, rows(path)[100]) + 50)
    with Reader(path, told.append) as reader:
        list(reader.log())
    assert sum(told) >= path.stat().st_size


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


# Beside others.


@pytest.fixture
def killed(path: Path, tmp_path: Path) -> Path:
    """A journal whose server was killed."""
    one = journal(path)
    batch(one, ("udp 7", Join("Late")))
    copied = copy_of(path, tmp_path / "killed")
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
            while said[0] < 1_500:  # a few checkpoints
                before = said[0]
                found, gaps, troubles = read(path)
                assert not gaps
                assert not troubles
                assert sum(row.body.count(b"\t2 ") for row in found) >= before
                assert [row.number for row in found] == list(range(1, len(found) + 1))
                # To read leaves the other thread little of this process.
                eventually(lambda: said[0] > before)  # noqa: B023  it is called now
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


@pytest.mark.parametrize("look", [1, 2])
def test_a_wal_that_a_server_has_begun_anew_is_looked_at_again(
    served: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    """Then what lies where its first page was is any other."""
    looks: list[int] = []

    def header(raw: RawFile) -> bytes:
        looks.append(1)
        return b"\5\0\0\0~" * 20 if len(looks) == look else true_header(raw)

    true_header = RawFile.header
    monkeypatch.setattr(RawFile, "header", header)
    found, gaps, troubles = read(served)
    assert not gaps + troubles
    assert len(found) == len(rows(served)) > 100
    assert len(looks) > look


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
