"""The client's half of sessions: what to send, when to send it again, and what came of it.

What lives here: the state of one session as its client knows it. What must not: a clock, a socket,
a screen. Time comes in as data, in milliseconds from any beginning.

Theory. There is one request under way at a time. What is submitted meanwhile waits, and travels
together in the next. A request is sent again until its reply is there, for as long as it
takes; the server carries it out once. A request that only waits for news is given up as soon as
there is something to ask.

News is taken when it begins where we are: at our *mark*. If it begins before, what we know is
left out; if it begins after, there is a gap, so all of it is left out, and asked for again. So
whoever writes down the mark after he has shown the news, and before he sends the next request,
misses nothing and shows nothing twice. That, and what was under way, is what is *saved*: enough to
go on by in another process, from another address, by another transport.

Somebody who *takes turns* is told things as the plain protocol tells them: as if each command had
been answered before the next was asked. News that comes with an answer to anything else than a
``2``, ``3`` or ``5`` that was carried out is left where it is, on the server. Of what does come,
all that waited is fetched, before what came of the next command is told.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from attrs import evolve

from groupchat.core.plain import ILLEGAL_REQUEST, UNREADABLE
from groupchat.core.sessions import replies
from groupchat.core.sessions.bookmark import Bookmark, News
from groupchat.core.sessions.happenings import (
    TROUBLE,
    Behind,
    Happening,
    Lost,
    NoSessions,
    Outside,
    Ready,
    Told,
)
from groupchat.core.sessions.outbox import DATAGRAM_ROOM, Outbox
from groupchat.core.sessions.presence import Presence
from groupchat.core.sessions.replies import Answer, Opened, Prove, Unknown, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.tries import Tries
from groupchat.core.sessions.turns import Turns
from groupchat.core.sessions.wishes import Wishes

__all__ = [
    "ACKNOWLEDGE_MILLISECONDS",
    "KEEP_MILLISECONDS",
    "PLAIN_REFUSALS",
    "SessionClient",
]

ACKNOWLEDGE_MILLISECONDS: Final = 1_000
"""How long news that came unasked is left without an acknowledgement."""

KEEP_MILLISECONDS: Final = 60_000
"""How long the server hears nothing from a connection that follows, and to which nothing comes."""

PLAIN_REFUSALS: Final = 3
"""So many times a server must have refused a session before it is taken to know none."""


class _Phase(Enum):
    OPENING = "opening"
    READY = "ready"
    OVER = "over"


class SessionClient:
    """One session.

    Args:
        datagram: whether messages can get lost and must be short; else this is a connection.
        saved: the session to go on with; None for a new one.
        group: which group a new session is for.
        nonce: 16 hexadecimal digits that nobody can guess: what proves that a new session is the
            server's.
        in_turn: whether it takes turns, as the plain protocol does (see above).
    """

    def __init__(
        self,
        datagram: bool,
        saved: Saved | None = None,
        group: str = "main",
        *,
        nonce: str,
        in_turn: bool = False,
    ) -> None:
        self._nonce = nonce
        self.heard = 0
        """How many messages have come from the server and were for us. To be read."""
        self._datagram = datagram
        self._turns = Turns() if in_turn else None
        self._group = saved.group if saved else group
        self._token = saved.token if saved else ""
        self._number = saved.number if saved else 0
        self._presence = Presence(saved.joined, saved.said) if saved else Presence()
        self._bookmark = Bookmark(saved.position if saved else 0)
        self._acknowledged = self._bookmark.mark  # the server knows that we have come so far
        self._phase = _Phase.READY if saved else _Phase.OPENING
        self._resuming = saved is not None
        self._tries = Tries()
        self._outbox = Outbox(saved.commands, saved.command) if saved else Outbox()
        self._wishes = Wishes(more=saved is not None)
        self._acknowledge_at: int | None = None  # by a request without anything else in it
        self._cookie = ""
        self._ask: Ask | None = None  # under way
        if saved and saved.commands:
            self._ask = self._request(saved.number)

    # What its owner wants.

    def submit(self, command: bytes) -> None:
        """Have *command*, a request of the plain protocol, carried out."""
        self._outbox.put(command, DATAGRAM_ROOM)

    def ask_who(self) -> None:
        """Ask who is here."""
        self._wishes.ask_who()

    def ask_seen(self) -> None:
        """Ask how far everybody else has come."""
        self._wishes.seen = True

    def listen(self, seconds: int) -> None:
        """From now on, wait for news while there is nothing else to ask; 0: no more. The server
        holds each request for that long at the most."""
        self._wishes.listens = seconds

    def follow(self) -> None:
        """On a connection: be told all news from now on."""
        self._wishes.follows = True
        self._wishes.more = True

    def acknowledge(self) -> None:
        """Have the server know how far we have come, though there may be nothing to ask."""
        if self._bookmark.mark > self._acknowledged:
            self._wishes.more = True

    # What it wants of its owner.

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for has been answered."""
        waits = self._ask is None or bool(self._ask.wait)
        return self._phase is _Phase.READY and waits and not self._has_something_to_ask()

    @property
    def position(self) -> int:
        """All before this has been told."""
        return self._bookmark.mark.position

    @property
    def said(self) -> int:
        """All that was said by this session lies before this position; 0: nothing was."""
        return self._presence.said

    @property
    def unsent(self) -> tuple[bytes, ...]:
        """The commands that were submitted, and no part of which is under way yet."""
        return self._outbox.unsent()

    @property
    def refusals(self) -> int:
        """How often the server has answered like one that knows no sessions, since it last
        answered otherwise."""
        return self._tries.refusals

    def saved(self) -> Saved | None:
        """Return what to write down before anything is sent; None if there is no session."""
        if self._phase is not _Phase.READY:
            return None
        return Saved(
            self._token,
            self._number,
            self._bookmark.mark.position,
            self._presence.joined,
            self._group,
            self._outbox.requests(),
            self._presence.said,
            self._outbox.partial(),
        )

    def next_time(self) -> int | None:
        """Return when to call :meth:`send` at the latest; None for when there is news."""
        if self._phase is _Phase.OVER:
            return None
        if self._ask is None and self._phase is _Phase.READY:
            asks = self._has_something_to_ask() or self._wishes.listens
            return 0 if asks else self._acknowledge_at
        if self._is_overtaken():
            return 0
        return self._tries.due

    def send(self, now: int) -> bytes | None:
        """Return what to send at the time *now*, if anything."""
        if self._phase is _Phase.READY and (self._ask is None or self._is_overtaken()):
            self._compose(now)
        due = self._tries.due
        if self._phase is _Phase.OVER or due is None or now < due:
            return None
        ask = self._ask
        if self._phase is _Phase.READY and ask is None:
            return None
        self._tries.send(now, self._datagram, ask is not None and bool(ask.wait))
        if ask is None:
            return Open(self._group, self._nonce, self._cookie).encode()
        mark = self._bookmark.mark  # on a connection we may have come further since
        return evolve(ask, mark=mark, tries=self._tries.count, cookie=self._cookie).encode()

    def reconnect(self, datagram: bool) -> None:
        """Go on by a new connection: what is under way has to be sent again."""
        self._datagram = datagram
        self._tries.begin()
        if self._wishes.follows:
            self._wishes.more = True

    def receive(self, data: bytes, now: int) -> list[Happening]:
        """Take what has arrived, a reply or anything else, and return what it tells."""
        if self._phase is _Phase.OVER:
            return []
        reply = decode_reply(data, self._token or self._nonce)
        if reply is None:
            return self._not_understood(data)
        self.heard += 1
        self._tries.heard()
        if isinstance(reply, Answer):
            return self._answered(reply, now)
        if isinstance(reply, Prove):
            if self._cookie != reply.cookie:
                self._cookie = reply.cookie
                self._tries.prove(now)
            return []
        if isinstance(reply, Unknown):
            return self._unknown(reply)
        if isinstance(reply, replies.Behind):
            return self._behind(reply)
        if self._phase is not _Phase.OPENING:
            return []
        if isinstance(reply, Opened):
            self._phase, self._token = _Phase.READY, reply.token
            self._tries.begin()
            return [Ready(resumed=False)]
        self._phase = _Phase.OVER
        return [NoSessions(reply.why)]

    def _has_something_to_ask(self) -> bool:
        return bool(self._outbox or self._wishes)

    def _is_overtaken(self) -> bool:
        """Whether what is under way only waits for news, and there is something better to ask."""
        return self._ask is not None and bool(self._ask.wait) and self._has_something_to_ask()

    def _compose(self, now: int) -> None:
        """Make the next request, if there is anything to ask."""
        if self._acknowledge_at is not None and now >= self._acknowledge_at:
            self._wishes.more = True
        asks = self._has_something_to_ask()
        if not asks and not self._wishes.listens:
            self._ask = None
            return
        if self._turns is None or self._turns.fetch_to is None:
            self._outbox.pack(
                DATAGRAM_ROOM,
                leave_apart=self._turns is not None,
                join_apart=not self._presence.joined,
            )
        self._number += 1
        self._ask = self._request(self._number, 0 if asks else self._wishes.listens)
        self._wishes.more = False
        self._acknowledge_at = None
        self._tries.begin()

    def _request(self, number: int, wait: int = 0) -> Ask:
        return Ask(
            self._token,
            number,
            self._bookmark.mark,
            self._outbox.requests(),
            wait,
            self._wishes.follows and not self._datagram,
            self._wishes.who,
            self._wishes.seen,
        )

    def _not_understood(self, data: bytes) -> list[Happening]:
        if data != ILLEGAL_REQUEST:
            return []
        self._tries.refused()
        if self._phase is _Phase.OPENING:
            if self._tries.refusals >= PLAIN_REFUSALS:
                self._phase = _Phase.OVER
                return [NoSessions()]
            self._tries.done()
        return []

    def _unknown(self, reply: Unknown) -> list[Happening]:
        if self._ask is None or reply.number != self._ask.number:
            return []
        if not self._presence.joined:
            # Nothing was carried out but to join, perhaps, and whoever joined is gone: begin anew.
            self._outbox.turn_back()
            self._bookmark = Bookmark(0)
            # Numbers go on: a late answer to the old session must not be taken for one to the new.
            self._ask = None
            self._phase, self._token, self._cookie = _Phase.OPENING, "", ""
            self._resuming = False
            self._tries.begin()
            return []
        self._phase = _Phase.OVER
        return [Lost(self._outbox.commands())]

    def _behind(self, reply: replies.Behind) -> list[Happening]:
        """Go on from where the server says that we are."""
        if self._ask is None or reply.number != self._ask.number or reply.last < reply.number:
            return []
        commands = self._outbox.forget()
        self._number, self._ask = reply.last, None
        self._wishes.more = True
        self._tries.begin()
        return [Behind(commands)]

    def _answered(self, answer: Answer, now: int) -> list[Happening]:
        ask = self._ask
        unasked = not self._datagram and answer.number != (ask.number if ask else None)
        if not unasked and (
            ask is None or answer.number != ask.number or len(answer.results) != len(ask.commands)
        ):
            return []
        if self._datagram and self._tries.is_too_old(answer.tries):
            return []
        try:
            news = self._bookmark.read(answer)
        except ValueError:
            return []  # its checksum is right, and yet no server of ours says such a thing
        if unasked or ask is None:
            return [*self._unasked(answer, news, now)]
        self._cookie = ""  # it has done its work
        if not ask.wait:
            self._tries.measure(answer.tries, now)
        self._acknowledged = max(self._acknowledged, ask.mark)
        joined = self._presence.note(self._outbox.under_way, answer)
        happenings: list[Happening] = []
        resumes, self._resuming = self._resuming, False
        if resumes:
            happenings.append(Ready(resumed=True, waiting=self._waiting(answer, joined)))
        if self._presence.ends(answer):
            happenings.append(Outside())
        results = self._outbox.arrived(answer.results)
        self._ask = None
        self._tries.done()
        if self._turns is not None and not resumes:  # what was asked before brings no news
            results = self._turns.take(results, answer.end)
        happenings += results
        happenings += self._wishes.answered(ask, answer)
        happenings += self._news(answer, news, joined)
        if self._wishes.follows:
            behind = self._bookmark.mark > self._acknowledged
            self._acknowledge_at = now + (ACKNOWLEDGE_MILLISECONDS if behind else KEEP_MILLISECONDS)
        return happenings

    def _waiting(self, answer: Answer, joined: bool) -> int:
        """Return how many events wait to be told, those that *answer* itself tells included."""
        if joined:
            begin, own = answer.begin.position, 0  # what we have done since lies before that
        else:
            begin = self._bookmark.mark.position
            own = self._presence.own(self._outbox.under_way, answer)
        return max(0, answer.end - begin - own)

    def _unasked(self, answer: Answer, news: News | None, now: int) -> Sequence[Happening]:
        """Take what a server tells a follower by itself."""
        happenings = self._bookmark.take(answer, news, joined=False)
        due = now + ACKNOWLEDGE_MILLISECONDS
        if self._acknowledge_at is None or self._acknowledge_at > due:
            self._acknowledge_at = due
        return happenings

    def _news(self, answer: Answer, news: News | None, joined: bool) -> Sequence[Happening]:
        """Take the news in the answer to a request."""
        turns = self._turns
        if turns is None:
            self._wishes.more = self._wishes.more or answer.stop.position < answer.end
            return self._take(answer, news, joined)
        if joined:
            self._bookmark.skip(answer.begin)
        if turns.fetch_to is None:
            if not answer.body:
                self._bookmark.skip(answer.stop)  # nothing but our own
            return []
        happenings = self._take(answer, news, joined)
        following = turns.told(self._bookmark.mark.position, answer.end)
        if following is None:
            self._wishes.more = True
            return happenings
        return [*happenings, *following]

    def _take(self, answer: Answer, news: News | None, joined: bool) -> list[Happening]:
        happenings: list[Happening] = [*self._bookmark.take(answer, news, joined)]
        if answer.unreadable:
            happenings.append(Told(self._bookmark.mark.position, 0, TROUBLE, UNREADABLE))
        return happenings
