"""Who is silent for too long: members, who then leave, and connections that no member uses.

What lives here: how long that has been. What must not: what becomes of them.

Theory. Silence is measured in ticks. The clock can be set, by years on a machine that has just
found a network; and while a machine sleeps, nobody can be heard.
"""

from typing import Final

from attrs import define

from groupchat.core import Peer
from groupchat.core.group import Group
from groupchat.server.limits import Limits

__all__ = ["TICK_SECONDS", "Silence"]

TICK_SECONDS: Final = 1.0
"""Seconds between two looks at who has been silent for too long."""


@define(eq=False)
class _Connection:
    since: int
    """The last tick at which a member used it; before the first, the one at which it came."""
    member: str = ""
    """Who has used it last, of those who were members then."""


class Silence:
    """Measures silence.

    Args:
        group: knows who is a member.
        limits: how long one may be silent.
    """

    def __init__(self, group: Group, limits: Limits) -> None:
        self._group = group
        self._limits = limits
        self._ticks = 0
        self._ticked = False  # since it was last asked which members are silent
        self._members = dict.fromkeys(map(str, group.members), 0)  # and when they were heard
        self._connections: dict[Peer, _Connection] = {}
        self._latest: dict[str, Peer] = {}  # of each member, the connection that he has used last

    def heard(self, member: str) -> None:
        """Take note that *member* has asked something."""
        self._members.pop(member, None)
        self._members[member] = self._ticks  # the last to be heard stands last

    def left(self, member: str) -> None:
        """Forget *member*."""
        self._members.pop(member, None)
        self._latest.pop(member, None)

    def come(self, peer: Peer) -> None:
        """Take note of a connection."""
        self._connections[peer] = _Connection(self._ticks)

    def gone(self, peer: Peer) -> None:
        """Forget a connection."""
        self._forget(peer)

    def used(self, peer: Peer, sender: str) -> None:
        """Take note that *sender* has asked something by *peer*."""
        connection = self._connections.get(peer)
        if connection is not None and sender in self._group:
            connection.member = sender
            self._latest[sender] = peer

    def tick(self) -> list[Peer]:
        """Let a tick pass, and return the connections that no member has used for too long. They
        are forgotten."""
        self._ticks += 1
        self._ticked = True
        if self._limits.silence is None:
            return []
        silent = []
        for peer, connection in self._connections.items():
            if self._latest.get(connection.member) is peer:
                connection.since = self._ticks
            elif self._is_too_long(connection.since, self._limits.silence):
                silent.append(peer)
        for peer in silent:
            self._forget(peer)
        return silent

    def members(self) -> list[str]:
        """Return, once a tick, the members who have been silent for too long."""
        if self._limits.idle is None or not self._ticked:
            return []
        self._ticked = False
        silent = []
        for sender, heard in self._members.items():
            if not self._is_too_long(heard, self._limits.idle):
                break
            silent.append(sender)
        return silent

    def _forget(self, peer: Peer) -> None:
        connection = self._connections.pop(peer, None)
        if connection is not None and self._latest.get(connection.member) is peer:
            del self._latest[connection.member]

    def _is_too_long(self, since: int, limit: int) -> bool:
        return (self._ticks - since) * TICK_SECONDS >= limit
