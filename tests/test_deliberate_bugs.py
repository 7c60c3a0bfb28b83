"""Tests that cannot fail prove nothing. Here each safety claim is broken on purpose, in a copy of
the project, by one change to the code; the tests named beside it must notice.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bugs import BUGS, Bug
from tests.conftest import Row

ROOT = Path(__file__).parent.parent

QUICKLY = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
"""No plugins but what the tests need, and no explanation of what differs: they would take as long
as many of these tests."""


@pytest.mark.parametrize("bug", BUGS, ids=[bug.claim for bug in BUGS])
def test_it_is_found_when(bug: Bug, tmp_path: Path, row: Row) -> None:
    shutil.copytree(ROOT / "groupchat", tmp_path / "groupchat")
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "groupchat" / bug.module
    source = path.read_text()
    assert source.count(bug.right) == 1, "the code that this bug changes has changed itself"
    path.write_text(source.replace(bug.right, bug.wrong))
    env = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *QUICKLY, *bug.tests.split()],
        cwd=tmp_path,
        # Many a bug shows in that something never comes.
        env={
            **env,
            "PYTHONPATH": str(tmp_path),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "GROUPCHAT_TEST_MEANT_TO_FAIL": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # 1: tests ran, and one failed
    title = "Deliberate bugs, found by tests"
    row(title, BUGS.index(bug), f"not {bug.claim!r}: {bug.tests.partition(' ')[0]}")
