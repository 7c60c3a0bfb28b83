"""The load by UDP: clients, and how they ask.

What lives here: sockets, and requests in lock step. What must not: what is measured by them.

Theory. All clients send a request, then all wait for their replies, and so on. As the next
requests are sent without a look at the replies, the server always finds some of them waiting, as
does a busy one; and no more are under way than a socket holds, so none is lost.

The last to ask is the first to look for his reply. To wake up a process that waits for a datagram
is work that the kernel does for the sender, and books on it. Members are not on the server's
machine, so that is not to be measured; in this order there is one such wake-up in a turn, not 64.

Only the CPU time of the server counts, so a slow load generator costs no time. What it could do
is to have the server wake up for fewer requests at a time, and each wake-up is paid for by those
requests. So it was compared with two generators that work at the same time, 64 clients each, twice.
The echo then slept once in 656 and 121 requests, instead of once in 80 and 96, and a request took
it 9.5 and 12.4 us instead of 9.6 and 11.9 us. A groupchat server slept once in 333 and 238 updates,
instead of once in 73 and 64, and an update took it 38.1 and 27.5 us instead of 39.4 and 33.1 us, on
a machine where the same thing measured twice differed as much.
"""

import contextlib
import ipaddress
import itertools
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from bench.process import Process

__all__ = ["TEXT", "WINDOW", "exchange", "fetch", "idle_members", "joined", "opened"]

TEXT: Final = "x" * 64
"""What members say."""

WINDOW: Final = 64
"""Requests under way at a time."""

_SECONDS: Final = 30.0
"""A reply that takes longer is lost."""

_FIRST: Final = int(ipaddress.IPv4Address("127.1.0.0"))
_MAX_DATAGRAM: Final = 65_536
_addresses = map(str, map(ipaddress.IPv4Address, itertools.count(_FIRST)))


@contextlib.contextmanager
def opened(server: Process, count: int) -> Iterator[list[socket.socket]]:
    """Open *count* sockets to *server*. Each has an address of this machine for itself: a port
    alone would be another client's one day, and there are not enough of them for 100,000."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            client.settimeout(_SECONDS)
            client.bind((next(_addresses), 0))
            client.connect(server.address)
            clients.append(client)
        yield clients


@contextlib.contextmanager
def joined(server: Process, count: int) -> Iterator[list[socket.socket]]:
    """Have *count* members join *server*, who have been told all that there is to tell."""
    with opened(server, count) as members:
        _join(members)
        fetch(members)
        yield members


def idle_members(server: Process, count: int) -> None:
    """Have *count* members join *server*, of whom nothing more is heard."""
    for start in range(0, count, WINDOW):
        with opened(server, min(WINDOW, count - start)) as members:
            _join(members)


def exchange(clients: Sequence[socket.socket], request: bytes) -> None:
    """Have all *clients* send *request*, and wait for their replies."""
    for client in clients:
        client.send(request)
    for client in reversed(clients):
        client.recv(_MAX_DATAGRAM)


def fetch(members: Sequence[socket.socket]) -> None:
    """Have *members* ask for news until none of them is told any more."""
    for start in range(0, len(members), WINDOW):
        behind = members[start : start + WINDOW]
        while behind:
            for member in behind:
                member.send(b"5")
            behind = [member for member in reversed(behind) if member.recv(_MAX_DATAGRAM)]


def _join(members: Sequence[socket.socket]) -> None:
    for start in range(0, len(members), WINDOW):
        window = members[start : start + WINDOW]
        for member in window:
            host, _ = member.getsockname()
            member.send(f"1 {host}".encode())
        for member in window:
            if member.recv(_MAX_DATAGRAM) == b"Illegal request":
                raise RuntimeError("a member could not join")
