"""Connections: bytes in order, until one side is gone, which the other learns later.

What lives here: one connection, both ends of it. What must not: how a stream is cut into requests
and replies, for that is the transport's, and tested with it: here, each comes whole.

Theory. What is under way when a connection breaks is lost in both directions, and each side is
told after a while of its own. A reply is read from its pieces only as fast as the client takes
it; while he does not, none of his requests are handed over, like in the transport ``tcp``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from groupchat.core import Service
from tests.simulation.network import Network, Receive, host_of
from tests.simulation.world import MILLISECOND, SECOND, Life, Violation

__all__ = ["Connection"]


class Connection:
    """One connection to the server, from the client's side.

    Args:
        network: where the server is.
        address: the client's.
        receive: called with what arrives.
        changed: called when :attr:`state` is another.
    """

    def __init__(
        self, network: Network, address: str, receive: Receive, changed: Callable[[], None]
    ) -> None:
        self.network = network
        self.address = address
        self.sender = ""
        """Who the server takes this for."""
        self.state = "connecting"
        """``connecting``, ``open`` or ``closed``, as the client knows it."""
        self.pipe = Life()
        """Over when it has broken."""
        self._receive = receive
        self._changed = changed
        self._peer: _Peer | None = None
        self._up_due = self._down_due = 0
        self.network.world.call_later(self._delay(), self._reach)

    def send(self, request: bytes) -> None:
        """Send a request; it arrives, after those before, if the connection holds."""
        world, peer = self.network.world, self._peer
        world.note(self.address, b"> " + request)
        assert peer is not None
        self._up_due = max(self._up_due, world.now + self._delay())
        world.call_later(self._up_due - world.now, lambda: peer.arrive(request + b"\n"), self.pipe)

    def close(self) -> None:
        """Close it; the server learns later."""
        self._close()
        self.broken(tell_client=False)

    def broken(self, *, tell_client: bool = True) -> None:
        """It breaks, and both sides learn later."""
        if self.pipe.over:
            return
        self.pipe.over = True
        world = self.network.world
        world.note(self.address, b"the connection breaks")
        world.counts["connections broken"] += 1
        if self._peer is not None:
            world.call_later(self._late(), self._peer.lost, self._peer.life)
        if tell_client:
            world.call_later(self._late(), self._close)

    def end(self) -> None:
        """The server closes it. What it has not sent by then is lost."""
        if self._peer is not None and not self.pipe.over:
            self._peer.lost()

    def deliver(self, message: bytes, horizon: int) -> None:
        """Have the server's *message* arrive."""
        world = self.network.world
        self._down_due = max(self._down_due, world.now + self._delay())

        def arrive() -> None:
            if self.state != "closed":
                self._receive(message, horizon)

        world.call_later(self._down_due - world.now, arrive, self.pipe)

    def _reach(self) -> None:
        network = self.network
        service = network.service
        if self.state == "closed":
            return
        if service is None or network.cut_off.get(host_of(self.address), 0) > network.world.now:
            self.pipe.over = True
            network.world.call_later(self._delay(), self._close)
            return
        peer = _Peer(self, service, network.life)
        self._peer, self.sender = peer, peer.sender
        network.connections.append(self)
        reception = service.come(peer)
        if reception.wanted:
            peer.wait(reception.pause)
            network.world.call_later(self._delay(), self._open, self.pipe)
        else:
            peer.may_stay = False
            self.broken()

    def _open(self) -> None:
        if self.state == "connecting":
            self.state = "open"
            self._changed()

    def _close(self) -> None:
        if self.state != "closed":
            self.state = "closed"
            self._changed()

    def _delay(self) -> int:
        weather = self.network.weather
        return weather.delay + self.network.world.below(weather.jitter + 1)

    def _late(self) -> int:
        """Return after which time a side learns that the connection has broken."""
        world = self.network.world
        return world.between(0, 5 * SECOND if world.chance(0.3) else 50 * MILLISECOND)


class _Peer:
    """The server's side of a connection."""

    datagram = None

    def __init__(self, connection: Connection, service: Service, life: Life) -> None:
        self._connection = connection
        self._service = service
        self.life = life
        self.source = host_of(connection.address)
        self.sender = f"tcp {connection.address} #{connection.network.next_number()}"
        self.may_stay = True
        self._arrived: deque[bytes] = deque()
        self._unanswered = 0
        self._unsent: deque[tuple[Iterator[bytes], Callable[[], None] | None]] = deque()
        self._written: list[bytes] = []  # of the first of those
        self._horizon = 0  # when it was first read: it can have been made then
        self._writable = True
        self._paused = False
        self._closing = False

    def arrive(self, request: bytes) -> None:
        if not self.life.over:
            self._arrived.append(request)
            self._go_on()

    def wait(self, seconds: float) -> None:
        if seconds:
            self._paused = True
            world = self._connection.network.world
            world.call_later(int(seconds * SECOND), self._unpause, self.life)

    def lost(self) -> None:
        self._unsent.clear()
        while self._arrived:
            self._unanswered += 1
            self._service.receive(self._arrived.popleft(), self)
        if self.may_stay:
            self._service.gone(self)

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        self._unanswered -= 1
        if self._unanswered < 0:
            raise Violation(f"{self.sender} got a reply too many")
        if pieces is not None:
            self.push(pieces, None)

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None] | None) -> None:
        if not self.life.over and not self._connection.pipe.over:
            self._unsent.append((iter(pieces), sent))
            self._go_on()

    def welcome(self) -> None:
        pass

    def close(self) -> None:
        self._closing = True
        self._go_on()

    def _go_on(self) -> None:
        world = self._connection.network.world
        while self._unsent and self._writable:
            pieces, sent = self._unsent[0]
            if not self._written:
                self._horizon = self._connection.network.horizon()
            piece = next(pieces, None)
            if piece is not None:
                self._written.append(piece)
                if world.chance(self._connection.network.weather.slow):
                    self._writable = False
                    world.counts["readers slow"] += 1
                    world.call_later(world.between(1, 700) * MILLISECOND, self._resume, self.life)
                continue
            self._unsent.popleft()
            message = b"".join(self._written)
            self._written.clear()
            if sent is not None:
                world.call_later(0, sent, self.life)
                if not message:
                    continue  # there was nothing to push after all
                world.counts["messages pushed"] += 1
            world.note(self._connection.address, b"< " + message)
            self._connection.deliver(message, self._horizon)
        while self._arrived and self._writable and not self._paused and self._unanswered < 16:
            self._unanswered += 1
            request = self._arrived.popleft()
            reception = self._service.receive(request, self)
            self._connection.network.hear(request, self.sender, reception)
            self.wait(reception.pause)
        if self._closing and not (self._unsent or self._unanswered):
            self._connection.broken()

    def _resume(self) -> None:
        self._writable = True
        self._go_on()

    def _unpause(self) -> None:
        self._paused = False
        self._go_on()
