"""What the pages show of ``groupchat journal`` is what it says of the journals of these tests."""

import os
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest

from groupchat.core import Join, Leave, Rename, Send
from groupchat.journal.retention import Retention
from tests.cli.journals import TOLD, break_row, made, rows_of
from tests.journal.making import START, batch, journal
from tests.test_docs import ROOT, Block, blocks, run, write_files

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="the examples are for a Unix-like system"
)

FORMAT = ROOT / "docs" / "reference" / "journal.md"
KEEP = ROOT / "docs" / "howto" / "keep.md"
EXAMPLES = [
    block
    for block in blocks(KEEP, "text")
    if block.text.startswith(("$ groupchat journal ", "$ groupchat serve --journal damaged"))
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the journals that the page speaks of."""
    folder = tmp_path / "folder"
    folder.mkdir()
    whole, damaged, page = (folder / f"{name}.journal" for name in ("chat", "damaged", "page"))
    rows = rows_of(made(whole))
    for copy, row in ((damaged, rows.batches[4]), (page, rows.pages[0])):
        shutil.copy(whole, copy)
        break_row(copy, row, offset=200 if copy is page else 40)
    return folder


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_keep(block: Block, folder: Path) -> None:
    shown = ""
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            shown += line + run(line.removeprefix("$ "), folder)
    assert shown == block.text


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 7


# A reader of the format that knows nothing but what its page says.


def test_the_reader_s_example(folder: Path) -> None:
    write_files(FORMAT, folder)
    (block,) = (block for block in blocks(FORMAT, "text") if block.text.startswith("$ "))
    command, *shown = block.text.splitlines()
    assert run(command.removeprefix("$ "), folder).splitlines() == shown


def read(path: Path) -> str:
    """Return what the reader prints, or how it ends."""
    write_files(FORMAT, path.parent)
    return run(f"python read.py {path.name}", path.parent)


def test_the_reader_reads_all_that_happened(folder: Path) -> None:
    assert read(folder / "chat.journal") == TOLD


def test_the_reader_finds_damage(folder: Path) -> None:
    path = folder / "damaged.journal"
    before = "".join(TOLD.splitlines(keepends=True)[:6])
    assert sorted(read(path).splitlines()) == sorted([*before.splitlines(), "batch 5 is damaged"])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM batches WHERE number = 3")
    connection.close()
    assert "batch 3 is missing\n" in read(path)


def test_the_reader_begins_with_the_base(folder: Path) -> None:
    path = folder / "old.journal"
    one = journal(path, Retention(milliseconds=60_000))
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")), ("udp 2", Rename("Rob")))
    one.now += 200_000
    batch(one, ("udp 2", Send("new")), ("udp 1", Leave()))
    while one.tick():
        pass
    one.journal.close()
    assert read(path) == "Rob: new\nAlice has left the group\n"


def test_the_page_has_the_tables_that_there_are(folder: Path) -> None:
    (block,) = blocks(FORMAT, "sql")
    with sqlite3.connect(folder / "chat.journal") as connection:
        schema = connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid")
        assert block.text == "".join(f"{sql};\n" for (sql,) in schema)
    connection.close()


def test_a_page_lies_as_the_page_says(folder: Path) -> None:
    (row,) = rows_of(folder / "chat.journal").pages
    first, count, size = struct.unpack_from("<qII", row.body)
    columns = struct.unpack_from(f"<{count}I{count}q{count}q{count}c", row.body, 16)
    ends, times, authors, kinds = (columns[n * count : (n + 1) * count] for n in range(4))
    lines = row.body[-size:].decode()
    assert (first, count, size, lines) == (0, 16, len(TOLD.encode()), TOLD)
    assert 16 + count * 21 + size == len(row.body)
    assert ends[-1] == size
    assert (times[0], times[-1]) == (START, START + 10_000)
    assert authors[:6] == (-1, -1, 0, 1, 1, -1)
    assert b"".join(kinds) == b"jjsrsjssssssslj" + b"s"
