"""No journal: the group lives and dies with the server."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from groupchat.core.chat import Chat
from groupchat.core.records import Drop, Record
from groupchat.journal.interface import Done
from groupchat.journal.retention import FOR_EVER, Retention

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Keeps nothing but the state.

    Args:
        retention: how much of that.
    """

    def __init__(self, retention: Retention = FOR_EVER) -> None:
        self.chat = Chat()
        self._retention = retention

    def append(self, records: Sequence[Record], done: Done) -> None:  # noqa: ARG002  it keeps none
        """Call *done* at once."""
        done(None)

    def outdated(self, now: int) -> Drop | None:
        """Return what to let go of."""
        timeline, retention = self.chat.group.timeline, self._retention
        position = timeline.start
        pages = [place.load() for place in timeline.pages]
        if retention.milliseconds is not None:
            oldest = now - retention.milliseconds
            for page in pages:
                position = max(position, page.first + bisect_right(page.times, oldest))
                if position < page.stop:
                    break
        if retention.size is not None:
            size = sum(page.size for page in pages)
            for page in pages[:-1]:
                if size <= retention.size:
                    break
                position = max(position, page.stop)
                size -= page.size
        return Drop(position) if position > timeline.start else None

    def rest(self, done: Callable[[OSError | None], None]) -> None:
        """Call *done* at once."""
        done(None)

    def close(self) -> None:
        """Do nothing."""
