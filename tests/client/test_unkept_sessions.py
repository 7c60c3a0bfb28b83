"""Sessions that cannot be kept: a folder, a lock or a disk that is in the way."""

import errno
import io
import os
from pathlib import Path

import pytest
from attrs import evolve

from groupchat.client import lock, statefile
from groupchat.client.failures import Over
from groupchat.client.slots import Slot
from tests.client.taker import SAVED, Taker
from tests.transports.recorder import POSIX


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
