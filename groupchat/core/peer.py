"""The face that the chat shows to whatever carries its bytes.

Two interfaces and no code: a *peer* is where a request comes from and where its reply goes, a
*service* is whom to hand it to. They stand in the core so that a transport, which implements
the one and calls the other, and a server, which does the reverse, need not know each other.
"""

from collections.abc import Iterable
from typing import Protocol

__all__ = ["Peer", "Service"]


class Peer(Protocol):
    """Where a request came from, and where its reply goes."""

    @property
    def sender(self) -> str:
        """Who this is: the same for all requests of one member, different for others, readable
        in a log, and beginning with the transport's name: ``udp 127.0.0.1:54321``."""

    @property
    def budget(self) -> int | None:
        """Most bytes that a reply should have, or None if any length will do. Replies are cut
        at line ends; a single line can be longer."""

    def reply(self, pieces: Iterable[bytes]) -> None:
        """Send one reply, whose bytes are *pieces* in their order; no pieces is an empty reply.

        Does not wait and does not raise because of the network: a reply that cannot be sent
        is lost. *pieces* may be long and is produced as it is read: with a slow peer, go on
        reading only as fast as he takes it.
        """


class Service(Protocol):
    """What a transport is handed: whom to tell of what arrives. Both calls return at once."""

    def receive(self, request: bytes, peer: Peer) -> None:
        """Take one request, with its line end if it came with one."""

    def gone(self, peer: Peer) -> None:
        """Take note that *peer* has ended its connection, after everything received from it."""
