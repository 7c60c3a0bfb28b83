"""The server: one loop between the transports and the group.

What lives here: the order in which requests are carried out and answered. What must not: a
rule of the chat (that is the group's), bytes on a wire (the transports'), a wait or a thread.

Theory. Whatever arrives is gathered, and carried out together at the next *turn* of the event
loop: decode, apply in the order of arrival, then reply. One turn for many requests is what
lets a log be written once for all of them before anybody is answered; and because nothing
else changes the group, its order is the order of the turns. The server does not care which
transport a request came by: it is handed a peer, and answers it.
"""

import logging
from collections.abc import Callable
from typing import Final

from groupchat.core import (
    Command,
    Group,
    Join,
    Leave,
    Peer,
    Reason,
    Refused,
    Rename,
    Reply,
    decode,
    encode,
)

__all__ = ["Server"]

log = logging.getLogger("groupchat")

REFUSAL_LOG_INTERVAL: Final = 1_000
"""Milliseconds between two log lines about refusals: bad input must not fill a disk."""


class Server:
    """Carries out, on one group, what its transports receive. A transport's ``Service``.

    Args:
        group: the group to serve. Nobody else may change it meanwhile.
        clock: returns the time, in milliseconds since 1970-01-01 00:00 UTC.
        call_soon: called with a function, has it called once, soon, but not at once
            (asyncio's ``loop.call_soon``).
    """

    def __init__(
        self,
        group: Group,
        clock: Callable[[], int],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._group = group
        self._clock = clock
        self._call_soon = call_soon
        self._gathered: list[tuple[bytes | None, Peer]] = []
        self._refusals_logged = 0  # the time of the last log line about refusals
        self._refusals_unlogged = 0

    def receive(self, request: bytes, peer: Peer) -> None:
        """Take one request. Its reply goes to *peer*, later."""
        self._gather(request, peer)

    def gone(self, peer: Peer) -> None:
        """Take note that *peer* cannot be reached any more: if it is a member, it leaves."""
        self._gather(None, peer)

    def _gather(self, request: bytes | None, peer: Peer) -> None:
        if not self._gathered:
            self._call_soon(self._turn)
        self._gathered.append((request, peer))

    def _turn(self) -> None:
        gathered, self._gathered = self._gathered, []
        now = self._clock()
        replies: list[tuple[Peer, Reply]] = []
        for request, peer in gathered:
            if request is not None:
                replies.append((peer, self._carry_out(decode(request), peer, now)))
            elif peer.sender in self._group:
                self._carry_out(Leave(), peer, now)
        for peer, reply in replies:
            try:
                peer.reply(encode(reply))
            except Exception:
                # Transports can be anybody's. The mistakes of one must not cost the members
                # who use another their replies.
                log.exception("could not reply to %s", peer.sender)

    def _carry_out(self, command: Command | Refused, peer: Peer, now: int) -> Reply:
        if isinstance(command, Refused):
            self._log_refusal(command.reason, peer, now)
            return command
        group, sender = self._group, peer.sender
        before = group.name(sender)
        reply = group.apply(command, sender, time=now, budget=peer.budget)
        if isinstance(reply, Refused):
            self._log_refusal(reply.reason, peer, now)
        elif isinstance(command, Join):
            log.info("%s joined (%s); members: %d", group.name(sender), sender, len(group))
        elif isinstance(command, Rename):
            log.info("%s is now called %s", before, group.name(sender))
        elif isinstance(command, Leave):
            log.info("%s left; members: %d", before, len(group))
        return reply

    def _log_refusal(self, reason: Reason, peer: Peer, now: int) -> None:
        if 0 <= now - self._refusals_logged < REFUSAL_LOG_INTERVAL:  # clocks are set back, too
            self._refusals_unlogged += 1
            return
        more = f"; {self._refusals_unlogged:,} more before" if self._refusals_unlogged else ""
        log.info("refused %s: %s%s", peer.sender, reason.value, more)
        self._refusals_logged = now
        self._refusals_unlogged = 0
