"""What the tests of journals share."""

import pytest

from groupchat.core.timeline import Timeline
from groupchat.journal import durable


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few lines, few of them in memory, and snapshots often."""
    defaults = (150, *(Timeline.__init__.__defaults__ or ())[1:])
    monkeypatch.setattr(Timeline.__init__, "__defaults__", defaults)
    monkeypatch.setattr(durable, "RECENT_PAGES", 1)
    monkeypatch.setattr(durable, "CACHED_PAGES", 2)
    monkeypatch.setattr(durable, "SNAPSHOT_RECORDS", 7)
