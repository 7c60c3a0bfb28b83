"""What may not be written, or cannot, is an error, and is left as it was."""

import ctypes
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from groupchat.journal import SQLiteStorage, files
from tests.journal.making import fingerprint
from tests.journal.opening import call, listing, open_


def opened_by_another(path: Path) -> str:
    """Have another process open the journal *path*, one that may not do whatever it likes; return
    what it says."""
    code = (
        "import sys, pathlib; from groupchat.journal import open_journal\n"
        "try: open_journal(pathlib.Path(sys.argv[1]), lambda f, *a: f(*a)).close()\n"
        "except OSError as error: print('OSError:', error.strerror or error)\n"
        "else: print('opened')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=mortal,
    )
    return done.stdout.strip()


def mortal() -> None:
    """In a process of root's, which is to become a program: let go of the right to disregard
    permissions."""
    if os.getuid() == 0:
        for right in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            ctypes.CDLL(None).prctl(24, right)  # PR_CAPBSET_DROP


MORTAL = pytest.mark.skipif(
    os.name != "posix" or (os.getuid() == 0 and sys.platform != "linux"),
    reason="root may do anything here",
)


@MORTAL
def test_a_folder_that_is_not_writable_is_an_error(path: Path) -> None:
    path.parent.chmod(0o555)
    assert opened_by_another(path) == "OSError: Permission denied"
    assert list(path.parent.iterdir()) == []
    path.parent.chmod(0o755)
    assert opened_by_another(path) == "opened"


@MORTAL
def test_a_folder_in_which_nothing_can_be_made_is_an_error(path: Path) -> None:
    path.parent.chmod(0o555)
    assert opened_by_another(path.parent / "new" / "chat.journal") == "OSError: Permission denied"
    path.parent.chmod(0o755)


@MORTAL
def test_a_journal_in_a_folder_that_is_not_writable_any_more_is_an_error(made: Path) -> None:
    whole = listing(made.parent)
    made.parent.chmod(0o555)
    assert opened_by_another(made) == "OSError: Permission denied"
    made.parent.chmod(0o755)
    assert listing(made.parent) == whole


@MORTAL
def test_a_journal_that_is_not_writable_is_an_error(made: Path) -> None:
    before = fingerprint(made)
    for mode in (0o444, 0):
        made.chmod(mode)
        assert opened_by_another(made) == "OSError: Permission denied"
    made.chmod(0o600)
    assert fingerprint(made) == before
    assert opened_by_another(made) == "opened"


@MORTAL
def test_a_lock_that_is_read_only_is_an_error(made: Path) -> None:
    """For it would be shared."""
    beside = made.with_name(made.name + "-lock")
    beside.touch()
    beside.chmod(0o444)
    assert "-lock: attempt to write a readonly database" in opened_by_another(made)
    beside.chmod(0o600)
    assert opened_by_another(made) == "opened"


def test_a_disk_that_fails_from_the_start_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, made: sqlite3.Connection) -> None:
        made.close()
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("groupchat.journal.sqlite.publish", full)
    with pytest.raises(sqlite3.OperationalError):
        SQLiteStorage(path, call)
    monkeypatch.undo()
    open_(path).close()


@pytest.mark.parametrize("step", ["_TABLES", "_WAL_BYTES"])  # to make it, and to open it
def test_what_sqlite_refuses_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    opened: list[sqlite3.Connection] = []
    connect = files._connect

    def noted(path: Path, mode: str) -> sqlite3.Connection:
        opened.append(connect(path, mode))
        return opened[-1]

    open_(path).close()
    monkeypatch.setattr(files, "_connect", noted)
    monkeypatch.setattr(files, step, "(")
    with pytest.raises(OSError, match="syntax error"):
        files.connect(path, "rw") if step == "_WAL_BYTES" else files.create(path)
    (connection,) = opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_what_cannot_be_published_is_closed(path: Path) -> None:
    made = files.create(path)
    made.execute("BEGIN IMMEDIATE")
    with pytest.raises(OSError, match="transaction"):
        files.publish(path, made)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made.execute("SELECT 1")
    assert not path.exists()


def test_a_disk_that_fails_when_it_is_all_but_open_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = files.connect

    def fails(path: Path, mode: str) -> sqlite3.Connection:
        if mode == "ro":
            raise OSError("disk I/O error")
        return connect(path, mode)

    monkeypatch.setattr("groupchat.journal.sqlite.connect", fails)
    with pytest.raises(OSError, match="disk I/O error"):
        open_(path)
    monkeypatch.undo()
    open_(path).close()


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        open_(tmp_path / "file" / "chat.journal")
    assert (tmp_path / "file").read_text() == "mine"
