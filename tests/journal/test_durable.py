"""The durable journal over a storage in memory: whatever happens, the state is found again."""

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupchat.core import Join, Send, Update
from groupchat.core.chat import Chat
from groupchat.core.pages import Page
from groupchat.core.records import Record
from groupchat.journal import durable
from groupchat.journal.durable import DurableJournal
from groupchat.journal.rows import (
    BATCH,
    PAGE,
    SNAPSHOT,
    batch_row,
    page_row,
    state_of,
    state_row,
)
from groupchat.journal.storage import Damaged, Row
from tests.core.logs import Drops, Reads, Step, steps
from tests.journal.making import (
    Kept,
    batch,
    conversation,
    keeper,
    lines,
    many,
    reopened,
    same,
)


def test_a_new_journal_is_empty() -> None:
    storage = Kept()
    assert same(DurableJournal(storage).chat, Chat())
    assert storage.writes == []


def test_one_row_holds_a_batch_and_says_what_came_before() -> None:
    storage = Kept()
    one = keeper(storage)
    batch(one, ("udp 1", Join("Al")), ("udp 2", Join("Bo")))
    batch(one, ("udp 1", Send("hi")))
    assert [(row.number, row.body) for row in storage.batches(0)] == [
        (1, b"1 0 0 0\n1000\tudp 1\t0\t1024\t1 Al\n1000\tudp 2\t0\t1024\t1 Bo"),
        (2, b"2 %d 2 2\n2000\tudp 1\t1\t1024\t2 hi" % storage.rows[1].checksum),
    ]


def test_what_was_appended_is_there_again() -> None:
    storage = Kept()
    one = keeper(storage)
    conversation(one)
    assert lines(reopened(storage)) == lines(one.chat)
    assert reopened(storage).group.members.keys() == one.chat.group.members.keys()
    assert reopened(storage).sessions == one.chat.sessions


def test_a_server_that_rests_writes_down_how_far_members_have_read() -> None:
    storage = Kept()
    one = keeper(storage)
    conversation(one)
    one.chat.group.reply(Update(), "tcp 3 #1")
    assert not same(reopened(storage), one.chat)
    one.rest()
    assert same(reopened(storage), one.chat)
    assert storage.writes[-1].batch is None


@pytest.mark.usefixtures("small")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(steps, st.integers(0, 9))))
def test_the_state_is_found_again_at_any_time(script: list[tuple[Step, int]]) -> None:
    """Now and then the server is started again, in peace or not, or the disk fails."""
    storage = Kept()
    one = keeper(storage)
    pure = Chat()
    for step, chance in script:
        storage.failing = chance == 9
        done = len(one.records)
        if not isinstance(step, Drops):
            one.take(step)
        storage.failing = False
        for record in one.records[done:]:
            pure.apply(record)
        if chance == 8:
            one.rest()
            assert same(reopened(storage), one.chat)
        again = keeper(storage)
        told, live = again.chat.snapshot(), one.chat.snapshot()
        assert (told["end"], told["sessions"]) == (live["end"], live["sessions"])
        for log, found, now in zip(
            pure.snapshot()["members"], told["members"], live["members"], strict=True
        ):
            assert log[:3] == found[:3] == now[:3]
            assert log[3] <= found[3] <= now[3]  # what was read may have been forgotten
        for member in again.chat.group.members.values():
            position = member.cursor.position
            assert lines(again.chat, position) == lines(one.chat, position)
        if chance in (7, 8):
            again.now, again.numbers, again.records = one.now, one.numbers, one.records
            one = again
            pure = Chat()
            for record in one.records:
                pure.apply(record)


@pytest.mark.usefixtures("small")
def test_snapshots_come_every_so_many_records() -> None:
    storage = Kept()
    one = keeper(storage)
    many(one, 40, a_batch=3)
    snapshots = [write.snapshot.number for write in storage.writes if write.snapshot]
    assert snapshots == [3, 6, 9, 12]  # 2, 5, 8, then 7 or more since the last
    for write in storage.writes:
        if write.snapshot:
            assert write.batch
            assert write.batch.number == write.snapshot.number + 1
    DurableJournal(storage)


