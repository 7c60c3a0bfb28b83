"""The server's half of sessions: requests that are numbered, and news that is acknowledged.

What lives here: which request is new and which is a repeat, who has proved where he is, and what
an answer says. What must not: a clock, a socket, or who may do what in the group.

Theory. A session is known by an unguessable *token*, wherever its requests come from; its sender,
under which it is a member and stands in the log, is a hash of the token, so neither a log nor a
memory dump lets anybody speak in its name. Of each session the last request's number and results
are remembered. A greater number is a new request; the same number is a repeat, which is answered
with the same results and not carried out again; a smaller one has been overtaken, and is told so,
which helps whoever goes on from an old copy of his state. What the client has acknowledged, the
*mark* in each request, is all that moves its cursor, so news whose reply was lost is told again.

What was carried out is in the log, with its number, so a restart forgets none of this. What is
kept in memory alone is harmless to lose: the numbers of requests that only read, the parts of a
long request until the last has come, and which address has been proved. To prove one, its owner
repeats a *cookie*, a keyed hash of the address and the time, which nobody need remember
(RFC 9000, section 8.1). Until then he gets nothing but the cookie, which is no longer than three
times any request that asks for it.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

from attrs import define, frozen

from groupchat.core.chat import Chat
from groupchat.core.commands import Command, Update
from groupchat.core.group import Draft, Member
from groupchat.core.lines import REMOVED, removed_line
from groupchat.core.pages import Excerpt
from groupchat.core.plain import MAX_REQUEST_BYTES, decode
from groupchat.core.records import Record
from groupchat.core.replies import Reason, Refused
from groupchat.core.sessions.messages import (
    DATAGRAM_BYTES,
    DONE,
    INCOMPLETE,
    MAX_COMMANDS,
    NOT_STORED_RESULT,
    SEAL_BYTES,
    VERSION,
    Answer,
    Ask,
    Behind,
    Mark,
    Open,
    Opened,
    Prove,
    Refusal,
    Unknown,
    Who,
    code,
    decode_request,
)

__all__ = [
    "ANSWER_EVENTS",
    "COOKIE_MILLISECONDS",
    "OPEN_SESSIONS",
    "STREAM_REPLY_BYTES",
    "Heard",
    "Sessions",
]

STREAM_REPLY_BYTES: Final = 262_144
"""Bytes that a reply on a stream should have."""

ANSWER_EVENTS: Final = 4_096
"""Events that are looked at for one answer."""

COOKIE_MILLISECONDS: Final = 60_000
"""Milliseconds for which a cookie is accepted at the least; at the most it is twice that."""

OPEN_SESSIONS: Final = 10_000
"""Sessions that are remembered although nobody has joined by them."""

_TOKEN: Final = slice(SEAL_BYTES, SEAL_BYTES + 32)  # where it stands in a request
_GROUPS: Final = ("main",)
_HEAD_ROOM: Final = 48 + SEAL_BYTES  # so much longer can a first line get by its marks
_LEAST_NEWS: Final = 100  # bytes; with less room left by the rest of an answer, it has no news


@define(eq=False)
class _Session:
    """What is kept in memory of a session."""

    token: str
    number: int
    results: tuple[str, ...] | None
    """What came of the request with that number; None while it is being written down."""
    asked: int | None = None
    """The CRC-32 of what it asked for; None if that was before the server was started."""
    address: str = ""
    """The one that has been proved, if any."""
    parked: bytes = b""
    """The first parts of a long command."""


@frozen
class Heard:
    """A request that is to be answered, once its record, if any, is in the log and applied."""

    sender: str
    ask: Ask
    results: tuple[str, ...]
    record: Record | None
    """What has to be written down first."""


class Sessions:
    """All sessions with one chat.

    Args:
        chat: to be read; whoever applies records does so by himself.
        secret: unguessable bytes, by which cookies are made.
        draw: returns 16 new unguessable bytes.
    """

    def __init__(self, chat: Chat, secret: bytes, draw: Callable[[], bytes]) -> None:
        self._chat = chat
        self._secret = secret
        self._draw = draw
        self._sessions: dict[str, _Session] = {}
        self._senders: dict[bytes, str] = {}  # by token, to save the hashing

    def sender(self, request: bytes) -> str:
        """Return whose *request* this seems to be; nobody's if its token is none that is known."""
        token = request[_TOKEN]
        sender = self._senders.get(token)
        if sender is None:
            sender = sender_of(token)
            if sender not in self._chat.sessions:
                return ""
        return sender

    def hear(
        self, request: bytes, address: str, datagram: bool, draft: Draft, now: int
    ) -> Heard | bytes | Refused | None:
        """Take one request.

        Args:
            request: its bytes.
            address: where it came from.
            datagram: whether anybody could have sent it in the name of that address.
            draft: judges its commands.
            now: the time, in milliseconds since 1970.

        Returns:
            What has to be done; or the reply; or why it is none; or None if it gets no reply.
        """
        message = decode_request(request)
        if message is None:
            return Refused(Reason.NOT_A_REQUEST)
        proved = not datagram or self._is_cookie(message.cookie, address, now)
        if isinstance(message, Open):
            return self._open(message, address, proved, now)
        if len(message.commands) > MAX_COMMANDS:
            return Refused(Reason.NOT_A_REQUEST)
        token = message.token.encode()
        sender = self._senders.get(token) or sender_of(token)
        session = self._find(message.token, sender)
        if session is None:
            return Unknown(message.number, key=message.token).encode()
        if proved:
            session.address = address
        elif session.address != address:
            return Prove(self._cookie(address, now), key=message.token).encode()
        return self._ask(message, sender, session, draft, now)

    def stored(self, heard: Heard, done: bool) -> Heard:
        """Take note of what became of the record of *heard*, and return what to answer now.

        Args:
            heard: it has a record.
            done: whether that is in the log and has been applied.
        """
        results = heard.results
        if not done:
            results = tuple(NOT_STORED_RESULT if word == DONE else word for word in results)
        session = self._sessions.get(heard.sender)
        if session is not None and session.number == heard.ask.number:
            session.results = results  # else it has been overtaken, and perhaps forgotten
        return Heard(heard.sender, heard.ask, results, None)

    def answer(self, heard: Heard, limit: int | None, readable: bool = True) -> Answer:
        """Return the answer to *heard*, in no more than *limit* bytes if it is one datagram;
        without news if that is not *readable*."""
        ask, group = heard.ask, self._chat.group
        member = group.members.get(heard.sender)
        if member is None:
            return Answer(
                ask.number,
                heard.results,
                ask.mark,
                ask.mark,
                ask.mark.position,
                tries=ask.tries,
                outside=True,
                key=ask.token,
            )
        room = self._room(limit) - _HEAD_ROOM
        end = group.timeline.end
        seen = group.timeline.passed(member.cursor) if ask.seen else None
        answer = Answer(ask.number, heard.results, ask.mark, ask.mark, end, None, seen, ask.tries)
        room -= len(answer.head())
        who: Who | None = None
        names: tuple[str, ...] = ()
        if ask.who is not None:
            others, before = group.roster(ask.who or end, room)
            names = tuple(other.name for other in others if other is not member)
            who = Who(before, len(names))
            room -= sum(len(name.encode()) + 1 for name in names)
        begin, stop, body = ask.mark, ask.mark, b""
        if not readable:
            end = ask.mark.position  # there is no use in asking again at once
        elif room >= _LEAST_NEWS or not (names or heard.results):
            begin, stop, body = self._news(member, ask.mark, room, whole=limit is None)
        return Answer(
            ask.number,
            heard.results,
            begin,
            stop,
            end,
            who,
            seen,
            ask.tries,
            names,
            body,
            not readable,
            key=ask.token,
        )

    def push(self, sender: str, position: int) -> Answer | None:
        """Return the news of a session from *position* on, unasked; None if there is none."""
        member, session = self._chat.group.members.get(sender), self._sessions.get(sender)
        if member is None or session is None or position >= self._chat.group.timeline.end:
            return None
        end = self._chat.group.timeline.end
        stop, body = Mark(position), b""
        while not body and stop.position < end:
            _, stop, body = self._news(member, stop, self._room(None), whole=True)
        # His cursor may have passed events of his own. To begin there would look like a gap to him.
        return Answer(0, (), Mark(position), stop, end, body=body, key=session.token)

    def has_news(self, heard: Heard) -> bool:
        """Whether there is anything to tell beyond the mark of *heard*."""
        member = self._chat.group.members.get(heard.sender)
        if member is None:
            return False
        position = max(member.cursor.position, heard.ask.mark.position)
        excerpt = self._excerpt(member, position)
        more = excerpt.stop < self._chat.group.timeline.end
        return bool(excerpt.removed) or more or any(True for _ in excerpt)

    def _open(self, message: Open, address: str, proved: bool, now: int) -> bytes:
        if message.version != VERSION:
            return Refusal("other version", key=message.nonce).encode()
        if message.group not in _GROUPS:
            return Refusal("no such group", key=message.nonce).encode()
        if not proved:
            return Prove(self._cookie(address, now), key=message.nonce).encode()
        self._make_room()
        token = self._draw().hex()
        self._keep(sender_of(token.encode()), _Session(token, 0, (), address=address))
        return Opened(token, key=message.nonce).encode()

    def _keep(self, sender: str, session: _Session) -> None:
        self._senders[session.token.encode()] = sender
        self._sessions[sender] = session

    def _make_room(self) -> None:
        """Forget what can be forgotten when too many sessions are open."""
        remembered = self._chat.sessions
        if len(self._sessions) - len(remembered) < OPEN_SESSIONS:
            return
        idle = [
            sender
            for sender, session in self._sessions.items()
            if sender not in remembered and session.results is not None
        ]
        for sender in idle[: len(idle) // 2 + 1]:  # the oldest
            del self._sessions[sender]
        self._senders = {
            t: sender for t, sender in self._senders.items() if sender in self._sessions
        }

    def _find(self, token: str, sender: str) -> _Session | None:
        session = self._sessions.get(sender)
        if session is None:
            last = self._chat.sessions.get(sender)
            if last is None:
                return None
            session = _Session(token, last.number, tuple(last.results.split(",")))
            self._keep(sender, session)
        return session

    def _ask(
        self, ask: Ask, sender: str, session: _Session, draft: Draft, now: int
    ) -> Heard | bytes | None:
        if ask.mark.position > self._chat.group.timeline.end:
            # He has been told what this log does not hold: it is an older copy of that one.
            return Unknown(ask.number, key=ask.token).encode()
        if ask.number < session.number or not self._may_be_repeat(ask, session):
            return Behind(ask.number, session.number, key=ask.token).encode()
        if ask.number == session.number:
            if session.results is None:
                return None  # it is being carried out, and will be answered
            self._acknowledge(sender, ask)
            return Heard(sender, ask, session.results, None)
        session.number, session.asked = ask.number, _sum(ask.commands)
        accepted: list[Command] = []
        results: list[str] = []
        for part in ask.commands:
            result = self._judge(part, sender, session, draft)
            if isinstance(result, str):
                results.append(result)
            elif isinstance(result, Refused):
                results.append(code(result.reason))
            else:
                results.append(DONE)
                if not isinstance(result, Update):
                    accepted.append(result)
        session.results = tuple(results)
        if not accepted:
            self._acknowledge(sender, ask)
            return Heard(sender, ask, session.results, None)
        words, session.results = session.results, None
        record = Record(
            now, sender, ask.mark.position, tuple(accepted), None, ask.number, ",".join(words)
        )
        return Heard(sender, ask, words, record)

    @staticmethod
    def _may_be_repeat(ask: Ask, session: _Session) -> bool:
        """Whether *ask*, if it has the number of the last request, asks for the same."""
        if ask.number != session.number:
            return True
        if session.asked is not None:
            return _sum(ask.commands) == session.asked
        return session.results is None or len(ask.commands) == len(session.results)

    def _acknowledge(self, sender: str, ask: Ask) -> None:
        if sender in self._chat.group:
            self._chat.group.stand(sender, ask.mark.position)

    def _judge(
        self, part: bytes, sender: str, session: _Session, draft: Draft
    ) -> Command | Refused | str:
        """Return the accepted command, or why it is refused, or the result that it has already."""
        if part[:1] in {b"~", b"+"}:
            first, _, text = part[1:].partition(b" ")
            if first != b"%d" % len(session.parked) and first != b"0":
                return INCOMPLETE
            part_before, session.parked = session.parked if first != b"0" else b"", b""
            whole = part_before + text
            if part[:1] == b"~":
                if len(whole) > MAX_REQUEST_BYTES:
                    return Refused(Reason.NOT_A_REQUEST)
                session.parked = whole
                return DONE
            part = whole
        command = decode(part)
        return command if isinstance(command, Refused) else draft.accept(command, sender)

    def _news(self, member: Member, mark: Mark, room: int, whole: bool) -> tuple[Mark, Mark, bytes]:
        """Return what lies beyond *mark*, as much as fits *room*: where it begins, where it stops
        and the lines. At least one line is returned, or, unless *whole*, a part of it."""
        position = max(member.cursor.position, mark.position)
        excerpt = self._excerpt(member, position)
        begin = Mark(position)
        pieces: list[bytes] = []
        if excerpt.removed:
            notice = (
                excerpt.start - 1,
                excerpt.removed_time,
                REMOVED,
                removed_line(excerpt.removed),
            )
            pieces.append(b"%d %d %c %b\n" % notice)
            room -= len(pieces[0])
        for span in excerpt:
            had = 0  # bytes of its first line
            goes_on = not pieces and mark.offset and mark.position == span.position
            if goes_on and mark.offset < len(span.first()) - 1:
                begin, had = mark, mark.offset
            lines, count = span.stamped(had + room + 1)  # the last line feed is left out
            if not count and not pieces:
                lines, count = span.first(), 1
                if not whole:
                    return begin, Mark(span.position, had + room), lines[had : had + room]
            pieces.append(lines[had:])
            room -= len(pieces[-1])
            if count < len(span):
                return begin, Mark(span.position + count), b"".join(pieces)
        return begin, Mark(excerpt.stop), b"".join(pieces)

    def _excerpt(self, member: Member, position: int) -> Excerpt:
        """Return what lies beyond *position* for *member*; but only among so many events that own
        ones in between, which nobody is told, cost little."""
        return self._chat.group.timeline.excerpt(position, member.joined, ANSWER_EVENTS)

    @staticmethod
    def _room(limit: int | None) -> int:
        return STREAM_REPLY_BYTES if limit is None else min(limit, DATAGRAM_BYTES)

    def _cookie(self, address: str, now: int) -> str:
        period = now // COOKIE_MILLISECONDS
        digest = hmac.digest(self._secret, f"{period} {address}".encode(), "sha256")
        return digest[:8].hex()

    def _is_cookie(self, cookie: str, address: str, now: int) -> bool:
        return bool(cookie) and any(
            hmac.compare_digest(cookie, self._cookie(address, now - age))
            for age in (0, COOKIE_MILLISECONDS)
        )


def _sum(commands: Sequence[bytes]) -> int:
    return crc32(b"\n".join(commands))


def sender_of(token: bytes) -> str:
    """Return the sender that the owner of *token* is in the group and in the log."""
    return f"session {hashlib.sha256(token).hexdigest()[:32]}"
