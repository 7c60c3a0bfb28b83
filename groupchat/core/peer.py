"""The face that the chat shows to whatever carries its bytes.

Two interfaces and no code: a *peer* is where a request comes from and where its reply goes, a
*service* is whom to hand it to. They stand in the core so that a transport, which implements
the one and calls the other, and a server, which does the reverse, need not know each other.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from attrs import frozen

__all__ = ["FROM_MEMBER", "FROM_STRANGER", "UNWANTED", "Peer", "Reception", "Service"]


@frozen
class Reception:
    """How a request was received, or a connection."""

    known: bool
    """Whether its sender is a member: what comes from there should get through."""
    wanted: bool
    """Whether it was taken; if not, its sender asks more than he may, or the connection has to
    go."""
    pause: float = 0.0
    """For how many seconds to take no more from this connection, which asks too much."""
    told: bool = False
    """Whether a reply tells its sender that it was not taken."""


FROM_MEMBER: Final = Reception(known=True, wanted=True)
FROM_STRANGER: Final = Reception(known=False, wanted=True)
UNWANTED: Final = Reception(known=False, wanted=False)


class Peer(Protocol):
    """Where a request came from, and where its reply goes."""

    @property
    def sender(self) -> str:
        """Who this is: the same for all requests of one member, different for others, readable
        in a log, and beginning with the transport's name: ``udp 127.0.0.1:54321``. If it is a
        connection, and gone for ever when that ends, there is a ``#`` in it."""

    @property
    def source(self) -> str:
        """Which machine this is, as far as the transport can tell: its address, without what
        the machine can choose freely, such as a port, or the second half of an IPv6 address."""

    @property
    def datagram(self) -> int | None:
        """Most bytes that one message to this peer can have, if each is a datagram, which can
        get lost, and whose sender can be forged; None if this is a connection."""

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        """Send the reply to the oldest request that has none yet, or (None) send nothing. Where
        there is no connection, it may come before :meth:`Service.receive` has returned.

        Its bytes are *pieces* in their order; no pieces at all is an empty reply. Does not wait and
        does not raise because of the network: a reply that cannot be sent is lost. *pieces* may
        be long and is produced as it is read: with a slow peer, go on reading only as fast as he
        takes it.
        """

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Send something that is no reply, in the same form, after all that was sent before. Only
        for connections.

        Args:
            pieces: its bytes, made as they are read; if none come after all, nothing is sent.
            sent: called when *pieces* have been read and the peer can take more, perhaps at once.
                Not called if he is gone first.
        """

    def welcome(self) -> None:
        """Take note that this has become a member: what comes from here should get through."""

    def close(self) -> None:
        """End the connection once all is sent. Nothing, where there is none."""


class Service(Protocol):
    """What a transport is handed: whom to tell of what arrives. All calls return at once."""

    @property
    def unsent_bytes(self) -> int:
        """How many bytes may wait for a slow peer, whose replies are not read on meanwhile."""

    def come(self, peer: Peer) -> Reception:
        """Take note that *peer*, which is a connection, is there. Return whether it may stay, and
        when the first request may be taken from it. If it may not stay, nothing else is to be told
        of it."""

    def receive(self, request: bytes, peer: Peer) -> Reception:
        """Take one request, with its line end if it came with one."""

    def gone(self, peer: Peer) -> None:
        """Take note that *peer* has ended its connection, after everything received from it."""
