"""What a transport is: the few calls between it, the server and a client.

A transport carries requests and replies, which are bytes to it, and knows no rule of the chat.
On the server's side it turns whatever arrives into ``service.receive(request, peer)`` and
later has ``peer.reply(pieces)`` called, exactly once for each request, in their order. On the
client's side it sends requests and returns replies. It imports neither a server nor a client:
it is handed what to call.

Transports are found by entry point, so a package of your own can add one: see
:func:`groupchat.transports.load`.
"""

from typing import Protocol

from groupchat.core import Peer, Service

__all__ = ["Connection", "Listener", "Peer", "Service", "Transport"]


class Listener(Protocol):
    """A transport that is listening."""

    @property
    def port(self) -> int:
        """The port in use, also when any free one (0) had been asked for."""

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for people: ``["127.0.0.1:12345", "[::1]:12345"]``."""

    async def close(self) -> None:
        """Stop listening, send what is still unsent where that takes no long wait, and let
        go of everything."""


class Connection(Protocol):
    """A client's way to a server."""

    @property
    def lossy(self) -> bool:
        """Whether a request or a reply can get lost, so that the client has to ask again."""

    async def send(self, request: bytes) -> None:
        """Send *request*, one line without its line end.

        Raises:
            ValueError: it is too long for this transport.
            OSError: it could not be sent.
        """

    async def receive(self) -> bytes:
        """Return the next reply, its lines joined by line feeds; ``b""`` is an empty one.

        Of a long reply, some of its lines may be returned, and the rest by the next call. A
        connection that does so has an attribute ``more``, which says of what was returned last
        whether the rest of it is yet to come.

        Raises:
            OSError: the server cannot be reached, has ended the connection, or (if the
                connection is not lossy) has been silent for too long.
        """

    async def close(self) -> None:
        """Let go of the connection."""


class Transport(Protocol):
    """A way to carry requests and replies. Created without arguments."""

    async def listen(self, host: str, port: int, service: Service) -> Listener:
        """Listen at *host* and *port* (0: any free one), and tell *service* what arrives.

        Raises:
            OSError: that is not possible; ``gaierror`` if *host* has no address.
        """

    async def connect(self, host: str, port: int) -> Connection:
        """Return a connection to the server at *host* and *port*.

        Raises:
            OSError: that is not possible; ``gaierror`` if *host* has no address.
        """
