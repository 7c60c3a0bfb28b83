"""Slots: which session is gone on with, and that no two have one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from groupchat.client import lock
from groupchat.client.address import Address
from groupchat.core.sessions.saved import Saved
from tests.client.taker import SAVED, SERVER, Taker


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


def test_a_join_that_is_not_utf8_has_a_name_for_people(take: Taker, told: list[str]) -> None:
    take.used(Saved("0" * 32, 1, 0, joined=False, commands=(b"1 caf\xe9",)), name="")
    take()
    assert take(name="caf\ufffd").saved is None
    assert told == ["Your session as caf\ufffd is in use; this is a new one."]


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


# Two at the same time.


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
