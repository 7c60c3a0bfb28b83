"""Plain members, and what they are answered."""

from tests.world import Recorder, World

__all__ = ["REFUSED", "UDP", "joined"]

REFUSED = b"Illegal request"
UDP = 65_507
"""How long a datagram may be, in bytes."""


def joined(world: World, name: str, datagram: int | None = None, source: str = "") -> Recorder:
    """Return a peer who has joined *world*, from a machine of his own unless *source* names one."""
    peer = Recorder(name, datagram, source or f"192.0.2.{len(name)}")
    assert world.ask(peer, b"1 " + name.encode()) is not None
    assert name in world.journal.chat.group
    return peer
