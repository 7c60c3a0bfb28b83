"""Old pages of the durable journal: they leave memory, are brought back, and go."""

import gc
import weakref
from pathlib import Path

import pytest

from groupchat.core import Join, Leave, Send
from groupchat.core.pages import Page, Shelved
from groupchat.core.records import Record
from groupchat.journal import durable
from groupchat.journal.durable import DurableJournal
from groupchat.journal.rows import PAGE, seal
from groupchat.journal.storage import Damaged
from tests.core.reading import text
from tests.journal.making import (
    Kept,
    batch,
    journal,
    keeper,
    lines,
    many,
    opened,
    reopened,
    same,
)


@pytest.mark.usefixtures("small")
def test_few_pages_are_in_memory_however_much_waits() -> None:
    storage = Kept()
    one = keeper(storage)
    many(one, 200, size=40, a_batch=1)
    pages = one.chat.group.timeline.pages
    assert len(pages) > 40
    assert sum(isinstance(place.page, Page) for place in pages) <= 3
    assert all(isinstance(place.page, Shelved) for place in pages[:-3])
    again = DurableJournal(storage).chat
    assert sum(isinstance(place.page, Page) for place in again.group.timeline.pages) <= 6
    assert same(again, one.chat)
    assert lines(one.chat).count(b"\n") == 202


@pytest.mark.usefixtures("small")
def test_few_old_pages_stay_in_memory_when_they_have_been_read() -> None:
    one = keeper(Kept())
    many(one, 200, size=40, a_batch=1)
    assert lines(one.chat).count(b"\n") == 202
    assert len(one.journal._cache) == durable.CACHED_PAGES


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("passed", [False, True], ids=["one is behind", "all are ahead"])
@pytest.mark.parametrize("often", [1, 7], ids=["a snapshot a batch", "few"])
def test_a_reply_that_waits_keeps_no_page_in_memory_but_what_it_needs_is_stored(
    path: Path, monkeypatch: pytest.MonkeyPatch, passed: bool, often: int
) -> None:
    monkeypatch.setattr(durable, "RECENT_PAGES", 5)
    monkeypatch.setattr(durable, "SNAPSHOT_RECORDS", 100)
    one = journal(path)
    timeline, storage = one.chat.group.timeline, one.journal._storage
    many(one, 12, size=40, a_batch=1)
    excerpts = [timeline.excerpt(0), timeline.excerpt(5, most=6)]
    told = [text(excerpt) for excerpt in excerpts]
    pages = [weakref.ref(place.page) for place in timeline.pages]
    assert all(isinstance(page(), Page) for page in pages)
    assert len(pages) == 4
    if passed:
        batch(one, ("udp 2", Leave()))
    monkeypatch.setattr(durable, "RECENT_PAGES", 0)
    monkeypatch.setattr(durable, "SNAPSHOT_RECORDS", often)
    many(one, 40, size=40, a_batch=1)
    gc.collect()
    assert [page() for page in pages] == [None] * 4
    assert (timeline.start > timeline.held[0].first) is passed
    # At each snapshot it is said what may go.
    assert [text(excerpt) for excerpt in excerpts] == told
    excerpts.clear()
    one.rest()
    assert next(storage.pages()).number == timeline.held[0].first == timeline.start
    assert lines(opened(path).chat, timeline.start) == lines(one.chat, timeline.start)


@pytest.mark.usefixtures("small")
def test_a_reply_that_waits_keeps_its_own_pages_and_none_that_come_later(path: Path) -> None:
    """They would be counted for the size that may be kept, and others' messages go instead."""
    one = journal(path)
    storage, timeline = one.journal._storage, one.chat.group.timeline
    many(one, 2, size=40, a_batch=1)
    waits = timeline.excerpt(timeline.end - 1)
    told = text(waits)
    many(one, 100, size=40, a_batch=1)
    batch(one, ("udp 2", Leave()))
    many(one, 10, size=40, a_batch=1)
    one.rest()
    assert 1 < len(list(storage.pages())) < 6
    assert text(waits) == told
    del waits
    one.rest()
    assert next(storage.pages()).number == timeline.start


@pytest.mark.usefixtures("small")
def test_pages_that_everybody_has_read_are_let_go_of() -> None:
    storage = Kept()
    one = keeper(storage)
    many(one, 100, size=40, a_batch=1)
    assert len(storage.shelf) > 20
    batch(one, ("udp 2", Leave()))
    many(one, 10, size=40, a_batch=1)
    assert len(storage.shelf) < 6
    assert same(reopened(storage), one.chat)


@pytest.mark.usefixtures("small")
def test_pages_that_could_not_be_stored_are_stored_later() -> None:
    storage = Kept()
    one = keeper(storage)
    batch(one, ("udp 1", Join("Al")), ("udp 2", Join("Bo")))
    for number in range(100):
        storage.failing = number % 3 == 0
        standing = one.chat.group.standing("udp 1")
        record = Record(one.now, "udp 1", standing, (Send("x" * 90),), 1_024)
        assert one.keep(record) is not storage.failing
    storage.failing = False
    batch(one, ("udp 1", Send("y")))
    assert sum(isinstance(place.page, Page) for place in one.chat.group.timeline.pages) <= 4
    assert lines(reopened(storage)) == lines(one.chat)


def test_a_page_that_cannot_be_brought_back_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "RECENT_PAGES", 0)
    storage = Kept()
    one = keeper(storage)
    many(one, 1_000, size=500)
    first = min(storage.shelf)
    storage.shelf[first] = seal(PAGE, first, b"")
    assert isinstance(one.chat.group.timeline.pages[0].page, Shelved)
    with pytest.raises(Damaged, match="makes no sense"):
        lines(one.chat)
    del storage.shelf[first]
    with pytest.raises(Damaged, match="is missing"):
        lines(one.chat)

    def failing(_: int) -> None:
        raise OSError("disk I/O error")

    monkeypatch.setattr(storage, "page", failing)
    with pytest.raises(Damaged, match=f"page {first} cannot be read: disk I/O error"):
        lines(one.chat)
