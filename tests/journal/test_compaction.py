"""A journal that is written anew: the same log and state, or the old file as it was."""

import contextlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupchat.core import Join, Leave, Send, Update, encode
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.journal import Damaged, Unusable, compaction
from groupchat.journal.compaction import BATCH_BYTES, BATCH_MILLISECONDS, Compacted, compact
from groupchat.journal.files import lock
from groupchat.journal.retention import Retention
from groupchat.journal.rows import BATCH, header_of, records_of, seal
from groupchat.journal.transcript import Transcript
from groupchat.journal.verification import verify
from tests.cli.journals import break_row, made, replace_row, rows_of
from tests.core.logs import Drops, Step, steps
from tests.journal.making import (
    START,
    Keeper,
    batch,
    conversation,
    fingerprint,
    journal,
    lines,
    many,
    opened,
    same,
)
from tests.processes import DEADLINE, serving

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are Unix's")


def talk(one: Keeper) -> None:
    """Several pages of the timeline, and more than one batch of a new journal."""
    conversation(one)
    many(one, 900, size=300, a_batch=10)
    batch(one, *[("udp 1", Send("long " * 700))] * 4)


def read_in_part(one: Keeper) -> None:
    """Robert has left; Carol has acknowledged half; Dora has been told as much as fits."""
    talk(one)
    group = one.chat.group
    group.stand("session c", group.timeline.end // 2)
    group.reply(Update(), "tcp 3 #1", 50_000)
    one.rest()


def read_by_all(one: Keeper) -> None:
    talk(one)
    for sender in list(one.chat.group.members):
        one.chat.group.stand(sender, one.chat.group.timeline.end)
    one.rest()


def empty_again(one: Keeper) -> None:
    talk(one)
    for sender in list(one.chat.group.members):
        batch(one, (str(sender), Leave()))


def let_go(one: Keeper) -> None:
    talk(one)
    one.now += 200_000
    one.keep(Record(one.now, "session c", one.chat.group.timeline.end, (Send("x"),), None, 5, "ok"))
    batch(one, ("udp 1", Send("young")))
    while one.tick():
        pass


def nothing(one: Keeper) -> None:
    pass


JOURNALS: dict[str, Callable[[Keeper], None]] = {
    "unread": talk,
    "read in part": read_in_part,
    "read by all": read_by_all,
    "empty again": empty_again,
    "let go": let_go,
    "nothing": nothing,
}


def written(path: Path, what: Callable[[Keeper], None]) -> Path:
    keep = Retention(milliseconds=100_000) if what is let_go else Retention()
    one = journal(path, keep)
    what(one)
    one.journal.close()
    return path


def chat_of(path: Path) -> Chat:
    """Return the state that a server would find, on a copy, so that nothing is touched."""
    copy = Path(tempfile.mkdtemp(dir=path.parent)) / path.name
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return opened(copy).chat


def records(path: Path) -> list[Record]:
    return [record for row in rows_of(path).batches for record in records_of(row)]


def told(chat: Chat) -> dict[object, bytes]:
    """Return what each member would be told next, the roster first if that is still due."""
    group = chat.group
    return {
        sender: b"\n".join(b"".join(encode(group.reply(Update(), sender))) for _ in range(2))
        for sender in group.members
    }


# The same before and after.


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


# What is damaged, and can be made again.


def mend(path: Path, chat: Chat, what: str) -> None:
    """Compact the journal *path*, which is damaged, and compare with what there was."""
    log = [line for line in exported(path) if line]
    assert compact(path).mended == what
    assert verify(path).whole
    again = chat_of(path)
    first = chat.group.timeline.pages[0].first
    assert lines(again, first) == lines(chat, first)
    assert exported(path) == log
    # How far plain members have read without saying anything stands in the snapshot alone.
    assert again.snapshot()["sessions"] == chat.snapshot()["sessions"]
    for sender, member in again.group.members.items():
        before = chat.group.members[sender]
        assert (member.name, member.joined) == (before.name, before.joined)
        assert member.cursor.position <= before.cursor.position


def exported(path: Path) -> list[str]:
    with Transcript(path) as transcript:
        return [str(entry) for entry in transcript]


@pytest.mark.usefixtures("small")
def test_damaged_pages_are_made_again(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat = chat_of(path)
    first, second, *_, last = rows_of(path).pages
    for row in (first, second, last):
        break_row(path, row, offset=len(row.body) - 1)
    mend(path, chat, f"page {last.number:,} is not what was written")


@pytest.mark.usefixtures("small")
def test_missing_pages_are_made_again(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat = chat_of(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM pages")
    connection.close()
    last = chat.group.timeline.pages[-1].first
    mend(path, chat, f"page {last:,} is missing")


@pytest.mark.usefixtures("small")
def test_a_damaged_snapshot_is_made_again(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat, row = chat_of(path), rows_of(path).snapshot
    assert row
    break_row(path, row)
    mend(path, chat, f"snapshot {row.number:,} is not what was written")


@pytest.mark.usefixtures("small")
def test_a_damaged_snapshot_after_a_base_is_made_again(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", let_go)
    chat, rows = chat_of(path), rows_of(path)
    assert rows.base
    assert rows.snapshot
    break_row(path, rows.snapshot)
    compact(path)
    assert rows_of(path).base == rows.base
    assert verify(path).whole
    start = chat_of(path).group.timeline.start
    assert lines(chat_of(path), start) == lines(chat, start)


@pytest.mark.parametrize("page", [1, 2])
def test_sqlite_s_own_arrangement_is_made_again(page: int, tmp_path: Path) -> None:
    """Its first page says what tables there are; the second, where the batches are."""
    path = written(tmp_path / "chat.journal", read_in_part)
    chat = chat_of(path)
    with path.open("rb+") as file:
        file.seek((page - 1) * 8_192)
        file.write(b"\xaa" * 8_192)
    with Transcript(path) as transcript:
        assert len(list(transcript)) == chat.group.timeline.end
    assert compact(path).mended != ""
    assert verify(path).whole
    assert lines(chat_of(path)) == lines(chat)


# What is refused leaves the file as it was.


def refused(path: Path, error: type[Exception], what: str) -> None:
    before = fingerprint(path)
    with pytest.raises(error, match=what):
        compact(path)
    assert fingerprint(path) == before


@pytest.mark.parametrize("number", [1, 5, 12])
def test_a_damaged_log_is_refused_and_untouched(number: int, tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal")
    break_row(path, rows_of(path).batches[number - 1], offset=20)
    refused(path, Damaged, f"^batch {number} is damaged or missing")


def test_a_log_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal", snapshot=False)
    row = rows_of(path).batches[-1]
    body = row.body.replace(b"udp 1\t", b"udp 9\t")
    replace_row(path, "batches", seal(BATCH, row.number, body))
    refused(path, Damaged, "^batch 12 makes no sense")


def test_a_damaged_base_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", let_go)
    base = rows_of(path).base
    assert base
    break_row(path, base)
    refused(path, Damaged, f"^base {base.number:,} is not what was written$")


def test_one_that_somebody_has_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal")
    with contextlib.closing(lock(path)):
        refused(path, Unusable, "is in use")
    assert compact(path).mended == ""


def test_that_of_a_running_server_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice = server.udp()
        alice.ask(b"1 Alice")
        refused(path, Unusable, "is in use")
        assert alice.ask(b"2 Hello") == b""
    assert [record.commands for record in records(path)] == [(Join("Alice"),), (Send("Hello"),)]


# Interrupted.


class Interrupted(Exception):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, after: int) -> None:
    """Have *name* in the module fail when it is called, after so many times."""
    right = getattr(compaction, name)
    calls = [0]

    def wrong(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] > after:
            raise Interrupted
        return right(*arguments)

    monkeypatch.setattr(compaction, name, wrong)


@pytest.mark.parametrize(
    ("name", "after"),
    [("create", 0), *(("put", n) for n in range(6)), ("_settle", 0), ("publish", 0)],
)
def test_whatever_ends_it_leaves_the_old_one(
    name: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat, before = chat_of(path), fingerprint(path)
    with monkeypatch.context() as patch:
        interrupt(patch, name, after)
        with pytest.raises(Interrupted):
            compact(path)
    assert fingerprint(path) == before
    compact(path)  # nobody holds anything any more
    assert same(chat_of(path), chat)


KILLED = """
import os, signal, sys
from pathlib import Path
from groupchat.journal import compaction, files

name, after = sys.argv[2], int(sys.argv[3])
module = files if name == "new.replace" else compaction
calls = 0

def wrong(*arguments):
    global calls
    calls += 1
    if calls > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return right(*arguments)

if name == "new.replace":
    right, Path.replace = Path.replace, wrong
else:
    right = getattr(compaction, name)
    setattr(compaction, name, wrong)
compaction.compact(Path(sys.argv[1]))
"""


@POSIX
@pytest.mark.parametrize(
    ("name", "after"), [("put", 0), ("put", 3), ("_settle", 0), ("publish", 0), ("new.replace", 0)]
)
def test_if_it_is_killed_the_old_one_is_there(name: str, after: int, tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat, before = chat_of(path), path.read_bytes()
    command = [sys.executable, "-c", KILLED, str(path), name, str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert path.with_name("chat.journal-new").exists()
    assert verify(path).whole
    compact(path)
    assert same(chat_of(path), chat)
    assert not list(path.parent.glob("chat.journal-new*"))


TOO_LARGE = """
import resource, sys
from pathlib import Path
from groupchat.journal.compaction import compact

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    compact(Path(sys.argv[1]))
except OSError as error:
    print(error)
"""


@POSIX
def test_a_disk_that_is_full_leaves_the_old_one(tmp_path: Path) -> None:
    """A file that may not grow is one on a full disk, to whoever writes it."""
    path = written(tmp_path / "chat.journal", read_in_part)
    before = fingerprint(path)
    command = [sys.executable, "-c", TOO_LARGE, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=True)
    assert done.stdout.startswith((b"disk I/O error", b"database or disk is full"))
    assert fingerprint(path) == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000
    assert compact(path).mended == ""


def test_a_snapshot_is_written_for_the_next_server(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal", snapshot=False)
    assert rows_of(path).snapshot is None
    compact(path)
    rows = rows_of(path)
    assert rows.snapshot
    state = json.loads(rows.snapshot.body)
    assert (state["number"], state["records"], state["end"]) == (1, 15, 16)
    assert state["checksum"] == rows.batches[-1].checksum
