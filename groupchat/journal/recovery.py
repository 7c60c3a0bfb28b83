"""How the state is found again from what is stored.

What lives here: how what is stored becomes a chat. What must not: anything that writes.

Theory. The log alone decides. The straight way would be to take the state in which it begins, an
empty chat or the *base*, and to apply all records. The short way is to take the newest snapshot,
and to apply the batches that came after it; it leads to the same state. But every batch is
checked, those before the snapshot too, and every page; so damage is found when a journal is
opened, and not when somebody happens to come by.
"""

from collections.abc import Callable

from attrs import frozen

from groupchat.core.chat import Chat
from groupchat.core.pages import Page
from groupchat.journal.chain import Chain
from groupchat.journal.rows import (
    BATCH,
    PAGE,
    SNAPSHOT,
    State,
    check,
    header_of,
    records_of,
    state_of,
)
from groupchat.journal.storage import Damaged, Reading, Row

__all__ = [
    "Progress",
    "Recovered",
    "beginning",
    "recover",
    "replay",
    "restore",
    "without_pages",
]

Progress = Callable[[int], object]
"""Called now and then with the number of bytes read since the last time."""


@frozen
class Recovered:
    """What a journal has led to."""

    chat: Chat
    chain: Chain
    """Where its log ends."""
    base: State | None
    fresh: int
    """How many records the log has that are not in the snapshot."""
    fresh_bytes: int
    """How many bytes the batches with these have."""


def recover(reading: Reading, bring: Callable[[int], Page], progress: Progress = bool) -> Recovered:
    """Return the state by the short way.

    Args:
        reading: the journal.
        bring: returns the page with the given first position.
        progress: see :data:`Progress`.

    Raises:
        Damaged: what is there cannot be trusted.
    """
    chain, base = Chain.begin(reading)
    row = reading.snapshot()
    state = base if row is None else state_of(SNAPSHOT, row)
    if state is None:
        state = beginning()
    chat = restore(SNAPSHOT, state, without_pages if row is None else bring)
    if state.number < chain.number:
        raise Damaged(f"{SNAPSHOT} {state.number:,} is older than the base")
    _compare(chain, state)
    fresh_bytes = 0
    for batch in chain.follow(reading.batches(chain.number), state.number, progress):
        if batch.number > state.number:
            replay(chat, batch)
            fresh_bytes += len(batch.body)
        else:
            _compare(chain, state)
    if chain.number < state.number:
        raise Damaged(f"the batches after {chain.number:,} are missing")
    for place in chat.group.timeline.pages[:-1]:
        if not isinstance(place.page, Page):
            progress(_check_page(reading, place.first))
    return Recovered(chat, chain, base, chain.records - state.records, fresh_bytes)


def replay(chat: Chat, batch: Row) -> None:
    """Apply the records of *batch* to *chat*.

    Raises:
        Damaged: that makes no sense.
    """
    if header_of(batch).events != chat.group.timeline.end:
        raise Damaged(f"{BATCH} {batch.number:,} does not fit the state before it")
    try:
        for record in records_of(batch):
            chat.apply(record)
    except (LookupError, ValueError, OverflowError) as error:
        raise Damaged(f"{BATCH} {batch.number:,} makes no sense: {error!r}") from error


def without_pages(first: int) -> Page:
    """Return the page with which a base begins: an empty one."""
    return Page(first)


def beginning() -> State:
    """Return the state in which every log begins."""
    return State(0, 0, 0, Chat().snapshot())


def restore(kind: str, state: State, bring: Callable[[int], Page]) -> Chat:
    """Return the chat in a *state*.

    Args:
        kind: how to call it.
        state: the state.
        bring: returns the page with the given first position.

    Raises:
        Damaged: it makes no sense.
    """
    try:
        return Chat.restore(state.chat, bring)
    except ValueError as error:
        raise Damaged(f"{kind} {state.number:,} makes no sense: {error}") from error


def _compare(chain: Chain, state: State) -> None:
    same = (state.checksum, state.records) == (chain.checksum, chain.records)
    if chain.number == state.number and not same:
        raise Damaged(f"{SNAPSHOT} {state.number:,} does not belong to the batches")


def _check_page(reading: Reading, first: int) -> int:
    row = reading.page(first)
    if row is None:
        raise Damaged(f"{PAGE} {first:,} is missing")
    check(PAGE, row)
    return len(row.body)
