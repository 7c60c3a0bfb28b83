"""``groupchat journal check``: what it says of a journal, whole or not."""

import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.core.pages import Page
from groupchat.journal import verification
from groupchat.journal.retention import Retention
from groupchat.journal.rows import BATCH, SNAPSHOT, page_of, page_row, seal
from groupchat.journal.storage import Row
from tests.cli.journals import ask, break_row, made, replace_row, rows_of
from tests.journal.making import Keeper, batch, fingerprint, journal, many
from tests.processes import run, serving

WHEN = "2025-11-22T22:00:00.000Z to 2025-11-22T22:00:10.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "chat.journal")


def size(path: Path) -> str:
    return f"{path.stat().st_size:,}"


# Whole ones.


def test_a_whole_journal(path: Path) -> None:
    before = fingerprint(path)
    done = ask("check", path)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{path}: {size(path)} bytes, format 1.\n"
        f"15 records in 12 batches, {WHEN}.\n"
        "16 events, 3 members, 1 page, snapshot after batch 12.\n"
        "Everything is as it should be.\n"
    )
    assert fingerprint(path) == before
    assert list(path.parent.glob("chat*")) == [path]


def test_a_new_one_has_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "new.journal"
    journal(path).journal.close()
    done = ask("check", path)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{path}: {size(path)} bytes, format 1.\n"
        "No records.\n"
        "0 events, 0 members, 0 pages.\n"
        "Everything is as it should be.\n"
    )


def test_one_whose_server_was_killed_has_no_snapshot(tmp_path: Path) -> None:
    done = ask("check", made(tmp_path / "killed.journal", snapshot=False))
    assert done.code == 0
    assert done.out.splitlines()[2:] == [
        "16 events, 3 members, 0 pages.",
        "Everything is as it should be.",
    ]


