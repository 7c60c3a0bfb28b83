"""Where a server is: a transport, a host and a port, as people write them.

What lives here: ``HOST``, ``HOST PORT``, ``HOST:PORT`` and URLs. What must not: to look anything
up.
"""

from urllib.parse import urlsplit

from attrs import frozen

__all__ = ["Address", "parse"]

_EXAMPLES = "like 127.0.0.1:12345 or udp://127.0.0.1:12345"


@frozen
class Address:
    """Where a server is."""

    transport: str
    """The name of the transport to reach it by."""
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}://{_bracketed(self.host)}:{self.port}"

    @property
    def server(self) -> str:
        """What the server is called, the same by whatever transport it is reached."""
        return f"{_bracketed(self.host.lower().rstrip('.'))}:{self.port}"


def parse(
    where: str,
    transport: str | None,
    port: int | None,
    *,
    default_transport: str,
    default_port: int,
) -> Address:
    """Return the address that is meant.

    Args:
        where: a host, a host and a port, or a URL.
        transport: what was said beside it; None for nothing.
        port: likewise.
        default_transport: what to use if nothing was said.
        default_port: likewise.

    Raises:
        ValueError: that is no address, or something is said twice. The message says so.
    """
    host = where
    if "://" in where:
        if transport is not None or port is not None:
            raise ValueError("the URL says it all: leave out --transport and PORT.")
        transport, host, port = _parts(where, where)
    elif where.count(":") == 1 or where.startswith("["):
        _, host, said = _parts(f"//{where}", where)
        if said is not None and port is not None:
            raise ValueError("HOST says the port: leave out PORT.")
        port = port if said is None else said
    elif not where.strip():
        raise ValueError("HOST is empty.")
    elif where.isdecimal():  # in the eyes of the system, it is the address 0.0.48.57
        raise ValueError(f"{where} is a port, and HOST is missing. For this machine: 127.0.0.1")
    return Address(
        default_transport if transport is None else transport,
        host,
        default_port if port is None else port,
    )


def _parts(url: str, where: str) -> tuple[str, str, int | None]:
    """Return the scheme, the host and the port of *url*, which was made of *where*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if not host or port == 0 or "@" in parts.netloc:
            raise ValueError
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError
    except ValueError:
        raise ValueError(f"{where!r} is not {_EXAMPLES}.") from None
    return parts.scheme, host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
