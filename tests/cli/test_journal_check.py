"""``groupchat journal check``: what it says of a journal that is whole, and of what is none."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from groupchat.core import Join, Send
from groupchat.journal import verification
from tests.cli.journals import ask, lengthened, let_go, made
from tests.cli.verdicts import WHEN
from tests.journal.making import batch, copy_of, fingerprint, journal
from tests.ports import free_port
from tests.processes import serving


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
    path = let_go(tmp_path / "old.journal")
    done = ask("check", path)
    assert done.code == 0, done.out
    assert "Events before, not kept any more: 102.\n" in done.out
    assert done.out.endswith("Everything is as it should be.\n")


def test_of_a_killed_server_s_journal_the_wal_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("Alice")))
    batch(one, ("udp 1", Send("in the WAL alone")))
    copy = copy_of(path, tmp_path / "copy")
    one.journal.close()
    done = ask("check", copy)
    assert done.code == 0
    assert "\n2 records in 2 batches, " in done.out


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


def test_a_port_stands_for_the_journal_of_the_server_there() -> None:
    port = str(free_port())
    with serving(port) as server:
        kept = server.program.out.seen[0].partition(" kept in ")[2].partition(". Ctrl-C")[0]
        server.udp().ask(b"1 Alice")
        done = ask("check", port)
    assert done.code == 0
    assert done.out.startswith(f"{kept}: ")
    assert "\n1 event, 1 member, 0 pages.\n" in done.out


def test_it_tells_how_far_it_is(path: Path) -> None:
    lengthened(path, 2_100, size=50)
    told: list[int] = []
    assert verification.verify(path, told.append).whole
    assert len(told) >= 2
    assert 0 < sum(told) <= 2 * path.stat().st_size


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
