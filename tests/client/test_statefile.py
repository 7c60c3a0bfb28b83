"""The files in which sessions are kept: private, on the disk in time, and damaged."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from groupchat.client import statefile
from groupchat.client.statefile import FILE_BYTES
from tests.client.taker import SAVED, SERVER, Taker
from tests.transports.recorder import POSIX


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


def test_a_line_of_any_bytes_is_kept_as_it_is(take: Taker) -> None:
    line = b"2 " + bytes(range(256)) + "grüß €".encode()
    odd = evolve(SAVED, commands=(line, b""), command=line)
    take.used(odd)
    assert take().saved == odd


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
