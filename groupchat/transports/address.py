"""Hosts and ports: how they are written, looked up and bound.

IPv4 and IPv6 alike. An address here is what the socket module calls one: ``(host, port)`` or
``(host, port, flow information, scope)``.
"""

import errno
import os
import socket
from typing import Any, Final

__all__ = ["bind", "no_such_host", "resolve", "show", "source"]

_IPV4_IN_IPV6: Final = "::ffff:"
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def show(address: tuple[Any, ...]) -> str:
    """Return *address* as people write it: ``127.0.0.1:80``, ``[::1]:80``.

    An IPv4 peer of an IPv6 socket is shown as the IPv4 address that it has. A link-local IPv6
    address is shown with its scope, the number of the link: ``[fe80::1%2]:80``.
    """
    host, port, *rest = address
    host = host.removeprefix(_IPV4_IN_IPV6)
    if any(rest[1:]) and "%" not in host:
        host = f"{host}%{rest[1]}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def source(address: tuple[Any, ...]) -> str:
    """Return what of *address* its owner cannot choose freely, for limits: ``127.0.0.1``,
    ``2001:db8:1:2::/64``.

    Of IPv6, that is the first half, since whoever has one address there has all those that begin
    like it; but for this machine's own, ``::1``. An IPv4 peer of an IPv6 socket has an IPv4
    address. Links differ though their addresses do not: ``fe80::/64%2``.
    """
    host = str(address[0]).removeprefix(_IPV4_IN_IPV6)
    if ":" not in host or host == "::1":
        return host
    host, percent, scope = host.partition("%")
    prefix = socket.inet_pton(socket.AF_INET6, host)[:8]
    return f"{socket.inet_ntop(socket.AF_INET6, prefix + bytes(8))}/64{percent}{scope}"


def no_such_host() -> socket.gaierror:
    """Return the error for a host whose name cannot even be looked up (``a..b``)."""
    return socket.gaierror(socket.EAI_NONAME, "no such host")


def resolve(host: str, port: int, kind: socket.SocketKind) -> list[tuple[int, tuple[Any, ...]]]:
    """Return the address family and the address of each way to reach *host*, the best first.

    Raises:
        socket.gaierror: there is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except UnicodeError as error:
        raise no_such_host() from error
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))


def bind(host: str, port: int, kind: socket.SocketKind) -> list[socket.socket]:
    """Return a non-blocking socket of *kind* bound to *port* for each address that *host* has.

    With port 0 they all get the same free one. ``::`` takes IPv4 as well, where the system can.
    Of several addresses, those of a kind that this machine does not have are passed over.

    Raises:
        OSError: an address cannot be bound to, the port being taken, say. None is then.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in resolve(host, port, kind):
            try:
                sock = _bound(family, kind, (address[0], port, *address[2:]), host == "::")
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = error
            else:
                bound.append(sock)
                port = sock.getsockname()[1]
        if missing and not bound:
            raise missing
    except OSError:
        for sock in bound:
            sock.close()
        raise
    return bound


def _bound(
    family: int, kind: socket.SocketKind, address: tuple[Any, ...], dual: bool
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM and os.name == "posix":
            # So that a restarted server need not wait for old connections to time out.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
