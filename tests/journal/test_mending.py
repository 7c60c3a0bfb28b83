"""A damaged journal that is written anew: what can be made again is; else it is refused, and
left as it was.
"""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.core.chat import Chat
from groupchat.journal import Damaged, Unusable
from groupchat.journal.compaction import compact
from groupchat.journal.files import lock
from groupchat.journal.rows import BATCH, seal
from groupchat.journal.transcript import Transcript
from groupchat.journal.verification import verify
from tests.cli.journals import break_row, made, replace_row, rows_of
from tests.journal.making import fingerprint, lines
from tests.journal.pasts import chat_of, let_go, read_in_part, records, written
from tests.processes import serving

# What can be made again.


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
