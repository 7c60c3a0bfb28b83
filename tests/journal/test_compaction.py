"""A journal that is written anew: the same log and state, in fewer bytes."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupchat.core import Join, Send, Update, encode
from groupchat.core.chat import Chat
from groupchat.journal.compaction import BATCH_BYTES, BATCH_MILLISECONDS, Compacted, compact
from groupchat.journal.retention import Retention
from groupchat.journal.rows import header_of, records_of
from groupchat.journal.verification import verify
from tests.cli.journals import made, rows_of
from tests.core.logs import Drops, Step, steps
from tests.journal.making import START, Keeper, batch, conversation, journal, lines, many, same
from tests.journal.pasts import JOURNALS, chat_of, read_in_part, records, talk, written


def told(chat: Chat) -> dict[object, bytes]:
    """Return what each member would be told next, the roster first if that is still due."""
    group = chat.group
    return {
        sender: b"\n".join(b"".join(encode(group.reply(Update(), sender))) for _ in range(2))
        for sender in group.members
    }


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("what", JOURNALS.values(), ids=JOURNALS)
def test_the_log_and_the_state_are_the_same_with_small_pages(
    what: Callable[[Keeper], None], tmp_path: Path
) -> None:
    compare(written(tmp_path / "chat.journal", what))


@pytest.mark.parametrize("what", JOURNALS.values(), ids=JOURNALS)
def test_the_log_and_the_state_are_the_same(what: Callable[[Keeper], None], tmp_path: Path) -> None:
    compare(written(tmp_path / "chat.journal", what))


def compare(path: Path) -> None:
    """Compact the journal *path*, and compare."""
    chat, log, base = chat_of(path), records(path), rows_of(path).base
    done = compact(path)
    assert done.mended == ""
    assert done.after == path.stat().st_size
    again = chat_of(path)
    assert same(again, chat)
    assert told(again) == told(chat)
    assert records(path) == log
    assert rows_of(path).base == base
    assert verify(path).whole
    assert sorted(file.name for file in path.parent.glob("chat*")) == [
        "chat.journal",
        "chat.journal-lock",
    ]


PLACES = st.sampled_from(["rest", "tick", "open", "compact"])
KEPT = st.sampled_from([None, 1_000, 10_000_000])


@pytest.mark.usefixtures("small")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps.filter(lambda step: not isinstance(step, Drops)) | PLACES), KEPT)
def test_whatever_was_written_and_whenever(script: list[Step | str], kept: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.journal"
        one = journal(path, Retention(kept))
        for step in [*script, "compact"]:
            if not isinstance(step, str):
                one.take(step)
            elif step == "rest":
                one.rest()
            elif step == "tick":
                one.tick()
            else:
                one.rest()
                one.journal.close()
                if step == "compact":
                    compare(path)
                before, one = one, journal(path, Retention(kept))
                one.now, one.numbers = before.now, before.numbers
        one.journal.close()


@pytest.mark.usefixtures("small")
def test_a_server_goes_on_with_it(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    compact(path)
    one = journal(path)
    end = one.chat.group.timeline.end
    one.now = START + 10**7
    batch(one, ("udp 1", Send("after")))
    many(one, 50)
    one.journal.close()
    assert verify(path).whole
    assert lines(chat_of(path), end).startswith(b"%d %d s Alice: after\n" % (end, START + 10**7))


def test_to_do_it_twice_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", talk)
    compact(path)
    content = rows_of(path)
    size = path.stat().st_size
    assert compact(path) == Compacted(size, size, "")
    assert rows_of(path) == content


def test_small_batches_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    many(one, 2_000, size=100, a_batch=1)
    one.journal.close()
    before = path.stat().st_size
    done = compact(path)
    batches = rows_of(path).batches
    assert len(batches) == 38
    assert all(0.8 * BATCH_BYTES < len(row.body) < BATCH_BYTES + 200 for row in batches[:-1])
    assert header_of(batches[1]).records == len(records_of(batches[0]))
    assert done.before == before


def test_what_is_old_goes_as_before(tmp_path: Path) -> None:
    """What was said within an hour is one batch, and no more."""
    path = tmp_path / "chat.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")))
    for _ in range(300):
        batch(one, ("udp 1", Send("a minute later")))
        one.now += 59_000
    one.journal.close()
    for _ in range(2):
        compact(path)
        spans = [[record.time for record in records_of(row)] for row in rows_of(path).batches]
        assert len(spans) == 5
        assert all(times[-1] - times[0] <= BATCH_MILLISECONDS for times in spans)
    kept = journal(path, Retention(milliseconds=2 * BATCH_MILLISECONDS))
    kept.now = one.now
    while kept.tick():
        pass
    assert kept.chat.group.timeline.end - kept.chat.group.timeline.start < 3 * 61
    kept.journal.close()


def test_pages_that_everybody_has_read_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    many(one, 3_000, size=300)
    one.rest()  # with pages for Bob
    one.chat.group.stand("udp 2", one.chat.group.timeline.end)
    one.rest()
    one.journal.close()
    done = compact(path)
    assert len(rows_of(path).pages) == 1
    assert done.after < 0.7 * done.before


def test_the_wal_of_a_killed_server_counts(tmp_path: Path) -> None:
    one = journal(tmp_path / "first.journal")
    talk(one)
    path = tmp_path / "chat.journal"
    for suffix in ("", "-wal"):
        shutil.copy(f"{tmp_path / 'first.journal'}{suffix}", f"{path}{suffix}")
    size = path.stat().st_size
    wal = path.with_name("chat.journal-wal").stat().st_size
    assert wal > 0
    done = compact(path)
    assert done.before == size + wal
    assert not path.with_name("chat.journal-wal").exists()
    assert records(path) == one.records
    assert same(chat_of(path), one.chat)
    one.journal.close()


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", conversation)
    compact(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_by_another_name_the_same_file_is_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", conversation)
    link = tmp_path / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to(path)
    log = records(path)
    compact(link)
    assert link.is_symlink()
    assert records(path) == log
    assert list(link.parent.iterdir()) == [link]


def test_progress_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", talk)
    many(one := journal(path), 2_100, size=50, a_batch=1)
    one.journal.close()
    steps: list[int] = []
    compact(path, steps.append)
    assert len(steps) >= 4
    assert 0 < sum(steps) <= 3 * path.stat().st_size


def test_a_snapshot_is_written_for_the_next_server(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal", snapshot=False)
    assert rows_of(path).snapshot is None
    compact(path)
    rows = rows_of(path)
    assert rows.snapshot
    state = json.loads(rows.snapshot.body)
    assert (state["number"], state["records"], state["end"]) == (1, 15, 16)
    assert state["checksum"] == rows.batches[-1].checksum
