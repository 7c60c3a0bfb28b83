"""Letting go of old events: no more than must go, and whoever missed them is told."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupchat.core import Join, Leave, Send, Update, encode
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.journal import MemoryJournal, durable, retention
from groupchat.journal.chain import Chain
from groupchat.journal.durable import DurableJournal
from groupchat.journal.recovery import beginning, replay, restore, without_pages
from groupchat.journal.retention import Retention
from groupchat.journal.rows import BASE, page_of, state_of
from groupchat.journal.storage import Damaged
from tests.journal.making import (
    START,
    Keeper,
    Kept,
    Quick,
    batch,
    journal,
    lines,
    many,
    same,
)

MINUTE = 60_000


def keeper(storage: Kept, kept: Retention) -> Keeper:
    return Keeper(journal=DurableJournal(storage, kept), now=START)


def settle(one: Keeper) -> int:
    """Have seconds pass until nothing is left to do; return how many that took."""
    steps = 0
    while one.tick():
        steps += 1
        assert steps < 1_000
    return steps


def rebuilt(storage: Kept) -> Chat:
    """Return the state that the log alone leads to, from the base on."""
    chain, base = Chain.begin(storage)
    chat = restore(BASE, base or beginning(), without_pages)
    for row in chain.follow(storage.batches(chain.number)):
        replay(chat, row)
    return chat


def told(one: Keeper, sender: str) -> bytes:
    return b"".join(encode(one.chat.group.reply(Update(), sender)))


def talk(one: Keeper, count: int, every: int = MINUTE) -> None:
    """Have Alice say something every minute, and somebody be away."""
    if "udp 1" not in one.chat.group:
        batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Away")))
    for number in range(count):
        one.now += every
        batch(one, ("udp 1", Send(f"message {number}")))
        one.now -= 1_000  # what a batch takes


def test_without_a_bound_nothing_goes() -> None:
    storage = Kept()
    one = keeper(storage, Retention())
    talk(one, 10)
    one.now += 10**12
    assert not one.tick()


def test_what_is_younger_stays() -> None:
    one = keeper(Kept(), Retention(milliseconds=60 * MINUTE))
    talk(one, 60)
    assert not one.tick()


def test_what_is_older_goes_and_whoever_missed_it_is_told_in_one_line() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 100)
    assert settle(one) == 2  # its batches, and then its pages
    kept = [f"Alice: message {number}".encode() for number in range(40, 100)]
    lost = b"(40 older events are not kept on this server)"
    assert told(one, "udp 2").split(b"\n") == [lost, *kept]
    texts = b"\n".join(row.body for row in storage.batches(0))
    assert b"message 39" not in texts
    assert b"message 40" in texts
    assert told(one, "udp 2") == b""


def test_all_of_it_can_go_although_no_page_is_full() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 5)
    one.now += 100 * MINUTE
    settle(one)
    assert told(one, "udp 2") == b"(5 older events are not kept on this server)"
    one.now += 100 * MINUTE
    steps = settle(one)
    assert steps == 0  # there is nothing but what was written for that
    assert b"message" not in b"".join(row.body for row in storage.batches(0))


def test_to_let_go_takes_few_writes() -> None:
    """It is done for a hundredth of the time at once."""
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=100 * MINUTE))
    talk(one, 100)
    written = 0
    for _ in range(3_000):
        talk(one, 1, every=MINUTE // 10)
        written += one.tick()
    assert written < 2 * 300 + 10


@pytest.mark.usefixtures("small")
def test_the_base_and_what_is_left_of_the_log_lead_to_the_same_state() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=30 * MINUTE))
    talk(one, 20)
    batch(one, ("tcp 3 #1", Join("Cy")), ("udp 1", Send("a")), ("tcp 3 #1", Leave()))
    one.keep(Record(one.now, "session d", 0, (Join("Dora"),), None, 1, "done"))
    one.keep(Record(one.now, "session d", 25, (Send("d"),), None, 2, "done"))
    talk(one, 40)
    settle(one)
    assert storage.oldest is not None
    again = DurableJournal(storage).chat
    assert same(again, one.chat)
    straight = rebuilt(storage)
    agree(straight, again)
    one_state, other = straight.snapshot(), again.snapshot()
    for key in ("time", "end", "start", "sessions"):
        assert one_state[key] == other[key]
    assert [m[:3] for m in one_state["members"]] == [m[:3] for m in other["members"]]


@pytest.mark.usefixtures("small")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("say wait tick fail open rest leave join read".split())))
def test_whatever_happens_meanwhile_what_is_kept_is_whole(script: list[str]) -> None:
    storage = Kept()
    kept = Retention(milliseconds=10 * MINUTE)
    one = keeper(storage, kept)
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Away")))
    for number, step in enumerate(script):
        if step == "open":
            now, one = one.now, keeper(storage, kept)
            one.now = now
        else:
            storage.failing = step == "fail"
            act(one, step, number)
            storage.failing = False
        agree(one.chat, DurableJournal(storage).chat, rebuilt(storage))
        for row in storage.pages():
            page_of(row)


def act(one: Keeper, step: str, number: int) -> None:
    here = "udp 3" in one.chat.group
    match step:
        case "say":
            batch(one, ("udp 1", Send(f"{number}")))
        case "wait":
            one.now += 6 * MINUTE
        case "tick" | "fail":
            one.tick()
        case "rest":
            one.rest()
        case "leave" | "join" if here is (step == "leave"):
            batch(one, ("udp 3", Leave() if here else Join("Cy")))
        case "read":
            told(one, "udp 2")


def agree(*chats: Chat) -> None:
    """Check that *chats* have the same members, and the same to tell from where all have it."""
    first = max(chat.group.timeline.start for chat in chats)
    one, *others = chats
    for other in others:
        assert other.group.timeline.end == one.group.timeline.end
        assert other.group.members.keys() == one.group.members.keys()
        assert lines(other, first) == lines(one, first)


def test_what_could_not_be_let_go_of_is_tried_again() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 100)
    storage.failing = True
    for _ in range(3):
        assert one.tick()
    storage.failing = False
    batch(one, ("udp 1", Send("in between")))  # must not take it along, without its Drop
    assert not [write for write in storage.writes if write.base]
    settle(one)
    assert storage.oldest is not None
    assert told(one, "udp 2").startswith(b"(40 older events are not kept")


def test_a_server_that_rests_before_it_has_let_go_does_not_let_go() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 100)
    assert one.journal.outdated(one.now) is not None
    one.rest()
    assert storage.oldest is None
    assert same(DurableJournal(storage).chat, one.chat)


def test_much_goes_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_RECORDS", 10)
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 160)
    before = len(storage.rows)
    one.tick()
    assert before - len(storage.rows) == 9 - 1  # ten records, of which two were one batch
    settle(one)
    assert told(one, "udp 2").startswith(b"(100 older events are not kept")


def test_long_records_go_in_smaller_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_BYTES", 10_000)
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    many(one, 30, size=3_000, a_batch=1)
    one.now += 100 * MINUTE
    one.tick()
    assert storage.oldest
    assert state_of(BASE, storage.oldest).number == 5  # the first has two joins
    assert settle(one) > 10
    assert told(one, "udp 2").startswith(b"(30 older events")


SIZES = [300_000, 1_000_000]


@pytest.mark.parametrize("most", SIZES)
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_no_more_goes_than_must_for_the_size(tmp_path: Path, most: int, read: bool) -> None:
    one = journal(tmp_path / "chat.journal", Retention(size=most))
    storage = one.journal._storage
    many(one, 10)
    largest = 0
    for _ in range(400):
        many(one, 20, size=300, a_batch=7)
        if read:
            told(one, "udp 2")
        one.tick()
        largest = max(largest, storage.size())
        if storage.base() is not None and not one.journal._settling:
            assert storage.size() > 0.95 * most - 120_000
    assert storage.base() is not None
    assert largest < 1.05 * most + 50_000
    settle(one)
    assert 0.95 * most - 120_000 < storage.size() <= most
    if not read:
        missed = one.chat.group.timeline.start - 2
        assert told(one, "udp 2").startswith(b"(%d older events are not" % missed)
    one.journal.close()
    assert lines(DurableJournal(_kept(tmp_path)).chat)[-300:] == lines(one.chat)[-300:]


@pytest.mark.usefixtures("small")
def test_what_nobody_needs_goes_before_what_somebody_may_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages are twice what was said; once all have read them, a snapshot lets go of them."""
    monkeypatch.setattr(durable, "SNAPSHOT_RECORDS", 1_000)
    monkeypatch.setattr(durable, "UNSETTLED_RECORDS", 10)
    storage = Kept()
    one = keeper(storage, Retention(size=9_000))
    many(one, 40, size=100, a_batch=1)
    assert len(told(one, "udp 2").split(b"\n")) == 40
    assert storage.size() > 9_000
    settle(one)
    assert storage.size() < 9_000
    assert storage.base() is None


