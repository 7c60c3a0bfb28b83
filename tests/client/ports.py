"""Ports for servers that are started more than once."""

import socket

__all__ = ["free_port"]


def free_port() -> int:
    """Return a port that is free by TCP and UDP, and hopefully stays so."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
