"""What has arrived, until it is carried out.

What lives here: how much that may be, and whose turn it is. What must not: what is done with it.

Theory. While the journal writes, it gathers here, and a disk can be slow for long. More datagrams
than there is room for are lost, like any that a network loses. A connection loses nothing, so
whatever it hands over is taken; but each is then read only as fast as so many connections can be
borne, by the number and the size of what it asks, until there is room again.

What is carried out at a time is bounded, so that nobody waits long who has just arrived. The
senders take turns (round robin; J. Nagle, RFC 970): whoever asks little waits for one request of
each of the others, and whoever asks much for the rest of his own.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final, TypeAlias

from groupchat.core import Peer

__all__ = [
    "BATCH_REQUESTS",
    "CROWDED_BYTES",
    "CROWDED_REQUESTS",
    "GATHERED_BYTES",
    "GATHERED_REQUESTS",
    "Inbox",
]

BATCH_REQUESTS: Final = 512
"""Requests that are carried out at a time, before what arrives next."""

GATHERED_REQUESTS: Final = 10_000
"""Requests that wait for the journal. More datagrams are lost like any that a network loses, but
for one of each member who has nothing waiting."""

GATHERED_BYTES: Final = 8 << 20
"""Bytes that those requests may have. With more, connections are read slowly, too."""

CROWDED_BYTES: Final = 1_024
"""Bytes a second that are read from each connection then."""

CROWDED_REQUESTS: Final = 4
"""Requests a second that are taken from each connection while more than :data:`GATHERED_REQUESTS`
wait."""


_Entry: TypeAlias = tuple[bytes | None, Peer]


class Inbox:
    """Gathers requests, and the ends of connections: those of one sender in their order."""

    def __init__(self) -> None:
        # By sender, the one whose turn it is first. Of a plain dict, the first is slow to find when
        # many before it have been taken out.
        self._turns: OrderedDict[str, deque[_Entry]] = OrderedDict()
        self._waiting = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._turns)

    def has_room(self, peer: Peer, *, known: bool) -> bool:
        """Return whether to take a datagram of *peer*. For one of a *known* sender who has nothing
        waiting there is room although others have filled it."""
        if self._bytes >= GATHERED_BYTES:
            return False
        return self._waiting < GATHERED_REQUESTS or (known and peer.sender not in self._turns)

    def holds(self, sender: str) -> bool:
        """Whether something of *sender* is waiting."""
        return sender in self._turns

    def put(self, request: bytes, peer: Peer) -> float:
        """Take a request, and return for how many seconds to read no more from a connection."""
        pause = len(request) / CROWDED_BYTES if self._bytes >= GATHERED_BYTES else 0.0
        if self._waiting >= GATHERED_REQUESTS:
            pause = max(pause, 1 / CROWDED_REQUESTS)
        self._add((request, peer))
        self._bytes += len(request)
        return pause

    def end(self, peer: Peer) -> None:
        """Take note that a connection has ended, after everything received from it."""
        self._add((None, peer))

    def batch(self) -> Iterator[_Entry]:
        """Take out what is to be carried out now, with None for the end of a connection."""
        return itertools.islice(self.everything(), BATCH_REQUESTS)

    def everything(self) -> Iterator[_Entry]:
        """Take out all there is."""
        while self._turns:
            sender, queue = self._turns.popitem(last=False)
            entry = queue.popleft()
            if queue:
                self._turns[sender] = queue
            self._waiting -= 1
            self._bytes -= len(entry[0] or b"")
            yield entry

    def _add(self, entry: _Entry) -> None:
        sender = entry[1].sender
        queue = self._turns.get(sender)
        if queue is None:
            self._turns[sender] = deque((entry,))
        else:
            queue.append(entry)
        self._waiting += 1
