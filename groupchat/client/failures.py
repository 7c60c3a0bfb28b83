"""What is said of a server that does not answer."""

import socket

__all__ = ["NoAnswer", "reason"]


class NoAnswer(Exception):
    """The server cannot be reached, or did not answer, however often it was asked. The message
    says what is known."""


def reason(error: OSError) -> str:
    """Return what *error*, of the network, means."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio has words of its own for it
    return error.strerror or str(error) or "no answer"
