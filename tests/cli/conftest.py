"""What the tests of the commands share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_sessions(sessions: Path) -> Path:
    """All of them have their own."""
    return sessions
