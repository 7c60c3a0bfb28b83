"""What docs/reliability.md promises is shown by tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`]*)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_is_there(name: str) -> None:
    path = ROOT / name
    assert path.is_file() or list(path.glob("**/*.py"))


def test_every_promise_names_a_test() -> None:
    rows = [
        row
        for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE)
        if not row.startswith("| promise")
    ]
    promises = [row for row in rows if not set(row) <= set("| -")]
    assert len(promises) > 10
    assert all("`tests/" in row for row in promises)
