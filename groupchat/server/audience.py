"""Who waits for news: held requests, and connections that follow.

A request that asks to *wait* is held until there is something to tell or its time is up. On a
connection it is given up when anything else is asked there, for replies come in the order of the
requests. A member who *follows* by a connection is told whatever happens, as fast as he takes it:
at most one message is under way to him, and what has happened by the time that one is taken is in
the next.

What is sent by a connection is made when it is read, and tells how things are then. So a reader who
is slow, or has stopped reading, costs no more than any other: what waits for him is not there yet.
What came of his commands is settled before; that does not change.

What has to be read back from a damaged journal cannot be told. Whoever asks for it is told that,
and everybody else notices nothing.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from attrs import define, evolve

from groupchat.core import Peer
from groupchat.core.group import Group
from groupchat.core.sessions.answers import Answers, Heard
from groupchat.core.sessions.replies import Answer
from groupchat.core.sessions.wire import Mark
from groupchat.journal.storage import Damaged
from groupchat.server.scheduler import Handle, Scheduler

__all__ = ["MAX_WAIT_SECONDS", "Audience"]

log = logging.getLogger("groupchat")

MAX_WAIT_SECONDS: Final = 60
"""Seconds for which a request is held at the most."""


@define(eq=False)
class _Held:
    heard: Heard
    peer: Peer
    timer: Handle


@define(eq=False)
class _Follower:
    sender: str
    token: str
    peer: Peer
    latest: int
    """The number of his last request on this connection."""
    position: int = 0
    """All before this has been told him on this connection."""
    looked: int = 0
    """Where the timeline ended when it was last looked what to tell him."""
    gone: bool = False
    """Whether he follows by this connection no more."""
    under_way: int = 0
    """Messages that he has not read or not taken. While there are any, there is no other."""


class Audience:
    """Answers the sessions of one chat, now or when there is something to tell.

    Args:
        answers: knows what to tell.
        group: knows who is a member.
        scheduler: has things happen later.
        unreadable: called with whose news cannot be read, and why.
    """

    def __init__(
        self,
        answers: Answers,
        group: Group,
        scheduler: Scheduler,
        unreadable: Callable[[str, Damaged], None],
    ) -> None:
        self._answers = answers
        self._group = group
        self._scheduler = scheduler
        self._unreadable = unreadable
        # Of a session, and of a connection, there is one of each at the most.
        self._held: dict[str, _Held] = {}
        self._held_at: dict[Peer, _Held] = {}
        self._followers: dict[str, _Follower] = {}
        self._followers_at: dict[Peer, _Follower] = {}
        self._came: dict[Peer, int] = {}  # connections, with how many had come by then
        self._numbers = itertools.count(1)

    def come(self, peer: Peer) -> None:
        """Take note of a connection."""
        self._came[peer] = next(self._numbers)

    def answer(self, heard: Heard, peer: Peer) -> None:
        """Answer *heard*, now or later. Whatever was held for the same session, or on the same
        connection, is overtaken."""
        sender, ask = heard.sender, heard.ask
        self.release(peer)
        if self.is_late(heard, peer):
            self._reply(evolve(heard, ask=evolve(ask, follow=False)), peer)
            return
        if sender in self._held:
            self.release(self._held[sender].peer)
        follower = self._followers.get(sender)
        if follower is not None and follower.peer is not peer:
            self._forget(follower)  # he has come by another way
        only_waits = ask.wait and not (ask.commands or ask.seen or ask.who is not None)
        if only_waits and not self._has_news(sender, self._position(heard, peer)):
            self._hold(heard, peer)
        else:
            self._reply(heard, peer)

    def is_late(self, heard: Heard, peer: Peer) -> bool:
        """Whether *heard* comes by a way that its sender has given up: he has asked it again by a
        newer connection, where he waits or follows. A datagram is older than any connection."""
        held, follower = self._held.get(heard.sender), self._followers.get(heard.sender)
        number, came = heard.ask.number, self._came.get(peer, 0)
        return (
            held is not None
            and number <= held.heard.ask.number
            and came < self._came.get(held.peer, 0)
        ) or (
            follower is not None
            and number <= follower.latest
            and came < self._came.get(follower.peer, 0)
        )

    def release(self, peer: Peer) -> None:
        """Let go of what is held on the connection of *peer*, because another reply comes."""
        held = self._let_go(peer)
        if held is not None:
            peer.reply(None)

    def tell(self) -> None:
        """Tell whoever waits: something has happened."""
        for sender, held in list(self._held.items()):
            if self._has_news(sender, self._position(held.heard, held.peer)):
                try:
                    self._time_is_up(held.peer)
                except Exception:  # transports can be anybody's
                    log.exception("could not answer %s", sender)
        for follower in list(self._followers.values()):
            self._push(follower)

    def left(self, sender: str) -> None:
        """Take note that *sender* is a member no more."""
        if sender in self._followers:
            self._forget(self._followers[sender])

    def gone(self, peer: Peer) -> None:
        """Forget *peer*."""
        self._came.pop(peer, None)
        self._leave(peer)

    def _leave(self, peer: Peer) -> None:
        """Have nobody wait or follow by the connection *peer* any more."""
        self._let_go(peer)
        if peer in self._followers_at:
            self._forget(self._followers_at[peer])

    def close(self) -> None:
        """Tell nobody any more; whoever waits gets no answer."""
        for peer in list(self._held_at):
            self.release(peer)
        for follower in self._followers.values():
            # For ever, so that nothing more is pushed. What waits to be read by him is made still.
            follower.under_way += 1
        self._followers.clear()
        self._followers_at.clear()

    # Requests that are held.

    def _hold(self, heard: Heard, peer: Peer) -> None:
        seconds = min(heard.ask.wait, MAX_WAIT_SECONDS)
        follower = self._follower(heard.sender, peer)
        if follower is not None:
            follower.latest = heard.ask.number
        timer = self._scheduler.call_later(seconds, lambda: self._time_is_up(peer))
        self._held[heard.sender] = self._held_at[peer] = _Held(heard, peer, timer)

    def _let_go(self, peer: Peer) -> _Held | None:
        held = self._held_at.pop(peer, None)
        if held is not None:
            del self._held[held.heard.sender]
            held.timer.cancel()
        return held

    def _time_is_up(self, peer: Peer) -> None:
        held = self._let_go(peer)
        assert held is not None
        self._reply(held.heard, peer)

    # Answers.

    def _reply(self, heard: Heard, peer: Peer) -> None:
        if peer.datagram is not None:
            peer.reply([self._answer(heard, peer).encode()])
            return
        if heard.ask.follow and heard.sender in self._group:
            self._follow(heard, peer)
        follower = self._follower(heard.sender, peer)
        if follower is not None:
            follower.latest = heard.ask.number
            follower.under_way += 1
        # What was asked may be long, and has been carried out.
        heard = evolve(heard, ask=evolve(heard.ask, commands=()))
        try:
            peer.reply(self._when_read(heard, peer, follower))
        except Exception:
            if follower is not None:
                self._give_up(follower)
            raise

    def _when_read(self, heard: Heard, peer: Peer, follower: _Follower | None) -> Iterator[bytes]:
        """Yield the answer to *heard*, made now."""
        if follower is None:
            yield self._answer(heard, peer).encode()
            return
        position = max(follower.position, heard.ask.mark.position)
        if position > heard.ask.mark.position:
            # What was pushed arrives before this answer, which need not tell it again.
            heard = evolve(heard, ask=evolve(heard.ask, mark=Mark(position)))
        answer = self._answer(heard, peer)
        follower.position = answer.stop.position
        follower.under_way -= 1
        if answer.stop.position < answer.end:
            self._scheduler.call_soon(lambda: self._push(follower))
        yield answer.encode()

    def _answer(self, heard: Heard, peer: Peer) -> Answer:
        try:
            return self._answers.answer(heard, peer.datagram)
        except Damaged as error:
            self._unreadable(heard.sender, error)
            return self._answers.answer(heard, peer.datagram, readable=False)

    def _has_news(self, sender: str, position: int) -> bool:
        try:
            return self._answers.has_news(sender, position)
        except Damaged:
            return False  # he will be told when he asks, or his time is up

    def _position(self, heard: Heard, peer: Peer) -> int:
        """Return up to where the sender of *heard* has been told everything at *peer*."""
        follower = self._follower(heard.sender, peer)
        return max(heard.ask.mark.position, follower.position if follower else 0)

    # Connections that follow.

    def _follower(self, sender: str, peer: Peer) -> _Follower | None:
        follower = self._followers.get(sender)
        return follower if follower is not None and follower.peer is peer else None

    def _follow(self, heard: Heard, peer: Peer) -> None:
        if self._follower(heard.sender, peer) is None:
            self._leave(peer)  # whoever has followed by this connection
            follower = _Follower(heard.sender, heard.ask.token, peer, heard.ask.number)
            self._followers[heard.sender] = self._followers_at[peer] = follower

    def _forget(self, follower: _Follower) -> None:
        follower.gone = True
        del self._followers[follower.sender], self._followers_at[follower.peer]

    def _give_up(self, follower: _Follower) -> None:
        """End a connection, as nobody knows what went out by it. He is to come again."""
        if not follower.gone:
            self._forget(follower)
        try:
            follower.peer.close()
        except Exception:
            log.exception("could not close the connection of %s", follower.sender)

    def _push(self, follower: _Follower) -> None:
        """Send *follower* the news, if there is any and nothing else is under way to him."""
        before = follower.position
        if (
            follower.under_way
            or before >= self._group.timeline.end  # as it is for nearly all who have just been told
            or follower.gone
        ):
            return
        follower.under_way += 1
        follower.looked = self._group.timeline.end
        news, sent = self._news_when_read(follower), partial(self._sent, follower, before)
        try:
            follower.peer.push(news, sent)
        except Exception:
            # Transports can be anybody's, and the other followers are to be told all the same.
            log.exception("could not tell %s", follower.sender)
            self._give_up(follower)

    def _sent(self, follower: _Follower, before: int) -> None:
        follower.under_way -= 1
        # If he is where he was, there was nothing but his own, or it could not be read: then not
        # until more happens.
        end = self._group.timeline.end
        if before < follower.position < end or follower.looked < end:
            self._scheduler.call_soon(partial(self._push, follower))

    def _news_when_read(self, follower: _Follower) -> Iterator[bytes]:
        """Yield the news for *follower*, made now; nothing if there is none after all, or he has
        left or come by another way meanwhile."""
        if follower.gone:
            return
        follower.looked = self._group.timeline.end
        try:
            pushed = self._answers.push(follower.sender, follower.position)
        except Damaged as error:
            self._unreadable(follower.sender, error)
            return
        if pushed is not None:
            follower.position = pushed.stop
            yield pushed.encode(follower.token)