def test_snapshots_come_every_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "SNAPSHOT_BYTES", 1_000)
    storage = Kept()
    one = keeper(storage)
    many(one, 40, size=300, a_batch=1)
    snapshots = [write.snapshot.number for write in storage.writes if write.snapshot]
    assert snapshots == list(range(4, 41, 3))  # the first batch is of two joins


@pytest.mark.parametrize(("name", "most"), [("SNAPSHOT_RECORDS", 7), ("SNAPSHOT_BYTES", 600)])
def test_a_snapshot_is_due_as_well_if_the_server_is_started_often(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, name, most)
    storage = Kept()
    for _ in range(20):
        many(keeper(storage), 2, size=60)
    snapshots = [write.snapshot.number for write in storage.writes if write.snapshot]
    assert len(snapshots) >= 4
    again = DurableJournal(storage)
    assert (again._fresh_records, again._fresh_bytes) == fresh(storage)


def fresh(storage: Kept) -> tuple[int, int]:
    """Return how many records and bytes of batches there are that are in no snapshot."""
    assert storage.newest
    bodies = [row.body for row in storage.batches(storage.newest.number)]
    return sum(body.count(b"\n") for body in bodies), sum(map(len, bodies))


@pytest.mark.usefixtures("small")
def test_a_snapshot_that_could_not_be_written_is_still_due() -> None:
    storage = Kept()
    one = keeper(storage)
    many(one, 5, a_batch=1)  # and two have joined
    storage.failing = True
    results: list[OSError | None] = []
    one.journal.rest(results.append)
    assert isinstance(results[0], OSError)
    storage.failing = False
    batch(one, ("udp 1", Send("next")))
    assert storage.writes[-1].snapshot


@pytest.mark.usefixtures("small")
def test_a_snapshot_is_of_the_state_before_the_batch_it_is_written_with() -> None:
    storage = Kept()
    one = keeper(storage)
    ends = {0: 0}
    for number in range(1, 30):
        batch(one, ("udp 1", Join("Al") if number == 1 else Send(str(number))))
        ends[number] = one.chat.group.timeline.end
        if storage.newest is not None:
            found = state_of(SNAPSHOT, storage.newest)
            assert found.chat["end"] == ends[found.number]
            assert found.checksum == storage.rows[found.number].checksum
            assert found.records == found.number


def test_what_cannot_be_written_is_an_error_and_changes_nothing() -> None:
    storage = Kept()
    one = keeper(storage)
    assert not one.keep(Record(1, "a\tb", 0, (Join("A"),)))
    assert not storage.writes
    batch(one, ("udp 1", Join("Al")))
    assert list(storage.rows) == [1]


def test_after_a_failure_the_next_batch_takes_its_place() -> None:
    storage = Kept()
    one = keeper(storage)
    batch(one, ("udp 1", Join("Al")))
    storage.failing = True
    assert not one.keep(Record(1, "udp 1", 0, (Send("lost"),), 1_024))
    storage.failing = False
    batch(one, ("udp 1", Send("kept")))
    assert list(storage.rows) == [1, 2]
    assert b"lost" not in lines(reopened(storage))
    assert lines(reopened(storage)) == lines(one.chat)


def whole() -> Kept:
    storage = Kept()
    one = keeper(storage)
    conversation(one)
    many(one, 40, size=40, a_batch=5)
    return storage


def without(storage: Kept, number: int) -> None:
    del storage.rows[number]


def renumbered(storage: Kept) -> None:
    storage.rows[3] = storage.rows[4]._replace(number=3)


def swapped(storage: Kept) -> None:
    storage.rows[3], storage.rows[4] = storage.rows[4], storage.rows[3]


def from_another_time(storage: Kept) -> None:
    row = storage.rows[4]
    record = Record(1, "udp 1", 0, (Send("never said"),), 1_024)
    storage.rows[4] = batch_row(4, [record], storage.rows[3].checksum, 5, 5)
    assert storage.rows[4].checksum != row.checksum


def damaged_page(storage: Kept) -> None:
    first = min(storage.shelf)
    storage.shelf[first] = storage.shelf[first]._replace(checksum=1)


def no_page(storage: Kept) -> None:
    del storage.shelf[min(storage.shelf)]