def _kept(folder: Path) -> Kept:
    """Return a copy, in memory, of the journal in *folder*."""
    one = journal(folder / "chat.journal")
    reading = one.journal._storage
    storage = Kept()
    storage.rows = {row.number: row for row in reading.batches(0)}
    storage.shelf = {row.number: row for row in reading.pages()}
    storage.newest, storage.oldest = reading.snapshot(), reading.base()
    one.journal.close()
    return storage


def test_the_file_stops_growing(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path, Retention(size=400_000))
    sizes = []
    for _ in range(6):
        for _ in range(40):
            many(one, 50, size=300, a_batch=5)
            settle(one)
        storage = one.journal._storage
        assert isinstance(storage, Quick)
        storage.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append(path.stat().st_size)
    assert sizes[-1] == sizes[-2] < 800_000
    one.journal.close()


def test_age_and_size_together() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=10 * MINUTE, size=100_000))
    talk(one, 20)
    settle(one)
    assert told(one, "udp 2").startswith(b"(10 older events")
    many(one, 1_000, size=300)
    settle(one)
    assert storage.size() <= 100_000


def test_what_cannot_be_read_is_damage_and_tried_again() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 100)
    whole = storage.rows[5]
    storage.rows[5] = whole._replace(body=b"nonsense\nnonsense")
    for _ in range(2):
        with pytest.raises(Damaged):
            one.journal.outdated(one.now)
    storage.rows[5] = whole
    settle(one)
    assert told(one, "udp 2").startswith(b"(40 older events")


