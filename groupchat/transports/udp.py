"""UDP: a datagram a request, a datagram a reply. A member is his address.

What lives here: a server's sockets and datagrams; a client's are in
:mod:`~groupchat.transports.udp_connection`. Nothing here knows what is in them.

Theory. asyncio's own datagram endpoint asks the event loop again after every datagram, which
costs several times what the rest does. Here a wake-up drains the socket, up to
:data:`DATAGRAMS_A_WAKE_UP`, so that a flood on one socket cannot starve the others. Whatever
the network reports (nobody there, too big, no route) concerns a datagram that is already
lost; it is dropped, and the next one is tried. In a flood, a shield keeps the socket free for
members.

When the socket itself is full, the listener keeps the replies that it has for members (the last
:data:`KNOWN_ADDRESSES` that were heard), and takes no requests until they are sent; those for
anybody else are dropped. So are those that are not sent after :data:`UNSENT_SECONDS`. For a socket
is full not only when a link is slow, but also with replies to addresses of the same network that
nobody has: the system looks for their owners for seconds, and others must be heard meanwhile.

One datagram is never answered: the refusal itself. Whoever sent it in the name of another server
would have the two refuse each other for ever.
"""

import asyncio
import contextlib
import logging
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from groupchat.core import ILLEGAL_REQUEST
from groupchat.transports.address import bind, resolve, show, source
from groupchat.transports.interface import Connection, Listener, Service
from groupchat.transports.shield import Shield
from groupchat.transports.udp_connection import MAX_DATAGRAM_BYTES, UDPConnection

__all__ = [
    "BUFFER_BYTES",
    "DATAGRAMS_A_WAKE_UP",
    "KNOWN_ADDRESSES",
    "MAX_DATAGRAM_BYTES",
    "UDP",
    "UNSENT_SECONDS",
]

log = logging.getLogger("groupchat")

DATAGRAMS_A_WAKE_UP: Final = 256
"""Datagrams taken from one socket before the others get their turn."""

BUFFER_BYTES: Final = 1 << 22
"""Bytes that a socket's buffers should have, as far as the system allows it."""

UNSENT_SECONDS: Final = 0.25
"""Seconds for which replies wait for a full socket, and requests for the replies."""

KNOWN_ADDRESSES: Final = 2_048
"""Addresses of members that a flood of others cannot crowd out: the last to have been heard."""


class UDP:
    """The transport ``udp``."""

    async def listen(self, host: str, port: int, service: Service) -> Listener:
        """Listen at every address of *host*."""
        loop = asyncio.get_running_loop()
        return _Listener([_Endpoint(s, service, loop) for s in bind(host, port, socket.SOCK_DGRAM)])

    async def connect(self, host: str, port: int) -> Connection:
        """Prepare to send to *host*; UDP has no connections, so this cannot tell who is there."""
        sockets = []
        failure = OSError()
        for family, address in resolve(host, port, socket.SOCK_DGRAM):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            try:
                sock.connect(address)
            except OSError as error:  # no way there; perhaps there is one to the next address
                sock.close()
                failure = error
            else:
                sockets.append(sock)
        if not sockets:
            raise failure
        return UDPConnection(sockets)


class _Peer:
    """The sender of one datagram."""

    __slots__ = ("_address", "_endpoint", "sender", "source")

    datagram = MAX_DATAGRAM_BYTES

    def __init__(
        self, endpoint: "_Endpoint", address: tuple[Any, ...], names: tuple[str, str] | None
    ) -> None:
        self._endpoint = endpoint
        self._address = address
        self.sender, self.source = names or (f"udp {show(address)}", source(address))

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        if pieces is not None:
            self._endpoint.send(b"".join(pieces), self._address)

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        """Nothing: there is no connection."""

    def welcome(self) -> None:
        self._endpoint.know(self, self._address)

    def close(self) -> None:
        """Nothing: there is no connection."""


class _Endpoint:
    """One bound socket of a listener."""

    def __init__(
        self, sock: socket.socket, service: Service, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.address = sock.getsockname()
        self._socket = sock
        self._service = service
        self._loop = loop
        self._unsent: deque[tuple[bytes, tuple[Any, ...]]] = deque()
        self._giving_up: asyncio.TimerHandle | None = None  # while something is unsent
        # Of members, what their addresses are called. The last to be heard stands at the end.
        self._known: dict[tuple[Any, ...], tuple[str, str]] = {}
        self._shield = Shield(sock, loop, lambda: self._known)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)  # or what is allowed
        loop.add_reader(sock, self._drain)

    def send(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        """Send *datagram* now if the socket has room for it; else, if it is for a member, as soon
        as it has, or not at all."""
        if not self._unsent and self._sent(datagram, address):
            return
        if address not in self._known:
            # The socket can be full of replies to made up addresses, for which the system is
            # looking. Another of these must not keep members from being heard.
            return
        if not self._unsent:
            self._loop.remove_reader(self._socket)
            self._loop.add_writer(self._socket, self._flush)
            self._giving_up = self._loop.call_later(UNSENT_SECONDS, self._give_up)
        self._unsent.append((datagram, address))

    def close(self) -> None:
        """Send what is unsent, as far as the socket takes it now."""
        self._send_unsent()
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._shield.close()
        self._socket.close()

    def _drain(self) -> None:
        unwanted: Counter[tuple[Any, ...]] = Counter()
        for _ in range(DATAGRAMS_A_WAKE_UP):
            try:
                request, address = self._socket.recvfrom(MAX_DATAGRAM_BYTES + 1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                # Windows reports here that an earlier reply found nobody.
                log.debug("udp: %s", error)
                continue
            if request == ILLEGAL_REQUEST:
                unwanted[address] += 1
                continue
            peer = _Peer(self, address, self._known.get(address))
            reception = self._service.receive(request, peer)
            if reception.known:
                self.know(peer, address)
            elif not reception.wanted:
                unwanted[address] += 1
        if unwanted:
            self._shield.unwanted(unwanted)

    def know(self, peer: _Peer, address: tuple[Any, ...]) -> None:
        """Have what comes from *address* get through a flood."""
        known = self._known
        if address in known:
            del known[address]
        else:
            self._shield.changed()
        known[address] = peer.sender, peer.source
        if len(known) > KNOWN_ADDRESSES:
            del known[next(iter(known))]

    def _flush(self) -> None:
        self._send_unsent()
        if not self._unsent:
            self._read_again()

    def _give_up(self) -> None:
        log.debug("udp: %d replies are lost: the socket is full", len(self._unsent))
        self._unsent.clear()
        self._read_again()

    def _read_again(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._loop.remove_writer(self._socket)
        self._loop.add_reader(self._socket, self._drain)

    def _send_unsent(self) -> None:
        while self._unsent and self._sent(*self._unsent[0]):
            self._unsent.popleft()

    def _sent(self, datagram: bytes, address: tuple[Any, ...]) -> bool:
        """Try to send; return whether there is nothing left to do for this datagram."""
        try:
            self._socket.sendto(datagram, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            log.debug("udp: a reply to %s is lost: %s", show(address), error)
        return True


class _Listener:
    def __init__(self, endpoints: list[_Endpoint]) -> None:
        self._endpoints = endpoints
        self.port: int = endpoints[0].address[1]
        self.addresses = [show(endpoint.address) for endpoint in endpoints]

    async def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()
