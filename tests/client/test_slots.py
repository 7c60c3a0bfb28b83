"""The files in which sessions are kept."""

import errno
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from groupchat.client import lock, statefile
from groupchat.client.address import Address
from groupchat.client.failures import Over
from groupchat.client.slots import Slot
from groupchat.client.statefile import FILE_BYTES
from groupchat.core.sessions.saved import Saved
from tests.transports.recorder import POSIX

SERVER = "example.org:12345"
SAVED = Saved("0123456789abcdef" * 2, 7, 20, joined=True, commands=("2 grüß €".encode(),), said=3)


@pytest.fixture
def told() -> list[str]:
    """What people were told."""
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


class Taker:
    """Takes slots, and lets go of all of them at the end."""

    def __init__(self, folder: Path, told: list[str]) -> None:
        self.folder = folder
        self.told = told
        self.slots: list[Slot] = []

    def __call__(self, server: str = SERVER, *, name: str | None = None, new: bool = False) -> Slot:
        told = self.told.append
        self.slots.append(Slot.take(self.folder, server, told, name=name, new=new))
        return self.slots[-1]

    def used(self, saved: Saved = SAVED, name: str = "Alice", age: int = 0) -> Slot:
        """Take a new slot, write into it as of *age* seconds ago, and let go of it."""
        slot = self(new=True)
        slot.name = name
        slot.write(saved)
        slot.close()
        path = max(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        when = 1_700_000_000 - age
        os.utime(path, (when, when))
        return slot


@pytest.fixture
def take(folder: Path, told: list[str]) -> Iterator[Taker]:
    taker = Taker(folder, told)
    yield taker
    for slot in taker.slots:
        slot.close()


def test_what_is_written_is_there_for_the_next(take: Taker, told: list[str]) -> None:
    with take() as slot:
        assert (slot.saved, slot.name, slot.kept) == (None, "", True)
        slot.name = "Älïcé 🦊"
        slot.write(SAVED)
        slot.write(evolve(SAVED, number=8))
    with take() as slot:
        assert (slot.saved, slot.name) == (evolve(SAVED, number=8), "Älïcé 🦊")
    assert told == []


def test_of_two_at_the_same_time_each_has_a_slot_of_its_own(take: Taker) -> None:
    first, second = take(), take()
    first.write(SAVED)
    second.write(evolve(SAVED, number=99))
    first.close()
    second.close()
    assert {take().saved, take().saved} == {SAVED, evolve(SAVED, number=99)}
    assert take().saved is None


def test_the_one_used_last_is_gone_on_with_if_it_is_free(take: Taker) -> None:
    for age, name in enumerate(["Carol", "Alice", "Bob"]):
        take.used(name=name, age=(age * 7) % 5)  # 0, 2, 4 seconds ago
    assert [take().name for _ in range(4)] == ["Carol", "Alice", "Bob", ""]


def test_a_new_session_can_be_wanted(take: Taker) -> None:
    take.used(name="Alice")
    assert take(new=True).saved is None
    assert take().name == "Alice"


def test_the_session_of_a_name_can_be_wanted(take: Taker, told: list[str]) -> None:
    for age, name in enumerate(["Carol", "Àlice  B", "Bob"]):
        take.used(name=name, age=age)
    assert take(name="àlice b").name == "Àlice  B"
    assert take(name="Dave").saved is None
    assert told == []
    assert take(name="Àlice B").saved is None
    assert told == ["Your session as Àlice  B is in use; this is a new one."]


def test_whose_join_was_under_way_has_that_name(take: Taker) -> None:
    joining = Saved("0" * 32, 1, 0, joined=False, commands=(b"1 Alice",))
    take.used(joining, name="")
    assert take(name="Bob").saved is None
    assert take(name="Alice").saved == joining


def test_servers_have_slots_of_their_own(take: Taker) -> None:
    with take("example.org:1") as slot:
        slot.write(SAVED)
    assert take("example.org:11").saved is None
    assert take("example.orga:1").saved is None
    assert take("example.org:1").saved == SAVED


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1:5"),
        ("Example.ORG", "example.org:5"),
        ("example.org.", "example.org:5"),
        ("::1", "[::1]:5"),
    ],
)
def test_a_server_is_called_the_same_however_it_is_written(host: str, name: str) -> None:
    assert Address("udp", host, 5).server == name


@pytest.mark.parametrize("host", ["::1", "../../etc", "a/b", "ä.example", "x" * 250, "a%2Fb", "*"])
def test_any_name_of_a_host_is_the_name_of_a_file(take: Taker, folder: Path, host: str) -> None:
    with take(Address("udp", host, 5).server) as slot:
        slot.write(SAVED)
    assert {path.parent for path in folder.rglob("*")} == {folder}
    assert take(Address("udp", host, 5).server).saved == SAVED


