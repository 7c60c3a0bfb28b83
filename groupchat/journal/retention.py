"""How long old events are kept, if not for ever, and what to let go of next.

What lives here: which batches are too old, or too many, and the base that takes their place. What
must not: when that is written.

Theory. The oldest batches go first, and whole. What they had led to is kept as the *base*: the
state after the last of them, without its events, so that the rest of the log still means what it
meant. It is found by applying them once more, a few thousand records at a time, to a chat that
stands there. Nobody is told anything by that chat: how far members had come stands in their
records.

To let go of something costs two snapshots. So it is done in portions: only when something is a
hundredth older than it may be, and then to the full; or when there is too much, and then a
hundredth more.
"""

from typing import Final

from attrs import evolve, frozen

from groupchat.core.chat import Chat
from groupchat.journal.recovery import beginning, restore, without_pages
from groupchat.journal.rows import BASE, BATCH, State, records_of, state_row, time_of
from groupchat.journal.storage import Damaged, Reading, Row

__all__ = ["FOR_EVER", "STEP_BYTES", "STEP_RECORDS", "Base", "Removal", "Retention"]

STEP_RECORDS: Final = 5_000
"""Records that are let go of in one step, so that nobody waits for it."""

STEP_BYTES: Final = 16 << 20
"""Bytes of batches, likewise."""

_PORTION: Final = 100


@frozen
class Retention:
    """What to keep; whatever is over one of the two bounds is let go of, the oldest first."""

    milliseconds: int | None = None
    """Events older than this are let go of; None for any age."""
    size: int | None = None
    """Bytes to keep; None for any number."""


FOR_EVER = Retention()
"""Keep everything."""


@frozen
class Base:
    """Something that can take the place of the oldest batches."""

    row: Row
    position: int
    """The position of the first event that is kept."""


class Removal:
    """Finds what to let go of.

    Args:
        reading: the journal.
        base: with which it begins now, if it has one.
    """

    def __init__(self, reading: Reading, base: State | None) -> None:
        self._reading = reading
        self._state = beginning() if base is None else base
        self._chat: Chat | None = None  # in that state, once it is needed
        self._since: int | None = None  # when the oldest batch after it was written, if known
        self._position = 0 if base is None else base.chat["end"]  # of the newest base

    def next(
        self, retention: Retention, now: int, size: int, last: int, first_page: int
    ) -> Base | None:
        """Return the next base; None if there is nothing to let go of.

        Args:
            retention: what to keep.
            now: the time, in milliseconds since 1970.
            size: how many bytes there are.
            last: the number of the last batch that may go.
            first_page: where the pages begin that are stored.

        Raises:
            Damaged: the batches cannot be read.
        """
        if self._since is None and self._state.number < last:
            first = next(self._reading.batches(self._state.number), None)
            self._since = None if first is None else time_of(first)
        if self._since is None:
            return None
        age, most, oldest, excess = retention.milliseconds, retention.size, -1, 0
        if age is not None and self._since < now - age - age // _PORTION:
            oldest = now - age
        if most is not None and size > most:
            excess = size - most + most // _PORTION
        if oldest < 0 and not excess:
            return None
        base = self._go_on(oldest, excess, last, first_page, now)
        if base.position == self._position:
            return None  # no event would go, and it would only be written that nothing does
        self._position = base.position
        return base

    def _go_on(self, oldest: int, excess: int, last: int, first_page: int, now: int) -> Base:
        state, chat = self._state, self._chat or restore(BASE, self._state, without_pages)
        self._chat = None  # until this has come to a good end
        number, checksum, records, size = state.number, state.checksum, state.records, 0
        for row in self._reading.batches(number):
            if row.number > last or (time_of(row) > oldest and excess <= 0):
                break
            stored_twice = chat.group.timeline.end >= first_page  # in a page, too
            self._apply(chat, row)
            excess -= len(row.body) * (2 if stored_twice else 1)
            number, checksum = row.number, row.checksum
            records += row.body.count(b"\n")
            size += len(row.body)
            if records - state.records >= STEP_RECORDS or size >= STEP_BYTES:
                break
        position = chat.group.timeline.end
        whole = {**chat.snapshot(), "pages": [[position, position]], "dropped_time": now}
        self._state, self._chat = State(number, checksum, records, whole), chat
        self._since = None
        return Base(state_row(BASE, self._state), position)

    @staticmethod
    def _apply(chat: Chat, row: Row) -> None:
        timeline = chat.group.timeline
        try:
            for record in records_of(row):
                chat.apply(evolve(record, budget=-1))  # tells nobody anything
        except (LookupError, ValueError, OverflowError) as error:
            raise Damaged(f"{BATCH} {row.number:,} makes no sense: {error!r}") from error
        timeline.drop(timeline.end, timeline.dropped_time)
