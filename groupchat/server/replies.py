"""Plain replies, on their way out.

What lives here: how long one may be, and what becomes of it if it cannot be read back. What must
not: what it says.

Theory. To a connection it goes in pieces, each made when it is sent. By datagram it is whole, and
nobody knows whether he has asked to whom it goes: so the bytes beyond three times the request are
counted, and when there have been too many, there is no reply. None at all: an empty one would say
that the request was carried out.
"""

from collections.abc import Callable, Iterable, Iterator

from groupchat.core import Peer
from groupchat.core.plain import REPLY_BYTES, UNREADABLE
from groupchat.journal.storage import Damaged
from groupchat.server.batch import Step
from groupchat.server.stray import Stray

__all__ = ["Replies"]


class Replies:
    """Sends replies.

    Args:
        limit: most bytes of one on a connection; None for no end.
        stray: counts those by datagram.
        unreadable: called with whose news cannot be read, and why.
    """

    def __init__(
        self, limit: int | None, stray: Stray, unreadable: Callable[[str, Damaged], None]
    ) -> None:
        self._limit = limit
        self._stray = stray
        self._unreadable = unreadable

    def budget(self, step: Step, peer: Peer) -> int | None:
        """Return most bytes of the reply to *step*; below 0 if it must be empty."""
        if peer.datagram is None:
            return self._limit
        step.reserved = self._stray.reserve(peer)
        return REPLY_BYTES if step.reserved else -1

    def send(self, step: Step, peer: Peer, pieces: Iterable[bytes] | None) -> None:
        """Send the reply to *step*, if there is one and it may be sent."""
        readable = None if pieces is None else self._readable(pieces, peer)
        if peer.datagram is None:
            peer.reply(readable)
            return
        whole = b"".join(readable or ())
        beyond = max(0, len(whole) - 3 * len(step.request))
        if step.reserved or (beyond and self._stray.reserve(peer)):
            self._stray.settle(peer, beyond)
        elif beyond:
            readable = None
        peer.reply(None if readable is None else [whole] if whole else [])

    def _readable(self, pieces: Iterable[bytes], peer: Peer) -> Iterator[bytes]:
        """Yield *pieces*, which are made as they are sent, as far as they can be read."""
        separator = b""
        try:
            for piece in pieces:
                separator = b"" if piece.endswith(b"\n") else b"\n"
                yield piece
        except Damaged as error:
            self._unreadable(peer.sender, error)
            yield separator + UNREADABLE
