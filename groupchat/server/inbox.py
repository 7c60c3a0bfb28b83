"""What has arrived, until it is carried out.

What lives here: how much that may be. What must not: what is done with it.

Theory. While the journal writes, it gathers here, and a disk can be slow for long. More datagrams
than there is room for are lost, like any that a network loses. A connection loses nothing, so
whatever it hands over is taken; but each is then read only as fast as so many connections can be
borne, by the size of what it asks, until there is room again.
"""

from collections.abc import Iterator
from typing import Final

from groupchat.core import Peer

__all__ = ["CROWDED_BYTES", "GATHERED_BYTES", "GATHERED_REQUESTS", "Inbox"]

GATHERED_REQUESTS: Final = 10_000
"""Requests that wait for the journal. More datagrams are lost like any that a network loses."""

GATHERED_BYTES: Final = 8 << 20
"""Bytes that those requests may have. With more, connections are read slowly, too."""

CROWDED_BYTES: Final = 1_024
"""Bytes a second that are read from each connection then."""


class Inbox:
    """Gathers requests, and the ends of connections, in their order."""

    def __init__(self) -> None:
        self._arrived: list[tuple[bytes | None, Peer]] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._arrived)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more."""
        return len(self._arrived) >= GATHERED_REQUESTS or self._bytes >= GATHERED_BYTES

    def put(self, request: bytes, peer: Peer) -> float:
        """Take a request, and return for how many seconds to read no more from a connection."""
        pause = len(request) / CROWDED_BYTES if self._bytes >= GATHERED_BYTES else 0.0
        self._arrived.append((request, peer))
        self._bytes += len(request)
        return pause

    def end(self, peer: Peer) -> None:
        """Take note that a connection has ended, after everything received from it."""
        self._arrived.append((None, peer))

    def empty(self) -> Iterator[tuple[bytes | None, Peer]]:
        """Return all there is, with None for the end of a connection, and have it no more."""
        arrived, self._arrived, self._bytes = self._arrived, [], 0
        return iter(arrived)
