"""The server's half of sessions: requests that are numbered, and news that is acknowledged.

What lives here: which request is new and which is a repeat, and who has proved where he is. What
must not: what an answer says, a clock, a socket, or who may do what in the group.

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

from attrs import define

from groupchat.core.chat import Chat
from groupchat.core.commands import Command, Update
from groupchat.core.group import Draft
from groupchat.core.plain import MAX_REQUEST_BYTES, decode
from groupchat.core.records import SEPARATOR, Record
from groupchat.core.replies import Reason, Refused
from groupchat.core.sessions.answers import Heard
from groupchat.core.sessions.replies import (
    DONE,
    INCOMPLETE,
    NOT_STORED_RESULT,
    Behind,
    Opened,
    Prove,
    Refusal,
    Unknown,
    code,
)
from groupchat.core.sessions.requests import MAX_COMMANDS, Ask, Open, decode_request
from groupchat.core.sessions.wire import SEAL_BYTES, VERSION

__all__ = [
    "COOKIE_MILLISECONDS",
    "OPEN_SESSIONS",
    "Sessions",
]

COOKIE_MILLISECONDS: Final = 60_000
"""Milliseconds for which a cookie is accepted at the least; at the most it is twice that."""

OPEN_SESSIONS: Final = 10_000
"""Sessions that are remembered although nobody has joined by them."""

_TOKEN: Final = slice(SEAL_BYTES, SEAL_BYTES + 32)  # where it stands in a request
_GROUPS: Final = ("main",)
_SEPARATOR: Final = SEPARATOR.encode()


@define(eq=False)
class _Session:
    """What is kept in memory of a session."""

    token: str
    number: int
    results: tuple[str, ...] | None
    """What came of the request with that number; None while it is being written down."""
    asked: str = ""
    """The CRC-32 of what it asked for, in hexadecimal; empty if a log does not tell."""
    address: str = ""
    """The one that has been proved, if any."""
    parked: bytes = b""
    """The first parts of a long command."""


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
            now: the time, in milliseconds from any beginning; the record is to have its own.

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
            results, _, asked = last.results.partition(" ")
            session = _Session(token, last.number, tuple(results.split(",")), asked)
            self._keep(sender, session)
        return session

    def _ask(
        self, ask: Ask, sender: str, session: _Session, draft: Draft, now: int
    ) -> Heard | bytes | None:
        if ask.mark.position > self._chat.group.timeline.end:
            # He has been told what this log does not hold: it is an older copy of that one.
            return Unknown(ask.number, key=ask.token).encode()
        if ask.number < session.number or not _may_be_repeat(ask, session):
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
            now,
            sender,
            ask.mark.position,
            tuple(accepted),
            None,
            ask.number,
            f"{','.join(words)} {session.asked}",
        )
        return Heard(sender, ask, words, record)

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

    def _cookie(self, address: str, now: int) -> str:
        period = now // COOKIE_MILLISECONDS
        digest = hmac.digest(self._secret, f"{period} {address}".encode(), "sha256")
        return digest[:8].hex()

    def _is_cookie(self, cookie: str, address: str, now: int) -> bool:
        return bool(cookie) and any(
            hmac.compare_digest(cookie, self._cookie(address, now - age))
            for age in (0, COOKIE_MILLISECONDS)
        )


def _may_be_repeat(ask: Ask, session: _Session) -> bool:
    """Whether *ask*, if it has the number of the last request, asks for the same."""
    if ask.number != session.number:
        return True
    if session.asked:
        return session.asked == _sum(ask.commands)
    return len(ask.commands) == len(session.results or ())


def _sum(commands: Sequence[bytes]) -> str:
    return format(crc32(_SEPARATOR.join(commands)), "08x")


def sender_of(token: bytes) -> str:
    """Return the sender that the owner of *token* is in the group and in the log."""
    return f"session {hashlib.sha256(token).hexdigest()[:32]}"
