"""Plain replies by datagram, which go to somebody who has perhaps not asked.

What lives here: how many bytes of them one address gets. What must not: what they say.

Theory. Anybody can put another's address on a datagram, and the plain protocol has no room for a
proof that he has not. So for each address the bytes beyond three times what came from there are
counted, and there is a rate for them: a bucket that holds some seconds' worth. How long a reply
will be is known when it is made, and that is after the log says whether there may be one. So as
much as the longest can have is *reserved* first, and what it did not need is given back. A reply
can make a debt, which is paid in full before there is another.
"""

from collections.abc import Callable
from math import inf
from typing import Final

from groupchat.core import Peer
from groupchat.core.names import MAX_NAME_CHARACTERS, MAX_TEXT_BYTES
from groupchat.server.buckets import Buckets

__all__ = ["STRAY_SECONDS", "Stray", "is_here"]

STRAY_SECONDS: Final = 8.0
"""Seconds over which the bytes of plain replies to one address are counted together."""

_LONGEST_BYTES: Final = 4 * MAX_NAME_CHARACTERS + len(": ") + MAX_TEXT_BYTES


class Stray:
    """Counts bytes.

    Args:
        rate: bytes a second to one address; None for as many as anybody wants.
        monotonic: returns the time, in milliseconds; it never goes back.
    """

    def __init__(self, rate: int | None, monotonic: Callable[[], int]) -> None:
        self._buckets = Buckets(rate, STRAY_SECONDS, debt=inf)
        self._monotonic = monotonic

    def reserve(self, peer: Peer) -> bool:
        """Return whether a reply to *peer* may be longer than three times its request. If so,
        :meth:`settle` has to follow."""
        if is_here(peer.source):
            return True
        if self._take(peer, _LONGEST_BYTES) >= -_LONGEST_BYTES:
            return True
        self._take(peer, -_LONGEST_BYTES)  # there was a debt before
        return False

    def settle(self, peer: Peer, count: int) -> None:
        """Take note that *count* bytes beyond three times its request were sent to *peer*, for
        which there was a reservation."""
        if not is_here(peer.source):
            self._take(peer, count - _LONGEST_BYTES)

    def _take(self, peer: Peer, count: int) -> float:
        return self._buckets.take(peer.source, self._monotonic(), count)


def is_here(source: str) -> bool:
    """Whether *source* is this machine itself, whose addresses nobody else can make up."""
    return source.startswith(("127.", "::ffff:127.")) or source == "::1"
