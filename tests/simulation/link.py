"""How a member reaches the server: by datagrams from an address, or by a connection.

What lives here: addresses that are given up and taken, connections that are made and break. What
must not: what is sent, and when it is sent again.
"""

from collections.abc import Callable

from groupchat.core.sessions.wire import DATAGRAM_BYTES
from tests.simulation.connection import Connection
from tests.simulation.network import Network, Receive
from tests.simulation.world import Violation

__all__ = ["Link"]


class Link:
    """One member's way to the server.

    Args:
        network: where the server is.
        number: the member's, which makes its machine's address.
        receive: called with what arrives.
        changed: called when a connection is there, or has broken.
    """

    def __init__(
        self, network: Network, number: int, receive: Receive, changed: Callable[[], None]
    ) -> None:
        self.owed_since: int | None = None
        """Since when the server owes an answer by the connection."""
        self._network = network
        self._world = network.world
        self._number = number
        self._receive = receive
        self._changed = changed
        self._ports = 0
        self._address = ""
        self._connection: Connection | None = None

    @property
    def is_up(self) -> bool:
        """Whether something can be sent."""
        if self._connection is None:
            return self._address in self._network.receivers
        return self._connection.state == "open"

    def come(self, *, by_connection: bool) -> None:
        """Go on from another address."""
        self.leave()
        self._ports += 1
        self._address = f"10.0.{self._world.below(3)}.{self._number}:{40_000 + self._ports}"
        if by_connection:
            self._world.counts["connections"] += 1
            self._connection = self._connected()
        else:
            self._network.bind(self._address, self._arrived)

    def leave(self) -> None:
        """Be reached by nothing any more."""
        connection, self._connection, self.owed_since = self._connection, None, None
        self._network.unbind(self._address)
        if connection is not None:
            connection.close()

    def fail(self) -> None:
        """Have the connection break, if there is one."""
        if self._connection is not None:
            self._connection.broken()

    def send(self, request: bytes) -> None:
        """Send a request."""
        if self._connection is not None:
            if self.owed_since is None:
                self.owed_since = self._world.now
            self._connection.send(request)
            return
        if len(request) > DATAGRAM_BYTES:
            raise Violation(f"{self._address} sent a datagram of {len(request)} bytes")
        self._network.send(self._address, request)

    def _connected(self) -> Connection:
        def changed() -> None:
            if connection is self._connection:
                if connection.state == "closed":
                    self._connection = None
                self._changed()

        connection = Connection(self._network, self._address, self._arrived, changed)
        return connection

    def _arrived(self, data: bytes, horizon: int) -> None:
        self.owed_since = None
        self._receive(data, horizon)
