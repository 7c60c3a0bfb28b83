"""What has arrived, until it is carried out.

What lives here: how much that may be, and whose turn it is. What must not: what is done with it.

Theory. While the journal writes, it gathers here, and a disk can be slow for long. More datagrams
than there is room for are lost, like any that a network loses. A connection loses nothing, so
whatever it hands over is taken; but each is then read only as fast as so many connections can be
borne, by the size of what it asks, until there is room again.

What is carried out at a time is bounded, so that nobody waits long who has just arrived. If there
is more, the senders take turns (round robin; J. Nagle, RFC 970): whoever asks little waits for one
request of each of the others, and whoever asks much for the rest of his own.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeAlias

from groupchat.core import Peer

__all__ = ["BATCH_REQUESTS", "CROWDED_BYTES", "GATHERED_BYTES", "GATHERED_REQUESTS", "Inbox"]

BATCH_REQUESTS: Final = 512
"""Requests that are carried out at a time, before what arrives next."""

GATHERED_REQUESTS: Final = 10_000
"""Requests that wait for the journal. More datagrams are lost like any that a network loses."""

GATHERED_BYTES: Final = 8 << 20
"""Bytes that those requests may have. With more, connections are read slowly, too."""

CROWDED_BYTES: Final = 1_024
"""Bytes a second that are read from each connection then."""


_Entry: TypeAlias = tuple[bytes | None, Peer]


class Inbox:
    """Gathers requests, and the ends of connections: those of one sender in their order."""

    def __init__(self) -> None:
        self._arrived: list[_Entry] = []
        self._turns: dict[str, deque[_Entry]] = {}  # by sender, what has waited for its turn
        self._waiting = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._arrived or self._turns)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more."""
        waiting = len(self._arrived) + self._waiting
        return waiting >= GATHERED_REQUESTS or self._bytes >= GATHERED_BYTES

    def put(self, request: bytes, peer: Peer) -> float:
        """Take a request, and return for how many seconds to read no more from a connection."""
        pause = len(request) / CROWDED_BYTES if self._bytes >= GATHERED_BYTES else 0.0
        self._arrived.append((request, peer))
        self._bytes += len(request)
        return pause

    def end(self, peer: Peer) -> None:
        """Take note that a connection has ended, after everything received from it."""
        self._arrived.append((None, peer))

    def batch(self) -> list[_Entry]:
        """Return what is to be carried out now, with None for the end of a connection, and have it
        no more."""
        if not self._turns and len(self._arrived) <= BATCH_REQUESTS:
            return self.empty()
        for entry in self._arrived:
            self._turns.setdefault(entry[1].sender, deque()).append(entry)
        self._waiting += len(self._arrived)
        self._arrived = []
        batch = list(islice(self._take_turns(), BATCH_REQUESTS))
        self._bytes -= sum(len(request) for request, _ in batch if request is not None)
        return batch

    def empty(self) -> list[_Entry]:
        """Return all there is, and have it no more."""
        everything = [*self._take_turns(), *self._arrived]
        self._arrived, self._bytes = [], 0
        return everything

    def _take_turns(self) -> Iterator[_Entry]:
        while self._turns:
            sender = next(iter(self._turns))
            queue = self._turns.pop(sender)
            entry = queue.popleft()
            if queue:
                self._turns[sender] = queue
            self._waiting -= 1
            yield entry