def test_nothing_is_left_when_nothing_is_kept(take: Taker, folder: Path) -> None:
    take().close()
    with take() as slot:
        slot.write(SAVED)
        slot.forget()
        assert (slot.saved, slot.name) == (None, "")
    assert list(folder.iterdir()) == []


def test_what_has_been_forgotten_can_be_written_anew(take: Taker) -> None:
    with take() as slot:
        slot.write(SAVED)
        slot.forget()
        slot.write(SAVED)
    assert take().saved == SAVED


def test_a_session_in_which_nothing_happened_is_not_gone_on_with(take: Taker) -> None:
    take.used(Saved("0" * 32, 0, 0, joined=False))
    assert take().saved is None


def test_a_join_that_was_under_way_is_gone_on_with(take: Taker) -> None:
    joining = Saved("0" * 32, 1, 0, joined=False, commands=(b"1 Alice",))
    take.used(joining)
    assert take().saved == joining


@POSIX
def test_files_are_private(take: Taker, folder: Path) -> None:
    before = os.umask(0)
    try:
        folder.mkdir(0o755)
        slot = take()
        slot.write(SAVED)
        modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes == {".json": 0o600, ".lock": 0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_people_can_read_a_file(take: Taker, folder: Path) -> None:
    take.used()
    (path,) = folder.glob("*.json")
    fields = json.loads(path.read_text("utf-8").splitlines()[-1])
    assert fields["groupchat session"] == 1
    assert fields["server"] == SERVER
    assert fields["name"] == "Alice"
    assert fields["commands"] == ["2 grüß €"]


def test_a_file_of_before_long_messages_went_on_is_read(take: Taker, folder: Path) -> None:
    take.used()
    (path,) = folder.glob("*.json")
    fields = json.loads(path.read_bytes())
    del fields["command"], fields["check"]
    path.write_text(json.dumps({**fields, "check": statefile._check(fields)}) + "\n")
    assert take().saved == SAVED


def test_the_whole_of_a_long_message_is_kept(take: Taker) -> None:
    long = evolve(SAVED, commands=(b"~0 2 gr",), command="2 grüß".encode())
    take.used(long)
    assert take().saved == long


def test_a_file_does_not_grow_for_ever(take: Taker, folder: Path) -> None:
    slot = take()
    for number in range(1_000):
        slot.write(evolve(SAVED, number=number))
    (path,) = folder.glob("*.json")
    assert path.stat().st_size <= FILE_BYTES
    slot.close()
    assert take().saved == evolve(SAVED, number=999)


# What is written is safe.


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the disk."""
    calls: list[str] = []
    replace, sync, sync_folder = Path.replace, statefile._sync, statefile._sync_folder

    def noted_sync(descriptor: int) -> None:
        calls.append("sync")
        sync(descriptor)

    def noted_folder(folder: Path) -> None:
        calls.append("sync folder")
        sync_folder(folder)

    def noted_replace(path: Path, target: Path) -> Path:
        calls.append(f"{path.suffix} takes the place of {target.suffix}")
        return replace(path, target)

    monkeypatch.setattr(statefile, "_sync", noted_sync)
    monkeypatch.setattr(statefile, "_sync_folder", noted_folder)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return calls


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    take: Taker, calls: list[str]
) -> None:
    take.used()
    calls.clear()
    slot = take()
    assert calls == []
    slot.write(evolve(SAVED, number=8))
    assert calls == ["sync", ".new takes the place of .json", "sync folder"]


def test_what_allows_a_new_request_is_on_the_disk_and_the_rest_need_not(
    take: Taker, calls: list[str]
) -> None:
    slot = take()
    slot.write(SAVED)
    for saved, waits in [
        (SAVED, False),  # it is there already
        (evolve(SAVED, number=8), True),
        (evolve(SAVED, number=8, position=30), False),
        (evolve(SAVED, number=8, position=30, commands=()), False),
        (evolve(SAVED, number=8, position=30, commands=(b"2 more",)), True),
        (evolve(SAVED, number=9, position=30, commands=()), True),
    ]:
        calls.clear()
        slot.write(saved)
        assert calls == (["sync"] if waits else [])
    slot.close()
    assert take().saved == saved


def test_a_line_that_was_not_written_to_its_end_does_not_count(
    take: Taker, folder: Path, told: list[str]
) -> None:
    with take() as slot:
        slot.write(SAVED)
        slot.write(evolve(SAVED, number=8))
    (path,) = folder.glob("*.json")
    data = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for size in range(ends[0], ends[1], 7):
        path.write_bytes(data[:size])
        with take() as slot:
            assert slot.saved == SAVED
    path.write_bytes(data)
    with take() as slot:
        assert slot.saved == evolve(SAVED, number=8)
    assert told == []


@pytest.mark.parametrize("when", ["_sync", "replace"])
def test_whoever_is_killed_while_he_begins_a_file_leaves_the_old_one(
    take: Taker, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    take.used()
    slot = take()
    with monkeypatch.context() as patch:
        if when == "_sync":
            patch.setattr(statefile, "_sync", die)
        else:
            patch.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            slot.write(evolve(SAVED, number=8))
    slot.close()
    with take() as slot:
        assert slot.saved == SAVED
        slot.write(evolve(SAVED, number=9))
    assert take().saved == evolve(SAVED, number=9)


LOCK = """
import sys
from pathlib import Path
from groupchat.client.slots import Slot
slot = Slot.take(Path(sys.argv[1]), sys.argv[2], print)
print(slot.name, flush=True)
sys.stdin.read()
"""


def test_a_slot_is_free_again_when_its_owner_has_been_killed(take: Taker, folder: Path) -> None:
    take.used(name="Alice")
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(folder), SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().split() == [b"Alice"]
        slot = take()
        assert slot.saved is None
        slot.close()
        other.kill()
        other.wait()
    assert take().name == "Alice"


def test_a_lock_file_that_was_removed_meanwhile_locks_nothing(
    take: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has removed it between our opening it and our locking it."""
    take_lock = lock._lock
    removed: list[Path] = []

    def late(descriptor: int) -> None:
        if not removed:
            (path,) = take.folder.glob("*.lock")
            path.unlink()
            removed.append(path)
        take_lock(descriptor)

    monkeypatch.setattr(lock, "_lock", late)
    slot = take()
    slot.write(SAVED)
    assert slot.kept
    assert [path.name for path in take.folder.glob("*.json")] == ["example.org_12345.2.json"]


def test_a_slot_that_was_filled_while_we_took_it_is_not_ours(
    take: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_lock = lock._lock
    filled: list[Path] = []

    def late(descriptor: int) -> None:
        if not filled:
            (path,) = take.folder.glob("*.lock")
            filled.append(path.with_suffix(".json"))
            filled[0].write_bytes(b"{}")
        take_lock(descriptor)

    monkeypatch.setattr(lock, "_lock", late)
    take().write(SAVED)
    assert filled[0].read_bytes() == b"{}"


@pytest.mark.parametrize("when", ["it is looked at", "it is opened"])
def test_a_session_that_its_owner_has_just_left_is_passed_over(
    take: Taker, told: list[str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    take.used()
    used, take_lock = Path.iterdir, lock._lock

    def late(folder: Path) -> Iterator[Path]:
        for path in list(used(folder)):
            path.unlink()
            yield path

    def later(descriptor: int) -> None:
        for path in take.folder.glob("*.json"):
            path.unlink()
        take_lock(descriptor)

    if when == "it is looked at":
        monkeypatch.setattr(Path, "iterdir", late)
    else:
        monkeypatch.setattr(lock, "_lock", later)
    assert take().saved is None
    assert told == []


# What is wrong.


def always(data: bytes) -> Callable[[bytes], bytes]:
    return lambda _: data


def with_fields(**fields: object) -> Callable[[bytes], bytes]:
    """Return what gives a file other fields, and the right checksum."""

    def damage(data: bytes) -> bytes:
        changed = {**json.loads(data), **fields}
        del changed["check"]
        return json.dumps({**changed, "check": statefile._check(changed)}).encode() + b"\n"

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        always(b""),
        lambda data: data[:-20],
        always(b"not json"),
        always(b"[1]"),
        always(b"{}"),
        lambda data: b"\xff" + data,
        always(b"[" * 100_000),
        lambda data: data.replace(b'"position": 20', b'"position": 21'),
        lambda data: data.replace(b'"check"', b'"chuck"'),
        with_fields(number="7"),
        with_fields(position=True),
        with_fields(name=None),
        with_fields(commands=[5]),
        with_fields(commands="5"),
        with_fields(token="x\n"),
        with_fields(said=None),
        lambda data: data.replace(b'"groupchat session": 1', b'"groupchat session": 0'),
        lambda data: data.replace(b'"groupchat session": 1', b'"groupchat session": "x"'),
    ],
    ids=[
        *["empty", "cut", "text", "a list", "nothing", "not UTF-8", "deep"],
        *["another position", "no checksum"],
        *["number", "position", "name", "command", "commands", "token", "said"],
        *["version 0", "no version"],
    ],
)
def test_a_damaged_file_is_one_line_and_is_put_aside(
    take: Taker, folder: Path, told: list[str], damage: Callable[[bytes], bytes]
) -> None:
    take.used()
    (path,) = folder.glob("*.json")
    data = damage(path.read_bytes())
    path.write_bytes(data)
    with take() as slot:
        assert slot.saved is None
        aside = path.with_suffix(".damaged")
        assert told == [f"Your session is damaged, and now in {aside}."]
        assert aside.read_bytes() == data
        slot.write(SAVED)
    assert take().saved == SAVED
    assert len(told) == 1


def test_a_file_of_another_server_is_none_of_ours(
    take: Taker, folder: Path, told: list[str]
) -> None:
    take.used()
    (path,) = folder.glob("*.json")
    path.write_bytes(path.read_bytes().replace(b"example.org", b"example.net"))
    assert take().saved is None
    assert len(told) == 1


def test_a_file_of_a_newer_version_is_left_as_it_is(
    take: Taker, folder: Path, told: list[str]
) -> None:
    take.used()
    (path,) = folder.glob("*.json")
    newer = b'{"groupchat session": 2, "more": true}\n'
    path.write_bytes(newer)
    with take() as slot:
        assert slot.saved is None
        slot.write(SAVED)
    assert told == [f"{path} is of a newer groupchat. Beginning a new session."]
    assert path.read_bytes() == newer
    os.utime(path, (1, 1))
    assert take().saved == SAVED


def test_a_file_that_cannot_be_read_is_left_as_it_is(
    take: Taker, folder: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    take.used()
    (path,) = folder.glob("*.json")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        slot = take()
    assert slot.saved is None
    assert told == [f"{path} cannot be read: Permission denied. Beginning a new session."]
    slot.close()
    assert take().saved == SAVED


@POSIX
def test_a_folder_that_cannot_be_made_is_one_line_and_nothing_is_kept(
    take: Taker, folder: Path, told: list[str]
) -> None:
    folder.write_text("in the way")
    with take() as slot:
        assert not slot.kept
        slot.write(SAVED)
        slot.forget()
    assert told == [f"Your session cannot be kept in {folder}: File exists."]


class Full(io.RawIOBase):
    """A file on a disk that has become full."""

    def write(self, _: object) -> int:
        return 10  # bytes had room


def fill(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slot._file
    slot._file.close()
    monkeypatch.setattr(slot._file, "_file", Full())


def test_a_full_disk_is_one_line_and_the_file_of_a_new_session_goes(
    take: Taker, folder: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its numbers have been used by then."""
    slot = take()
    slot.write(SAVED)
    fill(slot, monkeypatch)
    slot.write(evolve(SAVED, number=8))
    slot.write(evolve(SAVED, number=9))
    path = folder / "example.org_12345.1.json"
    assert told == [f"Your session cannot be kept in {path}: No space left on device."]
    assert not slot.kept
    assert not list(folder.glob("*.json"))


@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_session_that_was_there_before_is_left_as_it_is_when_the_disk_is_full(
    take: Taker, folder: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    take.used()
    slot, there = take(), SAVED
    with monkeypatch.context() as patch:
        if when == "later":
            there = evolve(SAVED, number=8)
            slot.write(there)
            fill(slot, patch)
        else:
            patch.setattr(statefile, "_sync", refuse)
        for _ in range(2):
            with pytest.raises(Over, match=r"Alice cannot be kept up in .*: No space left"):
                slot.write(evolve(SAVED, number=9))
    assert (slot.saved, slot.kept) == (there, True)
    slot.close()
    assert [path.suffix for path in folder.iterdir()].count(".new") == 0
    assert take().saved == there


def test_a_session_that_cannot_be_locked_is_not_left_aside(
    take: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    take.used()
    monkeypatch.setattr(lock, "_lock", refuse)
    with pytest.raises(Over, match=r"your session as Alice cannot be kept up in .*Read-only"):
        take()


def test_a_system_that_cannot_lock_is_one_line(
    take: Taker, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", refuse)
    assert not take().kept
    assert len(told) == 1


@POSIX
@pytest.mark.parametrize(("number", "kept"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_not_every_folder_can_be_synced(
    take: Taker, monkeypatch: pytest.MonkeyPatch, number: int, kept: bool
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)  # of files, it is fdatasync() where there is one
    monkeypatch.setattr(statefile, "_sync", lambda _: None)
    slot = take()
    slot.write(SAVED)
    assert slot.kept is kept
