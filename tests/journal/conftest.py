"""What the tests of journals share."""

from pathlib import Path

import pytest

from groupchat.core import Join
from groupchat.core.records import Record
from groupchat.core.timeline import Timeline
from groupchat.journal import durable
from tests.journal.making import conversation, copy_of, journal


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few lines, few of them in memory, and snapshots often."""
    defaults = (150, *(Timeline.__init__.__defaults__ or ())[1:])
    monkeypatch.setattr(Timeline.__init__, "__defaults__", defaults)
    monkeypatch.setattr(durable, "RECENT_PAGES", 1)
    monkeypatch.setattr(durable, "CACHED_PAGES", 2)
    monkeypatch.setattr(durable, "SNAPSHOT_RECORDS", 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "chat.journal"


@pytest.fixture
def made(path: Path) -> Path:
    """A journal with a conversation in it, and no WAL."""
    one = journal(path)
    conversation(one)
    one.rest()
    one.journal.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture
def killed(made: Path, tmp_path: Path) -> Path:
    """A journal whose server was killed: a part of it is in the WAL."""
    one = journal(made)
    one.keep(Record(one.now, "udp 9", 0, (Join("Last"),), 1_024))
    copy = copy_of(made, tmp_path / "killed")
    one.journal.close()
    assert copy.with_name(copy.name + "-wal").stat().st_size > 0
    return copy
