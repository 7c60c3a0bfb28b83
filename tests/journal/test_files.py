"""The files: what is taken for a journal, who may have it, and that nothing else is touched."""

import ctypes
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.core.records import Record
from groupchat.journal import Damaged, DurableJournal, SQLiteStorage, Unusable, files, open_journal
from groupchat.journal.compaction import compact
from groupchat.journal.files import Look, Newer, create, inspect, is_served, publish
from groupchat.journal.peek import Peek
from groupchat.journal.reader import Reader
from groupchat.journal.sqlite import SQLiteReading
from tests.journal.making import conversation, fingerprint, flipped, journal, lines

POSIX = pytest.mark.skipif(os.name != "posix", reason="Unix alone has such files")


def call(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.journal"


@pytest.fixture
def made(path: Path) -> Path:
    """A journal with a conversation in it, and no WAL."""
    one = journal(path)
    conversation(one)
    one.rest()
    one.journal.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture
def killed(made: Path, tmp_path: Path) -> Path:
    """A journal whose server was killed: a part of it is in the WAL."""
    one = journal(made)
    one.keep(Record(one.now, "udp 9", 0, (Join("Last"),), 1_024))
    folder = tmp_path / "killed"
    folder.mkdir()
    copy = folder / made.name
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(
            made.with_name(made.name + suffix).read_bytes()
        )
    one.journal.close()
    assert copy.with_name(copy.name + "-wal").stat().st_size > 0
    return copy


def open_(path: Path) -> DurableJournal:
    return open_journal(path, call)


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


def test_one_row_holds_a_batch(made: Path) -> None:
    with sqlite3.connect(made) as reading:
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
    def killed(*_: object) -> None:
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
    assert lines(open_(killed).chat).endswith(b"Last has joined\n")


# Who has it.


def test_a_second_server_is_refused(made: Path) -> None:
    one = open_(made)
    before = fingerprint(made)
    with pytest.raises(Unusable, match=r"in use; is a server running already\? Stop it, or choose"):
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


# What is none.


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


def first_page_alone(path: Path) -> None:
    one = journal(path)
    one.journal.close()
    path.write_bytes(path.read_bytes()[:100].ljust(100))


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


def listing(folder: Path) -> dict[str, bytes | None]:
    return {
        str(file): file.read_bytes() if stat.S_ISREG(file.stat().st_mode) else None
        for file in folder.rglob("*")
    }


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
    newer = tmp_path / "newer" / killed.name
    newer.parent.mkdir()
    for suffix in ("", "-wal"):
        newer.with_name(newer.name + suffix).write_bytes(
            killed.with_name(killed.name + suffix).read_bytes()
        )
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


@POSIX
def test_a_path_that_is_too_long_for_sqlite_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unable to open"):
        open_(tmp_path.joinpath(*["folder" * 20] * 5) / "chat.journal")


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


# What may not be written.


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
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("groupchat.journal.sqlite.publish", full)
    with pytest.raises(sqlite3.OperationalError):
        SQLiteStorage(path, call)
    monkeypatch.undo()
    open_(path).close()


def test_a_journal_can_be_deep_in_folders_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "c?d#e%f" / "chat.journal"
    open_(path).close()
    assert inspect(path)
    one = open_(path)
    results: list[OSError | None] = []
    one.append([Record(1, "udp 1", 0, (Join("A"), Send("x")), 1_024)], results.append)
    one.close()
    assert lines(open_(path).chat).count(b"\n") == 2


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        open_(tmp_path / "file" / "chat.journal")
    assert (tmp_path / "file").read_text() == "mine"
