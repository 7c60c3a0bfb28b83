"""``groupchat journal check`` of what has a right checksum, and is wrong all the same: only a
mistake of ours could write it.
"""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from groupchat.core.pages import Page
from groupchat.journal.rows import BATCH, SNAPSHOT, page_of, page_row, seal
from groupchat.journal.storage import Row
from tests.cli.journals import ask, made, replace_row, rows_of
from tests.cli.verdicts import damaged, make_again, save


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
