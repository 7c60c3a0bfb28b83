"""Who waits for news: held requests, and connections that follow.

A request that asks to *wait* is held until there is something to tell or its time is up. A
connection that *follows* is told whatever happens, as fast as it takes it: at most one message is
under way to it, and what has happened by the time that one is taken is in the next. So a
follower who is slow, or has stopped reading, costs no more than any other.

What has to be read back from a damaged journal cannot be told. Whoever asks for it is told that,
and everybody else notices nothing.
"""

from collections.abc import Callable
from typing import Final

from attrs import define, evolve

from groupchat.core import Peer
from groupchat.core.sessions.messages import Answer, Mark
from groupchat.core.sessions.server import Heard, Sessions
from groupchat.journal.storage import Damaged
from groupchat.server.scheduler import Handle

__all__ = ["MAX_WAIT_SECONDS", "Audience"]

MAX_WAIT_SECONDS: Final = 60
"""Seconds for which a request is held at the most."""


@define(eq=False)
class _Held:
    heard: Heard
    peer: Peer
    timer: Handle


@define(eq=False)
class _Follower:
    peer: Peer
    position: int
    """All before this has been sent to him."""
    busy: bool = False
    """Whether a message to him is under way."""


class Audience:
    """Answers the sessions of one chat, now or when there is something to tell.

    Args:
        sessions: knows what to tell.
        call_later: called with seconds and a function, has it called once, later.
        unreadable: called with whose news cannot be read, and why.
    """

    def __init__(
        self,
        sessions: Sessions,
        call_later: Callable[[float, Callable[[], None]], Handle],
        unreadable: Callable[[str, Damaged], None],
    ) -> None:
        self._sessions = sessions
        self._call_later = call_later
        self._unreadable = unreadable
        self._held: dict[str, _Held] = {}
        self._followers: dict[str, _Follower] = {}

    def answer(self, heard: Heard, peer: Peer) -> None:
        """Answer *heard*, now or later. Whatever was held for the same session is overtaken."""
        sender, ask = heard.sender, heard.ask
        self._release(sender)
        follower = self._followers.get(sender)
        if follower is not None:
            if follower.peer is not peer:
                del self._followers[sender]  # he has come by another way
                follower = None
            elif follower.position > ask.mark.position:
                # What is on its way to him arrives before this answer.
                ask = evolve(ask, mark=Mark(follower.position))
                heard = evolve(heard, ask=ask)
        only_waits = ask.wait and not (ask.commands or ask.seen or ask.who is not None)
        if only_waits and not self._has_news(heard):
            seconds = min(ask.wait, MAX_WAIT_SECONDS)
            timer = self._call_later(seconds, lambda: self._time_is_up(sender))
            self._held[sender] = _Held(heard, peer, timer)
            return
        answer = self._answer(heard, peer)
        peer.reply([answer.encode()])
        if follower is None and ask.follow and peer.datagram is None:
            follower = self._followers[sender] = _Follower(peer, 0)
        if follower is not None:
            follower.position = answer.stop.position
            if not follower.busy:
                self._push(sender, follower)

    def tell(self) -> None:
        """Tell whoever waits: something has happened."""
        for sender, held in list(self._held.items()):
            if self._has_news(held.heard):
                self._time_is_up(sender)
        for sender, follower in self._followers.items():
            if not follower.busy:
                self._push(sender, follower)

    def gone(self, peer: Peer) -> None:
        """Forget *peer*."""
        for sender in [s for s, held in self._held.items() if held.peer is peer]:
            self._held.pop(sender).timer.cancel()
        for sender in [s for s, follower in self._followers.items() if follower.peer is peer]:
            del self._followers[sender]

    def close(self) -> None:
        """Tell nobody any more; whoever waits gets no answer."""
        for sender in list(self._held):
            self._release(sender)
        self._followers.clear()

    def _release(self, sender: str) -> None:
        held = self._held.pop(sender, None)
        if held is not None:
            held.timer.cancel()
            held.peer.reply(None)

    def _time_is_up(self, sender: str) -> None:
        held, follower = self._held.pop(sender), self._followers.get(sender)
        held.timer.cancel()
        answer = self._answer(held.heard, held.peer)
        held.peer.reply([answer.encode()])
        if follower is not None and follower.peer is held.peer:
            follower.position = max(follower.position, answer.stop.position)

    def _has_news(self, heard: Heard) -> bool:
        try:
            return self._sessions.has_news(heard)
        except Damaged:
            return False  # he will be told when his time is up

    def _answer(self, heard: Heard, peer: Peer) -> Answer:
        try:
            return self._sessions.answer(heard, peer.datagram)
        except Damaged as error:
            self._unreadable(heard.sender, error)
            return self._sessions.answer(heard, peer.datagram, readable=False)

    def _push(self, sender: str, follower: _Follower) -> None:
        try:
            answer = self._sessions.push(sender, follower.position)
        except Damaged as error:
            self._unreadable(sender, error)
            return
        if answer is None:
            return
        follower.position = answer.stop.position
        if not answer.body:
            return  # nothing but his own
        follower.busy = True

        def sent() -> None:
            follower.busy = False
            if self._followers.get(sender) is follower:
                self._push(sender, follower)

        follower.peer.push([answer.encode()], sent)
