"""How a conversation can end before its time, and what is said of it."""

import socket
from typing import Final

__all__ = ["NOT_ALLOWED", "NO_SUCH_HOST", "NoAnswer", "Over", "Trouble", "reason"]

NO_SUCH_HOST: Final = "no such host"
NOT_ALLOWED: Final = "this machine lets nobody send there"  # to the broadcast address, say


class Trouble(Exception):
    """A conversation has ended before its time. The message says why."""

    kept = False
    """Whether something that was asked for is kept, to be asked again the next time."""


class NoAnswer(Trouble):
    """The server cannot be reached, or did not answer, however often it was asked. The message
    says what is known."""


class Over(Trouble):
    """It cannot go on."""


def reason(error: OSError) -> str:
    """Return what *error*, of the network, means."""
    if isinstance(error, socket.gaierror):
        return NO_SUCH_HOST
    if isinstance(error, PermissionError):
        return NOT_ALLOWED
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio has words of its own for it
    return error.strerror or str(error) or "no answer"