def test_a_base_says_who_was_there() -> None:
    storage = Kept()
    one = keeper(storage, Retention(milliseconds=60 * MINUTE))
    talk(one, 100)
    settle(one)
    assert storage.oldest
    base = state_of(BASE, storage.oldest)
    assert [member[:3] for member in base.chat["members"]] == [
        ["udp 1", "Alice", 0],
        ["udp 2", "Away", 1],
    ]
    assert base.chat["start"] == base.chat["end"] == 42
    assert base.records == 42


# Without a file.


def in_memory(kept: Retention) -> Keeper:
    one = Keeper(now=START)
    one.journal = MemoryJournal(kept)  # type: ignore[assignment]
    one.chat = one.journal.chat
    return one


def test_in_memory_what_is_older_goes_too() -> None:
    one = in_memory(Retention(milliseconds=60 * MINUTE))
    talk(one, 59)
    assert not one.tick()
    talk(one, 60)
    assert one.tick()
    assert not one.tick()
    kept = [f"Alice: message {number}".encode() for number in [*range(59), *range(60)][-60:]]
    lost = b"(59 older events are not kept on this server)"
    assert told(one, "udp 2").split(b"\n") == [lost, *kept]


@pytest.mark.usefixtures("small")
def test_in_memory_the_size_is_bounded_too() -> None:
    one = in_memory(Retention(size=10_000))
    for _ in range(50):
        many(one, 20, size=100)
        settle(one)
        pages = one.chat.group.timeline.pages
        size = sum(len(page.load().lines) + 21 * len(page.load().ends) for page in pages)
        assert size <= 10_000 + 300
    assert size > 9_000
