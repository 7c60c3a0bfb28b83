"""The network: datagrams that get lost, repeated, late, cut and damaged.

What lives here: what becomes of each datagram between a client and the server, and the count of
what an address was sent before it had proved that it receives. What must not: what is in them.

Theory. Each datagram has its own fate, drawn when it is sent. Those of the plain protocol, which
has no means against any of this, go to and from this machine itself (127.0.0.1), where nothing
gets lost or overtaken. An address that nobody receives at any more swallows what is sent to it.
Connections are next door, in :mod:`tests.simulation.connection`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeAlias

from attrs import define, field, frozen

from groupchat.core import ILLEGAL_REQUEST, Service
from groupchat.core.peer import Reception
from groupchat.core.sessions.wire import DATAGRAM_BYTES
from groupchat.transports.udp import MAX_DATAGRAM_BYTES
from tests.simulation.world import MILLISECOND, SECOND, Life, Violation, World

__all__ = ["CALM", "Network", "Receive", "Weather", "host_of"]

Receive: TypeAlias = Callable[[bytes, int], None]
"""Called with what has arrived at a client, and with the position at which the truth ended when
the server let go of it."""

_COOKIE: Final = re.compile(rb"(?:cookie=|open 1 [a-z0-9-]+ [0-9a-f]{16} )([0-9a-f]{16})")
_SEALED: Final = re.compile(rb"@[0-9a-f]{8} ")
_PROVE: Final = re.compile(rb"@[0-9a-f]{8} prove ([0-9a-f]{16})")
_THIS_MACHINE: Final = "127."


@frozen
class Weather:
    """What the network does to datagrams. The probabilities are for one datagram."""

    loss: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    """How often one is so late that others overtake it."""
    damage: float = 0.0
    """How often some bytes of one are others."""
    cut: float = 0.0
    """How often the end of one is missing."""
    delay: int = MILLISECOND
    """Microseconds that one is under way at the least."""
    jitter: int = MILLISECOND
    """Microseconds that it can take longer."""
    slow: float = 0.0
    """How often a client stops reading from its connection for a while."""


CALM: Final = Weather()


@define(eq=False)
class _Count:
    """What went to and from an address."""

    received: int = 0
    sent: int = 0
    """Replies of sessions."""
    plain: int = 0
    """All other replies."""
    since: int = 0
    proved: bool = False
    cookies: set[bytes] = field(factory=set)


class Broken(Protocol):
    """What breaks when there is no server any more."""

    def broken(self) -> None:
        """Break."""

    def end(self) -> None:
        """Be closed by the server."""


def host_of(address: str) -> str:
    """Return the machine that an address is on."""
    return address.partition(":")[0]


class Network:
    """All datagrams.

    Args:
        world: drives it.
        horizon: returns the position at which the truth ends now.
        stray: bytes a second that one address may be sent, unproved, by the plain protocol.
    """

    def __init__(self, world: World, horizon: Callable[[], int], stray: int) -> None:
        self.world = world
        self.horizon = horizon
        self.weather = CALM
        self.service: Service | None = None
        """The server, while there is one."""
        self.life = Life()
        """Its life."""
        self.receivers: dict[str, Receive] = {}
        """Who receives at which address."""
        self.cut_off: dict[str, int] = {}
        """Machines that nothing gets to or from, and until when."""
        self.lately: list[bytes] = []
        """Some requests of sessions, for those who listen to everything."""
        self.connections: list[Broken] = []
        """Those that have reached the server, to be broken when it goes."""
        self.heard: dict[bytes, int] = {}
        """When the server has last heard a member, by token or by sender."""
        self._numbers = 0
        self._stray = stray
        self._due: dict[str, int] = defaultdict(int)  # when the last one arrives, if in order
        self._counts: dict[str, _Count] = {}

    # The client's side.

    def bind(self, address: str, receive: Receive) -> None:
        """Have *receive* called with what arrives at *address*."""
        self.receivers[address] = receive

    def unbind(self, address: str) -> None:
        """Have what arrives at *address* get lost from now on."""
        self.receivers.pop(address, None)

    def send(self, address: str, datagram: bytes) -> None:
        """Send a request from *address*, whosever that is, to the server."""
        if datagram.startswith(b"@"):
            if len(datagram) > MAX_DATAGRAM_BYTES:
                return  # no such datagram can be sent
            if len(self.lately) < 50 or self.world.chance(0.1):
                self.lately[self.world.below(50) : self.world.below(50)] = [datagram]
                del self.lately[50:]
        self.world.note(address, b"> " + datagram)
        self._carry(address, datagram, lambda data: self._arrive(address, data))

    def forge(self, address: str, datagram: bytes) -> None:
        """Send *datagram* to a client in the server's name."""
        receive = self.receivers.get(address)
        if receive is not None:
            self.world.note(address, b"! " + datagram)
            receive(datagram, self.horizon())

    # The server's side.

    def next_number(self) -> int:
        """Return the number of the next connection to this server."""
        self._numbers += 1
        return self._numbers

    def server_comes(self, service: Service, life: Life) -> None:
        """There is a server."""
        self.service, self.life = service, life
        self._numbers = 0
        self.heard.clear()

    def server_closes(self) -> None:
        """The server closes its connections, and is told that they have ended."""
        for connection in self.connections:
            connection.end()

    def server_goes(self) -> None:
        """There is no server any more, and so no connection."""
        self.service = None
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.broken()

    def reply(self, address: str, datagram: bytes) -> None:
        """Send a reply to *address*."""
        self.world.note(address, b"< " + datagram)
        count = self._counts[address]
        if _SEALED.match(datagram):  # else it may be a roster with a name like that
            if len(datagram) > DATAGRAM_BYTES:
                raise Violation(f"{address} was sent a datagram of {len(datagram)} bytes")
            proof = _PROVE.fullmatch(datagram)
            if proof:
                count.cookies.add(proof[1])
            count.sent += len(datagram)
        else:
            count.plain += len(datagram)
        if not count.proved and not address.startswith(_THIS_MACHINE):
            self._check_amplification(address, count)
        horizon = self.horizon()

        def deliver(data: bytes) -> None:
            receive = self.receivers.get(address)
            if receive is not None:
                receive(data, horizon)

        self._carry(address, datagram, deliver)

    def _check_amplification(self, address: str, count: _Count) -> None:
        allowed = 3 * count.received
        if count.sent > allowed:
            raise Violation(f"{address} is unproved, sent {count.received}, was sent {count.sent}")
        seconds = (self.world.now - count.since) / SECOND
        stray = self._stray * (8 + seconds) + 5_000  # the burst, what came since, and one more
        if count.sent + count.plain > allowed + stray:
            raise Violation(f"{address} is unproved and was sent {count.plain} bytes of plain text")

    def _arrive(self, address: str, datagram: bytes) -> None:
        service = self.service
        if service is None or datagram == ILLEGAL_REQUEST:
            return
        count = self._counts.get(address)
        if count is None:
            count = self._counts[address] = _Count(since=self.world.now)
        count.received += len(datagram)
        if not count.proved and count.cookies:
            shown = _COOKIE.search(datagram)
            count.proved = shown is not None and shown[1] in count.cookies
        self.hear(
            datagram, f"udp {address}", service.receive(datagram, _Peer(self, self.life, address))
        )

    def hear(self, request: bytes, sender: str, reception: Reception) -> None:
        """Take note that the server has received something from a member."""
        if reception.known and reception.wanted:
            self.heard[request[10:42] if request.startswith(b"@") else sender.encode()] = (
                self.world.now
            )

    # Under way.

    def _carry(self, address: str, datagram: bytes, deliver: Callable[[bytes], None]) -> None:
        world, weather = self.world, self.weather
        if address.startswith(_THIS_MACHINE):
            due = self._due[address] = max(self._due[address], world.now + world.between(30, 300))
            world.call_later(due - world.now, lambda: deliver(datagram))
            return
        if self.cut_off.get(host_of(address), 0) > world.now or world.chance(weather.loss):
            world.counts["datagrams lost"] += 1
            return
        copies = 1
        if world.chance(weather.repeat):
            copies += world.between(1, 2)
            world.counts["datagrams repeated"] += 1
        for _ in range(copies):
            took = weather.delay + world.below(weather.jitter + 1)
            if world.chance(weather.late):
                took *= world.between(2, 40)
                world.counts["datagrams late"] += 1
            arriving = self._spoilt(datagram)
            world.call_later(took, lambda data=arriving: deliver(data))  # type: ignore[misc]

    def _spoilt(self, datagram: bytes) -> bytes:
        world, weather = self.world, self.weather
        if world.chance(weather.damage) and datagram:
            damaged = bytearray(datagram)
            for _ in range(world.between(1, 3)):
                damaged[world.below(len(damaged))] = world.below(256)
            world.counts["datagrams damaged"] += 1
            if damaged.startswith(b"@"):  # else it could be a request of the plain protocol
                datagram = bytes(damaged)
        if world.chance(weather.cut):
            world.counts["datagrams cut"] += 1
            datagram = datagram[: world.below(len(datagram) + 1)]
        return datagram


class _Peer:
    """The sender of one datagram, as the server sees him."""

    __slots__ = ("_address", "_life", "_network", "sender", "source")

    datagram = MAX_DATAGRAM_BYTES

    def __init__(self, network: Network, life: Life, address: str) -> None:
        self._network = network
        self._life = life
        self._address = address
        self.sender = f"udp {address}"
        self.source = host_of(address)

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        if pieces is not None and not self._life.over:
            self._network.reply(self._address, b"".join(pieces))

    def push(self, _: Iterable[bytes], __: Callable[[], None]) -> None:
        raise Violation("something was pushed to a datagram's sender")

    def welcome(self) -> None:
        pass

    def close(self) -> None:
        pass
