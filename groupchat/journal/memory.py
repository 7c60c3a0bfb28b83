"""No journal: the group lives and dies with the server."""

from collections.abc import Callable, Sequence

from groupchat.core.chat import Chat
from groupchat.core.records import Drop, Record
from groupchat.core.timeline import Page
from groupchat.journal.interface import Done
from groupchat.journal.retention import FOR_EVER, Retention, older_than

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Keeps nothing but the state.

    Args:
        retention: how much of that.
    """

    def __init__(self, retention: Retention = FOR_EVER) -> None:
        self.chat = Chat()
        self._retention = retention

    def append(self, records: Sequence[Record], done: Done) -> None:  # noqa: ARG002
        """Call *done* at once."""
        done(None)

    def outdated(self, now: int) -> Drop | None:
        """Return what to let go of."""
        timeline = self.chat.group.timeline
        position = timeline.start
        if self._retention.milliseconds is not None:
            position = older_than(timeline, now - self._retention.milliseconds)
        if self._retention.size is not None:
            pages = [page for page in timeline.pages if isinstance(page, Page)]
            size = sum(len(page.lines) for page in pages)
            for page in pages[:-1]:
                if size > self._retention.size:
                    position = max(position, page.stop)
                size -= len(page.lines)
        return Drop(position) if position > timeline.start else None

    def rest(self, done: Callable[[OSError | None], None]) -> None:
        """Call *done* at once."""
        done(None)

    def close(self) -> None:
        """Do nothing."""
