"""Ways to carry requests and replies: ``udp``, ``tcp``, and what other packages add.

A package adds a transport by naming its class in the entry point group
``groupchat.transports``, here in the package's ``pyproject.toml``::

    [project.entry-points."groupchat.transports"]
    netstring = "groupchat_netstring:Netstring"

From then on ``groupchat serve --transport netstring`` finds it.
"""

from importlib.metadata import entry_points
from typing import Final, cast

from groupchat.transports.interface import Connection, Listener, Peer, Service, Transport

__all__ = [
    "ENTRY_POINTS",
    "Connection",
    "Listener",
    "Peer",
    "Service",
    "Transport",
    "installed",
    "load",
]

ENTRY_POINTS: Final = "groupchat.transports"
"""The entry point group in which transports are found."""


def installed() -> list[str]:
    """Return the names of all transports that are installed, sorted."""
    return sorted(entry_points(group=ENTRY_POINTS).names)


def load(name: str) -> Transport:
    """Return the transport called *name*.

    Raises:
        LookupError: none of this name is installed.
        ImportError: it is installed, but something that it needs is not.
    """
    for found in entry_points(group=ENTRY_POINTS, name=name):
        return cast(Transport, found.load()())
    raise LookupError(f"no transport {name!r} is installed, only {', '.join(installed())}")
