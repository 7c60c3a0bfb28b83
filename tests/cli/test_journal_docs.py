"""What the pages show of ``groupchat journal`` is what it says of the journals of these tests."""

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.journals import break_row, made, rows_of
from tests.test_docs import ROOT, Block, blocks, run

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="the examples are for a Unix-like system"
)

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
