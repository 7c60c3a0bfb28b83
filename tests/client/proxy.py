"""A bad network: a UDP proxy that loses, repeats, delays and reorders datagrams.

It stands between clients and a server, on this machine, and does to each datagram, in both
directions, what a generator of random numbers says. The same seed decides the same for the
same datagrams; when they come, the machine decides.

It can also do what a network does to whoever moves: from one moment on, the server sees all
clients at other ports (:meth:`Proxy.move`), or the ports that clients have sent from so far lead
nowhere any more (:meth:`Proxy.strand`), or nothing gets through (:attr:`Proxy.down`,
:attr:`Proxy.mute`).
"""

import random
import selectors
import socket
import threading
import time
from collections import Counter
from typing import Any, Self

from attrs import define, field, frozen

from tests.processes import DEADLINE

__all__ = ["BAD", "GOOD", "Faults", "Proxy"]

HELD_SECONDS = 0.03
"""A datagram that is to be overtaken waits so long for others at the most."""


@frozen
class Faults:
    """How likely it is that something is done to a datagram: 0 is never, 1 always."""

    lose: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0


GOOD = Faults()
BAD = Faults(lose=0.30, repeat=0.10, reorder=0.25)


@define(eq=False)
class _Way:
    """One direction between one client and the server."""

    source: socket.socket
    target: socket.socket
    address: tuple[Any, ...] | None  # where to; None if the target is connected
    held: list[list[Any]] = field(factory=list)  # how many more may overtake, until when, what


class Proxy:
    """A running proxy. A context manager.

    Args:
        port: the server's, on this machine.
        faults: what happens to datagrams.
        seed: of all chance.
    """

    def __init__(self, port: int, faults: Faults = BAD, seed: int = 0) -> None:
        self.down = False
        """Whether nothing gets through."""
        self.mute = False
        """Whether nothing comes back from the server."""
        self.faults = faults
        self.counts: Counter[str] = Counter()
        """How many datagrams have been passed on, lost, repeated and reordered."""
        self._random = random.Random(seed)
        self._server = ("127.0.0.1", port)
        self._front = self._socket()
        self.port: int = self._front.getsockname()[1]
        """Where clients find the proxy."""
        self._ways: dict[tuple[Any, ...], tuple[_Way, _Way]] = {}
        self._stranded: set[tuple[Any, ...]] = set()
        self._old: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run)

    def move(self) -> None:
        """From now on, have the server see all clients at other addresses."""
        with self._lock:
            self._forget()

    def strand(self) -> None:
        """From now on, have all addresses that clients have used so far lead nowhere."""
        with self._lock:
            self._stranded |= set(self._ways)
            self._forget()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join(DEADLINE)
        for sock in [self._front, *self._old, *(to.target for to, _ in self._ways.values())]:
            sock.close()
        self._selector.close()

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in sorted(self.counts.items()))

    def _run(self) -> None:
        while not self._over:
            ready = self._selector.select(0.005)
            with self._lock:
                for key, _ in ready:
                    self._read(key.fileobj, key.data)  # type: ignore[arg-type]
                self._release(time.monotonic())

    def _read(self, sock: socket.socket, back: _Way | None) -> None:
        while True:
            try:
                datagram, address = sock.recvfrom(65_536)
            except BlockingIOError:
                return
            except OSError:  # the server is not there
                continue
            if back is not None:
                self._pass(datagram, back)
            elif address not in self._stranded:
                self._pass(datagram, self._way(address))

    def _way(self, client: tuple[Any, ...]) -> _Way:
        if client not in self._ways:
            upstream = self._socket()
            upstream.connect(self._server)
            back = _Way(upstream, self._front, client)
            self._ways[client] = (_Way(self._front, upstream, None), back)
            self._selector.register(upstream, selectors.EVENT_READ, back)
        return self._ways[client][0]

    def _forget(self) -> None:
        for to, _ in self._ways.values():
            self._selector.unregister(to.target)
            self._old.append(to.target)  # kept open, so that nobody else gets its port
        self._ways.clear()

    def _pass(self, datagram: bytes, way: _Way) -> None:
        """Do to one datagram what chance says."""
        lost = self._random.random() < self.faults.lose
        repeats = self._random.random() < self.faults.repeat
        overtaken = self._random.randint(1, 3) if self._chance(self.faults.reorder) else 0
        if lost or self.down or (self.mute and way.address is not None):
            self.counts["lost"] += 1
            return
        self.counts["passed on"] += 1
        if overtaken:
            self.counts["reordered"] += 1
            way.held.append([overtaken, time.monotonic() + HELD_SECONDS, datagram])
        else:
            self._send(datagram, way)
        if repeats:
            self.counts["repeated"] += 1
            self._send(datagram, way)

    def _chance(self, likely: float) -> bool:
        return self._random.random() < likely

    def _send(self, datagram: bytes, way: _Way) -> None:
        try:
            if way.address is None:
                way.target.send(datagram)
            else:
                way.target.sendto(datagram, way.address)
        except OSError:
            self.counts["lost"] += 1
        for held in way.held:
            held[0] -= 1

    def _release(self, now: float) -> None:
        """Let go of what has been overtaken, or has waited for long enough."""
        for ways in self._ways.values():
            for way in ways:
                for held in list(way.held):
                    if held[0] <= 0 or held[1] <= now:
                        way.held.remove(held)
                        self._send(held[2], way)

    @staticmethod
    def _socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock
