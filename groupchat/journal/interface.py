"""What a journal is: the few calls between it and the server.

The log of a group is what its journal says it is. A server hands over the records that it wants
in the log, and is told when they are there; only then does it apply them, and only then does
anybody hear of them. That may take a while, in which the server gathers what comes next; and a
journal that several servers write to can put the records of others in between.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from groupchat.core.chat import Chat
from groupchat.core.records import Drop, Record

__all__ = ["Done", "Journal"]

Done: TypeAlias = Callable[[OSError | None], None]
"""Called once with None when what was asked for is safe, or with what went wrong."""


class Journal(Protocol):
    """Where the log is kept."""

    @property
    def chat(self) -> Chat:
        """The state that the log so far has led to. The server applies what it appends."""

    def append(self, records: Sequence[Record], done: Done) -> None:
        """Put *records* at the end of the log: all of them, durably, or none.

        Returns at once and calls *done*, now or later. Until then the chat must not be changed
        and nothing else be appended.
        """

    def outdated(self, now: int) -> Drop | None:
        """Return what should be let go of at the time *now*, in milliseconds since 1970, because
        nothing so old, or not so much, is to be kept. It is for the server to append that."""

    def rest(self, done: Done) -> None:
        """Write down what is worth keeping and not in the log, before the server stops: how far
        members have read. Nothing may be under way."""

    def close(self) -> None:
        """Let go of everything."""