def short_page(storage: Kept) -> None:
    first = max(n for n in storage.shelf)
    storage.shelf[first] = page_row(Page(first))


def snapshot_off_by_one(storage: Kept) -> None:
    assert storage.newest
    found = state_of(SNAPSHOT, storage.newest)
    number = found.number - 1
    storage.newest = state_row(SNAPSHOT, evolve(found, number=number))


def snapshot_ahead(storage: Kept) -> None:
    assert storage.newest
    found = state_of(SNAPSHOT, storage.newest)
    for number in [n for n in storage.rows if n >= found.number]:
        del storage.rows[number]


def impossible(storage: Kept) -> None:
    last = storage.rows[max(storage.rows)]
    record = Record(1, "udp nobody", 0, (Send("boo"),), 1_024)
    found = DurableJournal(storage)
    records, events = found._end.records, found.chat.group.timeline.end
    number = last.number + 1
    storage.rows[number] = batch_row(number, [record], last.checksum, records, events)


def other_events(storage: Kept) -> None:
    last = storage.rows[max(storage.rows)]
    found = DurableJournal(storage)
    record = Record(1, "udp 1", 0, (Send("boo"),), 1_024)
    row = batch_row(last.number + 1, [record], last.checksum, found._end.records, 7)
    storage.rows[row.number] = row


def not_bytes(storage: Kept) -> None:
    storage.rows[3] = Row(3, 17, 4)  # type: ignore[arg-type]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda kept: without(kept, 1), "batch 1 is missing"),
        (lambda kept: without(kept, 5), "batch 5 is missing"),
        (renumbered, "batch 3 does not follow"),
        (swapped, "batch 4 is missing|batch 3 is missing"),
        (from_another_time, "batch 5 does not follow"),
        (damaged_page, "page [0-9]+ is not what was written"),
        (no_page, "page [0-9]+ is missing"),
        (short_page, "makes no sense"),
        (snapshot_off_by_one, "does not belong to the batches"),
        (snapshot_ahead, "the batches after [0-9]+ are missing"),
        (impossible, "makes no sense"),
        (other_events, "does not fit the state before it"),
        (not_bytes, "batch 3 is not what was written"),
    ],
)
def test_what_does_not_fit_together_is_damaged(damage: object, message: str) -> None:
    storage = whole()
    DurableJournal(storage)
    assert callable(damage)
    damage(storage)
    with pytest.raises(Damaged, match=message):
        DurableJournal(storage)


@pytest.mark.usefixtures("small")
def test_every_row_is_looked_at_when_a_journal_is_opened() -> None:
    """Also those that are older than the snapshot."""
    rows = whole()
    for table, kind in ((rows.rows, BATCH), (rows.shelf, PAGE)):
        for number in list(table):
            before = table[number]
            body = bytearray(before.body)
            body[-2] ^= 4
            table[number] = before._replace(body=bytes(body))
            needed = kind == BATCH or number >= first_needed(rows)
            if needed:
                with pytest.raises(Damaged):
                    DurableJournal(rows)
            table[number] = before
    DurableJournal(rows)


def first_needed(storage: Kept) -> int:
    """Return where the pages begin that the snapshot needs."""
    assert storage.newest
    first: int = state_of(SNAPSHOT, storage.newest).chat["pages"][0][0]
    return first


def test_progress_tells_how_many_bytes_were_read() -> None:
    storage = Kept()
    one = keeper(storage)
    many(one, 3_000, size=10, a_batch=1)
    told: list[int] = []
    DurableJournal(storage, progress=told.append)
    assert 0 < sum(told) <= storage.size()
    assert len(told) == 2


def test_reads_leave_no_record() -> None:
    storage = Kept()
    one = keeper(storage)
    batch(one, ("udp 1", Join("Al")), ("udp 2", Join("Bo")))
    one.take(Reads("udp 1", 3))
    assert len(storage.writes) == 1


@pytest.mark.usefixtures("small")
def test_a_disk_that_fails_while_a_journal_is_opened_is_no_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = whole()

    def failing(_: int) -> None:
        raise OSError("disk error")

    monkeypatch.setattr(storage, "page", failing)
    with pytest.raises(OSError, match="disk error"):
        DurableJournal(storage)
