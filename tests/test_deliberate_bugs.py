"""Tests that cannot fail prove nothing. Here each safety claim is broken on purpose, in a copy of
the project, by one change to the code; the tests named beside it must notice.
"""

import multiprocessing
import os
import runpy
import shutil
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.bugs import BUGS, Bug
from tests.conftest import Row

ROOT = Path(__file__).parent.parent
RUN = Path(__file__).parent / "bugs" / "run.py"

QUICKLY = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
"""No plugins but what the tests need, and no explanation of what differs: they would take as long
as many of these tests."""

IMPORTED = [
    "asyncio",
    "attrs",
    "click",
    "hypothesis.strategies",
    "pytest",
    "pytest_timeout",
    "sqlite3",
]
"""What nearly all tests import, and none of it from this project."""

SECONDS = 100.0


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """What starts processes that have imported that already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("COV"):
                patch.delenv(name)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("GROUPCHAT_TEST_MEANT_TO_FAIL", "1")  # many a bug shows in what never comes
        yield context


@pytest.mark.parametrize("bug", BUGS, ids=[bug.claim for bug in BUGS])
def test_it_is_found_when(bug: Bug, tmp_path: Path, processes: ForkServerContext, row: Row) -> None:
    shutil.copytree(ROOT / "groupchat", tmp_path / "groupchat")
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "groupchat" / bug.module
    source = path.read_text()
    assert source.count(bug.right) == 1, "the code that this bug changes has changed itself"
    path.write_text(source.replace(bug.right, bug.wrong))
    tests = [*QUICKLY, f"--basetemp={tmp_path / 'tmp'}", *bug.tests.split()]
    process = processes.Process(
        target=runpy.run_path, args=(str(RUN), {"FOLDER": str(tmp_path), "TESTS": tests})
    )
    process.start()
    process.join(SECONDS)
    process.kill()
    output = (tmp_path / "output").read_text()
    assert (tmp_path / "exit").read_text() == "1", output  # tests ran, and one failed
    title = "Deliberate bugs, found by tests"
    row(title, BUGS.index(bug), f"not {bug.claim!r}: {bug.tests.partition(' ')[0]}")
