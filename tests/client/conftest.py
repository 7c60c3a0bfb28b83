"""What the tests of the client share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.taker import Taker


@pytest.fixture(autouse=True)
def own_sessions(sessions: Path) -> Path:
    """All of them have their own."""
    return sessions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where sessions are kept that a test takes."""
    return tmp_path / "state"


@pytest.fixture
def told() -> list[str]:
    """What people were told."""
    return []


@pytest.fixture
def take(folder: Path, told: list[str]) -> Iterator[Taker]:
    """What takes them."""
    taker = Taker(folder, told)
    yield taker
    for slot in taker.slots:
        slot.close()
