"""``groupchat journal check`` of a damaged journal: what is lost is told apart from what can be
made again.
"""

from pathlib import Path

import pytest

from tests.cli.journals import ask, break_row, lengthened, let_go, made, rows_of
from tests.cli.verdicts import WHEN, damaged, make_again, save
from tests.processes import run


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
    path = lengthened(tmp_path / "chat.journal", 60)
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


def test_a_base_that_is_damaged_is_a_loss(tmp_path: Path) -> None:
    """Who was there, and what they were called, stands nowhere else."""
    path = let_go(tmp_path / "chat.journal")
    base = rows_of(path).base
    assert base
    break_row(path, base)
    done = ask("check", path)
    assert done.code == 1
    assert f"Lost: base {base.number} is not what was written.\n" in done.out
    assert done.out.splitlines()[-1].startswith("7 records can be read. ")  # two say what went
