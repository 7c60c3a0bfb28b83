"""What the tests of the commands share."""

from pathlib import Path

import pytest

from tests.cli.journals import made


@pytest.fixture(autouse=True)
def own_sessions(sessions: Path) -> Path:
    """All of them have their own."""
    return sessions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with a short conversation in it."""
    return made(tmp_path / "chat.journal")