def test_one_of_which_old_events_were_let_go(tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    let_go(journal(path, Retention(milliseconds=60_000)))
    done = ask("check", path)
    assert done.code == 0, done.out
    assert "Events before, not kept any more: 102.\n" in done.out
    assert done.out.endswith("Everything is as it should be.\n")


def let_go(one: Keeper) -> None:
    """Have *one* keep what is not older than a minute, and let go of 102 events."""
    many(one, 100)
    one.now += 200_000
    many(one, 5)
    while one.tick():
        pass
    one.journal.close()


def test_beside_a_running_server_and_after_it(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.udp(), server.tcp()
        alice.ask(b"1 Alice")
        bob.ask(b"1 Bob")
        alice.ask(b"2 Hello")
        beside = ask("check", path)
        assert bob.ask(b"5") == b"Alice: Hello"  # it has not been disturbed
        alice.ask(b"2 Bye")
        server.stop()
    after = ask("check", path)
    for done, counts in ((beside, "3 records in 3"), (after, "5 records in 5")):
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert lines[1].startswith(f"{counts} batches, ")
        assert lines[-1] == "Everything is as it should be."
    assert beside.out.splitlines()[2] == "3 events, 2 members, 0 pages."
    # When the server stopped, Bob's connection ended, so he left.
    assert after.out.splitlines()[2] == "5 events, 1 member, 1 page, snapshot after batch 5."


def free_port() -> int:
    """Return a port that nobody uses by UDP nor by TCP, for now."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        return port


def test_a_port_stands_for_the_journal_of_the_server_there() -> None:
    port = str(free_port())
    with serving(port) as server:
        kept = server.program.out.seen[0].partition(" kept in ")[2].partition(". Ctrl-C")[0]
        server.udp().ask(b"1 Alice")
        done = ask("check", port)
    assert done.code == 0
    assert done.out.startswith(f"{kept}: ")
    assert "\n1 event, 1 member, 0 pages.\n" in done.out


# What is none.


@pytest.mark.parametrize("command", ["check", "export", "replay", "compact"])
def test_where_there_is_none(command: str, tmp_path: Path) -> None:
    path = tmp_path / "none.journal"
    done = ask(command, path)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: there is no journal at {path}.\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_a_port_without_a_journal_names_the_file_that_there_would_be(own_sessions: Path) -> None:
    done = ask("check", "54321")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: there is no journal at {own_sessions.parent / '54321.journal'}.\n"


def test_what_is_too_large_for_a_port_is_a_file() -> None:
    assert ask("check", "65536").err == "Error: there is no journal at 65536.\n"


@pytest.mark.parametrize("command", ["check", "export", "replay", "compact"])
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("folder", "{} is not a file."),
        ("text", "{} is not a journal of groupchat."),
        ("empty", "{} is empty."),
        ("newer", "{} is from a newer groupchat (format 2, and this one reads 1)."),
        ("other database", "{} is not a journal of groupchat."),
        ("no file", "cannot {command} {}: Not a directory."),
    ],
)
def test_what_is_no_journal_is_one_clear_line_and_untouched(
    command: str, kind: str, problem: str, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = OTHERS[kind](folder / "other")
    before = fingerprint(folder / "other") if kind != "folder" else None
    done = ask(command, path)
    assert (done.code, done.out) == (1, "")
    what = problem.format(path, command="compact" if command == "compact" else "read")
    assert done.err == f"Error: {what}\n"
    assert [file.name for file in folder.iterdir()] == ["other"]
    assert before is None or fingerprint(folder / "other") == before


def folder_at(path: Path) -> Path:
    path.mkdir()
    return path


def text_at(path: Path) -> Path:
    path.write_text("not a journal\n" * 2_000)
    return path


def empty_at(path: Path) -> Path:
    path.touch()
    return path


def newer_at(path: Path) -> Path:
    made(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def database_at(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE batches (number INTEGER PRIMARY KEY)")
    connection.close()
    return path


def inside_a_file(path: Path) -> Path:
    text_at(path)
    return path / "chat.journal"


OTHERS: dict[str, Callable[[Path], Path]] = {
    "folder": folder_at,
    "text": text_at,
    "empty": empty_at,
    "newer": newer_at,
    "other database": database_at,
    "no file": inside_a_file,
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert ask("check", tmp_path / "pipe").err == f"Error: {tmp_path / 'pipe'} is not a file.\n"


def test_a_journal_that_is_gone_but_for_its_newest_part(path: Path) -> None:
    path.rename(path.with_name("chat.journal-wal"))
    done = ask("check", path)
    assert done.code == 1
    assert done.err == f"Error: {path} is gone, but its newest part, {path}-wal, is there.\n"


# Damaged ones. What is lost is told apart from what can be made again.


def damaged(path: Path, *lines: str) -> None:
    """Check that this and nothing else is said to be damaged, and nothing is touched."""
    before = fingerprint(path)
    done = ask("check", path)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[3:] == list(lines)
    assert fingerprint(path) == before


def save(path: Path, count: int) -> str:
    return (
        f"{count} records can be read. "
        f"Save them: python -m groupchat journal export {path} > saved.txt"
    )


def make_again(path: Path) -> str:
    return (
        "The log is whole: nothing that was said is lost. Stop the server, and have the rest made "
        f"again: python -m groupchat journal compact {path}"
    )


def test_it_says_where_damage_of_the_log_begins(path: Path) -> None:
    break_row(path, rows_of(path).batches[2])
    damaged(path, "Lost: batch 3 is damaged or missing (2 records).", save(path, 13))


def test_the_first_batch_can_be_it(path: Path) -> None:
    break_row(path, rows_of(path).batches[0], offset=12)
    damaged(path, "Lost: batch 1 is damaged or missing (2 records).", save(path, 13))


def test_and_the_last_if_a_snapshot_tells_of_it(path: Path) -> None:
    break_row(path, rows_of(path).batches[-1])
    damaged(path, "Lost: batch 12 is damaged or missing (1 record).", save(path, 14))


def test_every_place_is_named(path: Path) -> None:
    batches = rows_of(path).batches
    for number in (2, 5, 6):
        break_row(path, batches[number - 1])
    damaged(
        path,
        "Lost: batch 2 is damaged or missing (1 record).",
        "Lost: batches 5 to 6 are damaged or missing (2 records).",
        save(path, 12),
    )


def test_of_very_many_places_the_first_are_named(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    many(one, 60, a_batch=1)
    one.rest()
    one.journal.close()
    for row in rows_of(path).batches[1::2]:
        break_row(path, row)
    done = ask("check", path)
    lost = [line for line in done.out.splitlines() if line.startswith("Lost: ")]
    assert lost == [
        *(f"Lost: batch {n} is damaged or missing (1 record)." for n in range(2, 42, 2)),
        "Lost: ... and so on, 30 in all.",
    ]


def test_a_name_with_a_space_is_quoted_in_the_advice(tmp_path: Path) -> None:
    path = made(tmp_path / "our chat.journal")
    break_row(path, rows_of(path).batches[2])
    assert ask("check", path).out.endswith(f" journal export '{path}' > saved.txt\n")


@pytest.mark.parametrize("name", ["two\nlines", "a \x1b[2J", "\udcff"])
def test_a_message_is_one_line_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    shown = name.encode("unicode_escape").decode()
    path = tmp_path / name
    assert ask("export", path).err == f"Error: there is no journal at {tmp_path}/{shown}.\n"
    path.touch()
    assert ask("compact", path).err == f"Error: {tmp_path}/{shown} is empty.\n"
    done = run("serve", "--journal", str(path), "0")
    assert done.stderr.decode().startswith(f"Error: {tmp_path}/{shown} is empty; ")
    assert done.stderr.count(b"\n") == 1
    path.unlink()
    told = ask("check", made(path)).out
    assert told.startswith(f"{tmp_path}/{shown}: ")
    assert told.count("\n") == 4


def test_a_damaged_page_can_be_made_again(path: Path) -> None:
    break_row(path, rows_of(path).pages[0], offset=200)
    damaged(path, "Damaged: page 0 is not what was written.", make_again(path))


def test_a_damaged_snapshot_can_be_made_again(path: Path) -> None:
    snapshot = rows_of(path).snapshot
    assert snapshot
    break_row(path, snapshot)
    done = ask("check", path)
    assert done.code == 1
    assert done.out.splitlines()[2:] == [
        "16 events, 3 members, 1 page.",
        "Damaged: snapshot 12 is not what was written.",
        make_again(path),
    ]


def test_a_file_that_does_not_look_like_a_journal_any_more(path: Path) -> None:
    with path.open("rb+") as file:
        file.write(bytes(100))
    damaged(
        path,
        f"Damaged: {path} is not a journal of groupchat, by its first bytes.",
        make_again(path),
    )


def test_an_arrangement_that_is_out_of_order(path: Path) -> None:
    """A page of SQLite's own that says that something is where it is not."""
    with path.open("rb+") as file:
        file.seek(8_192 + 1)  # the first free block of the leaf with the batches
        file.write(b"\x1f\xf0")
    done = ask("check", path)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[1] == f"15 records in 12 batches, {WHEN}."
    assert len(lines) == 5
    assert lines[3].startswith("Damaged: the file is not in order: ")
    assert lines[4] == make_again(path)


# What has a right checksum, and is wrong all the same: only a mistake of ours could write it.


def changed_snapshot(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    row = rows_of(path).snapshot
    assert row
    state = json.loads(row.body)
    change(state)
    replace_row(path, "snapshot", seal(SNAPSHOT, row.number, json.dumps(state).encode()))


def rename_a_member(state: dict[str, object]) -> None:
    members = state["members"]
    assert isinstance(members, list)
    members[0][1] = "Eve"


def renumber_a_session(state: dict[str, object]) -> None:
    sessions = state["sessions"]
    assert isinstance(sessions, list)
    sessions[0][1] += 1


def lose_an_event(state: dict[str, object]) -> None:
    state["end"] = 15
    state["pages"] = [[0, 15]]
    members = state["members"]
    assert isinstance(members, list)
    for member in members:
        member[3] = min(member[3], 15)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (rename_a_member, "snapshot 12 has other members than the log"),
        (renumber_a_session, "snapshot 12 has other sessions than the log"),
        (lose_an_event, "snapshot 12 has 15 events, not 16"),
    ],
)
def test_a_snapshot_that_does_not_agree_with_the_log(
    path: Path, change: Callable[[dict[str, object]], object], what: str
) -> None:
    changed_snapshot(path, change)
    damaged(path, f"Damaged: {what}.", make_again(path))


def change_a_line(page: Page) -> None:
    at = page.lines.index(b"the end")
    page.lines[at : at + 3] = b"not"


def change_a_time(page: Page) -> None:
    page.times[3] += 1


def change_an_author(page: Page) -> None:
    page.authors[2] = -1


def change_a_kind(page: Page) -> None:
    page.kinds[2] = ord("j")


@pytest.mark.parametrize("change", [change_a_line, change_a_time, change_an_author, change_a_kind])
def test_a_page_that_does_not_agree_with_the_log(
    path: Path, change: Callable[[Page], None]
) -> None:
    page = page_of(rows_of(path).pages[0])
    change(page)
    replace_row(path, "pages", page_row(page))
    damaged(path, "Damaged: page 0 does not say what the log says.", make_again(path))


def test_a_page_that_says_something_else_than_it_is(path: Path) -> None:
    row = rows_of(path).pages[0]
    replace_row(path, "pages", Row(5, row.body, row.checksum))
    damaged(path, "Damaged: page 5 makes no sense.", make_again(path))


def test_a_page_that_is_missing(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM pages")
    connection.close()
    done = ask("check", path)
    assert done.out.splitlines()[2:] == [
        "16 events, 3 members, 0 pages, snapshot after batch 12.",
        "Damaged: page 0 is missing.",
        make_again(path),
    ]


def test_a_batch_that_does_not_know_how_many_events_there_were(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal", snapshot=False)
    row = rows_of(path).batches[-1]
    body = row.body.replace(b" 15\n", b" 14\n", 1)
    assert body != row.body
    replace_row(path, "batches", seal(BATCH, row.number, body))
    damaged(path, "Lost: batch 12 does not fit those before it.", save(path, 15))


def test_a_batch_without_records(tmp_path: Path) -> None:
    path = made(tmp_path / "chat.journal", snapshot=False)
    row = rows_of(path).batches[-1]
    head = row.body.partition(b"\n")[0]
    replace_row(path, "batches", seal(BATCH, row.number, head + b"\nnonsense"))
    damaged(path, "Lost: batch 12 makes no sense.", save(path, 14))


def test_a_base_that_is_damaged_is_a_loss(tmp_path: Path) -> None:
    """Who was there, and what they were called, stands nowhere else."""
    path = tmp_path / "chat.journal"
    let_go(journal(path, Retention(milliseconds=60_000)))
    base = rows_of(path).base
    assert base
    break_row(path, base)
    done = ask("check", path)
    assert done.code == 1
    assert f"Lost: base {base.number} is not what was written.\n" in done.out
    assert done.out.splitlines()[-1].startswith("7 records can be read. ")  # two say what went


def test_of_a_killed_server_s_journal_the_wal_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("Alice")))
    batch(one, ("udp 1", Send("in the WAL alone")))
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    one.journal.close()
    done = ask("check", copy)
    assert done.code == 0
    assert "\n2 records in 2 batches, " in done.out


def test_it_tells_how_far_it_is(path: Path) -> None:
    one = journal(path)
    many(one, 2_100, size=50, a_batch=1)
    one.rest()
    one.journal.close()
    told: list[int] = []
    assert verification.verify(path, told.append).whole
    assert len(told) >= 2
    assert 0 < sum(told) <= 2 * path.stat().st_size
