"""Ports for servers whose port has to be known before they are started, or started again."""

import contextlib
import random
import socket

__all__ = ["free_port"]


def free_port() -> int:
    """Return a port that is free by UDP and TCP, and that the system gives nobody who does not ask
    for it by its number: many tests do not, and run at the same time."""
    while True:
        port = random.randrange(15_000, 30_000)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket() as tcp,
        ):
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
            return port
