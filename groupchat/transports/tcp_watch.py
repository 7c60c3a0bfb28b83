"""TCP, who takes nothing any more: a connection must not be held open for ever by a client that
is gone, or never reads.

What lives here: for how long a client may take nothing of what waits for him. What must not: what
that is.

Theory. A client on a bad link is slow, and any byte that he takes is a sign of life. So nothing
is timed byte by byte: as long as something waits for him, one timer looks now and then whether he
has taken anything since it looked last. What he has taken are the bytes written less those that
wait here, and less those that the system still keeps for him. (Not all systems tell. Where
they do not, what the system takes counts, which is more coarse.)
"""

import asyncio
import contextlib
import struct
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl
    import termios

__all__ = ["CLOSING_SECONDS", "STALLED_SECONDS", "Watch"]

STALLED_SECONDS: Final = 60.0
"""Seconds after which a client is given up who has taken no byte of what waits for him."""

CLOSING_SECONDS: Final = 2.0
"""Seconds likewise, when the server closes a connection."""


class Watch:
    """Gives up a connection whose client takes nothing any more.

    Args:
        transport: the connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._written = 0  # bytes
        self._patience = STALLED_SECONDS
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def wrote(self, count: int) -> None:
        """Take note of *count* bytes that were written."""
        self._written += count
        if self._timer is None and self._transport.get_write_buffer_size():
            self._look_later()

    def hurry(self) -> None:
        """Take note that the connection is to be closed once everything is written."""
        self._patience = CLOSING_SECONDS
        self.stop()
        self._look_later()

    def end(self) -> None:
        """Take note that everything is written, so that there is no other sign of life."""
        if not self._ended:
            self._ended = True
            self.hurry()

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._patience, self._look, self._taken())

    def _look(self, before: int) -> None:
        self._timer = None
        if not self._ended and not self._transport.get_write_buffer_size():
            return
        if self._taken() > before:
            self._look_later()
        else:
            self._transport.abort()

    def _taken(self) -> int:
        """Return how many bytes the client has taken."""
        kept = self._transport.get_write_buffer_size() + _kept(self._transport)
        return self._written - kept


def _kept(transport: asyncio.Transport) -> int:
    """Return how many bytes the system keeps until the client has acknowledged them; 0 if it does
    not tell."""
    sock = transport.get_extra_info("socket")
    if sys.platform == "linux" and sock is not None:
        with contextlib.suppress(OSError):
            return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])
    return 0
