"""Who is let in, and how fast: connections and requests.

Members are counted one by one, so nobody can use up what is another's; whoever is not in
the group is counted by his address, and all such addresses together, for addresses can be made
up. Nothing here costs more than a look into a dictionary, since this is where a flood ends.

Over the limit, a connection is read more slowly, and loses nothing; a new one of an address that
makes them without end is refused. A member by datagrams is told so, but no more often than he may
ask; and a stranger gets no answer, for that could go to somebody else whose address he has put on
his request.
"""

from collections.abc import Callable
from typing import Final

from groupchat.core import Peer
from groupchat.core.peer import FROM_MEMBER, FROM_STRANGER, UNWANTED, Reception
from groupchat.server.buckets import Buckets
from groupchat.server.limits import Limits
from groupchat.server.stray import is_here

__all__ = ["Gate"]

_BURST_SECONDS: Final = 4.0


class Gate:
    """Lets in.

    Args:
        limits: whom, and how fast.
        monotonic: returns the time, in milliseconds; it never goes back.
    """

    def __init__(self, limits: Limits, monotonic: Callable[[], int]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._members = Buckets(limits.requests)
        self._strangers = Buckets(limits.stranger_requests)
        # A reply to an address that nobody has waits in the socket for some seconds, and with
        # some hundreds of those it is full. So many are not sent, whoever asks.
        self._all_strangers = Buckets(limits.stranger_requests, burst=_BURST_SECONDS)
        self._newcomers = Buckets(limits.stranger_requests, debt=_BURST_SECONDS)
        self._connections: dict[str, int] = {}
        self._connected = 0

    def come(self, peer: Peer) -> Reception:
        """Count the connection of *peer*, if there may be one more.

        It is what a stranger asks, and so are his requests on it: else whoever makes a new one for
        each request could ask as fast as he can connect. Who goes on making more than that is
        refused, which costs less than to have them wait.
        """
        if self._newcomers.take(peer.source, self._monotonic()) <= self._newcomers.floor:
            return UNWANTED
        here = self._connections.get(peer.source, 0)
        limits = self._limits
        if limits.connections is not None and self._connected >= limits.connections:
            return UNWANTED
        if limits.connections_a_source is not None and here >= limits.connections_a_source:
            return UNWANTED
        self._connected += 1
        self._connections[peer.source] = here + 1
        return self._stranger(peer)

    def gone(self, peer: Peer) -> None:
        """Count the connection of *peer* no more."""
        self._connected -= 1
        left = self._connections.pop(peer.source) - 1
        if left:
            self._connections[peer.source] = left

    def judge(self, peer: Peer, member: str | None, commands: int) -> Reception:
        """Return how a request is received.

        Args:
            peer: where it came from.
            member: who it is, if that is a member.
            commands: for how many requests it counts.
        """
        now = self._monotonic()
        if member is not None:
            left = self._members.take(member, now, commands)
            if left >= 0:
                return FROM_MEMBER
            if peer.datagram is None:
                return Reception(known=True, wanted=True, pause=self._members.wait(left))
            told = left > -2.0 * (self._limits.requests or 0)
            return Reception(known=False, wanted=False, told=told)
        if peer.datagram is None:
            return self._stranger(peer, commands)
        # What is refused owes nothing. Else, where more come than are let in, nobody would be.
        left = self._strangers.take(peer.source, now, commands, owe=False)
        if left >= 0 and not is_here(peer.source):
            left = self._all_strangers.take("", now, owe=False)
        return FROM_STRANGER if left >= 0 else UNWANTED

    def _stranger(self, peer: Peer, commands: int = 1) -> Reception:
        left = self._strangers.take(peer.source, self._monotonic(), commands)
        return Reception(known=False, wanted=True, pause=self._strangers.wait(left))
