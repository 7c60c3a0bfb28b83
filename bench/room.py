"""One room full of members, whatever kind of server has it: what an experiment asks of each.

What lives here: the interface. The rooms themselves: :mod:`bench.followers`, :mod:`bench.ngircd`,
:mod:`bench.nats`.
"""

import socket
from collections.abc import Callable
from typing import Final, Protocol

from bench.process import Process

__all__ = ["MARKER", "TEXT", "Room", "arrived"]

MARKER: Final = "%"
"""Stands once in every message, and in nothing else that a server sends. ``load.c`` counts it."""

TEXT: Final = MARKER + "x" * 63
"""What is said: 64 bytes."""


class Room(Protocol):
    """A server with some members, all in one group, channel or subject."""

    @property
    def server(self) -> Process:
        """Its process."""

    @property
    def request(self) -> bytes:
        """What the writer sends to say :data:`TEXT`."""

    @property
    def writer(self) -> socket.socket:
        """The connection of a member who speaks, and is not told what he says himself."""

    @property
    def followers(self) -> list[socket.socket]:
        """The connections of the others, who are told everything unasked."""

    def acknowledge(self, messages: int) -> None:
        """Have the followers say, if it is usual, that they have *messages* more."""


def arrived(connection: socket.socket, is_all: Callable[[bytes], bool]) -> bytes:
    """Return what arrives by *connection*, as soon as it *is_all*.

    Raises:
        RuntimeError: the server has closed it before.
    """
    data = b""
    while not is_all(data):
        more = connection.recv(65_536)
        if not more:
            raise RuntimeError(f"the server refuses a member: {data!r}")
        data += more
    return data
