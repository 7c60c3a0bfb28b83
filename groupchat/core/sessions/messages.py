"""The session protocol: its messages, and how they look.

What lives here: syntax. What must not: what a message does, which is for the two halves.

A message begins with ``@`` and its checksum, eight hexadecimal digits: the CRC-32 (RFC 1952) of
all after the space that follows. A request is one line of UTF-8; a reply is a line, and then,
where there is something to tell, more lines. <RS> is the record separator (U+001E)::

    @CHECKSUM open 1 main NONCE [COOKIE]                     a session, please
    @CHECKSUM TOKEN NUMBER MARK [OPTION]...[<RS>REQUEST]...  the NUMBERth request of mine

    @CHECKSUM prove COOKIE                                   say so again, with this
    @CHECKSUM session TOKEN                                  here it is
    @CHECKSUM refused WHY                                    there is none
    @CHECKSUM unknown NUMBER                                 no such session
    @CHECKSUM behind NUMBER LAST                             but yours was LAST already
    @CHECKSUM NUMBER RESULTS MARK MARK END [OPTION]...       the reply to request NUMBER
    LINE...

In front of what the checksum of a reply is made of stands its *key*: the token in the request, or
the nonce in it. So whoever has not seen the request cannot forge a reply to it.

A *mark* is how far somebody has come: the position of the next event he has not had, and, if he
has had a part of its line, a full stop and how many bytes of it. The first mark of a reply is
where its lines begin, the second where they stop; END is where the timeline does, so a reply
whose second mark is less says that more waits. Every line is POSITION TIME KIND LINE
(:meth:`Page.stamped <groupchat.core.pages.Page.stamped>`).
"""

import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias
from zlib import crc32

from attrs import field, frozen

from groupchat.core.records import SEPARATOR
from groupchat.core.replies import Reason

__all__ = [
    "DATAGRAM_BYTES",
    "DONE",
    "INCOMPLETE",
    "MAX_COMMANDS",
    "MAX_NUMBER",
    "NONE",
    "NOT_STORED_RESULT",
    "SEAL_BYTES",
    "VERSION",
    "Answer",
    "Ask",
    "Behind",
    "Mark",
    "Open",
    "Opened",
    "Prove",
    "Refusal",
    "Reply",
    "Request",
    "Unknown",
    "Who",
    "code",
    "decode_reply",
    "decode_request",
]

VERSION: Final = 1
"""The version of the session protocol."""

DATAGRAM_BYTES: Final = 1_200
"""Bytes that a request and a reply may have where each is one datagram (RFC 9000, section 14)."""

MAX_NUMBER: Final = 10**15
"""No number or position is greater."""

DONE: Final = "done"
"""What came of a command that was carried out."""

INCOMPLETE: Final = "incomplete"
"""The result of the last part of a command whose first parts are not here."""

NOT_STORED_RESULT: Final = "not-stored"
"""The result of a command that could not be written down. Nobody will see it."""

MAX_COMMANDS: Final = 32
"""Commands that one request may hold."""

NONE: Final = "-"
"""Stands for no results at all."""

SEAL_BYTES: Final = len("@01234567 ")
"""Bytes in front of every message: what kind it is, and its checksum."""

_RS: Final = SEPARATOR.encode()
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,14}")
_TOKEN: Final = re.compile(rb"[0-9a-f]{32}")
_NONCE: Final = re.compile(rb"[0-9a-f]{16}")
_COOKIE: Final = _NONCE
_WORD: Final = re.compile(rb"[a-z0-9-]{1,32}")
_RESULTS: Final = re.compile(rb"-|[a-z-]{1,32}(,[a-z-]{1,32})*")


def code(reason: Reason) -> str:
    """Return *reason* as a result: ``name-in-use``."""
    return reason.name.lower().replace("_", "-")


def _key() -> Any:  # noqa: ANN401
    """Return the field for the key of a reply, which is in its checksum alone."""
    return field(default="", kw_only=True, repr=False, eq=False)


@frozen(order=True)
class Mark:
    """How far somebody has come."""

    position: int
    """The position of the next event that he has not had."""
    offset: int = 0
    """How many bytes of its line he has had."""

    def __str__(self) -> str:
        return f"{self.position}.{self.offset}" if self.offset else str(self.position)

    @classmethod
    def parse(cls, text: bytes) -> "Mark":
        """Return the mark that *text* shows.

        Raises:
            ValueError: it shows none.
        """
        position, dot, offset = text.partition(b".")
        return cls(_number(position), _number(offset) if dot else 0)


@frozen
class Who:
    """Where to go on with the list of who is here: those who joined before a position."""

    before: int
    count: int = 0
    """In a reply: how many of its lines are names."""


@frozen
class Open:
    """The request for a session."""

    group: str
    """Which group it is for."""
    nonce: str
    """The key of the reply: 16 hexadecimal digits that nobody can guess."""
    cookie: str = ""
    """What the server asked to hear again, if it did."""
    version: int = VERSION

    def encode(self) -> bytes:
        """Return the request's bytes."""
        return _sealed(
            f"open {self.version} {self.group} {self.nonce} {self.cookie}".rstrip().encode()
        )


@frozen
class Ask:
    """A request within a session."""

    token: str
    number: int
    mark: Mark
    """How far the client has come: the acknowledgement of all before."""
    commands: tuple[bytes, ...] = ()
    """What is to be done, in the plain protocol's words."""
    wait: int = 0
    """For how many seconds the reply may be held back until there is news."""
    follow: bool = False
    """On a stream: whether news is wanted unasked from now on."""
    who: int | None = None
    """Whether the names are wanted of those who joined before this position (0: all)."""
    seen: bool = False
    """Whether it is wanted how far everybody else has come."""
    cookie: str = ""
    """What the server asked to hear again, if it did."""
    tries: int = 1
    """How often it has been sent, this time included."""

    def encode(self) -> bytes:
        """Return the request's bytes."""
        words = [f"{self.token} {self.number} {self.mark}"]
        if self.wait:
            words.append(f"wait={self.wait}")
        if self.follow:
            words.append("follow")
        if self.who is not None:
            words.append(f"who={self.who}" if self.who else "who")
        if self.seen:
            words.append("seen")
        if self.cookie:
            words.append(f"cookie={self.cookie}")
        if self.tries > 1:
            words.append(f"try={self.tries}")
        return _sealed(_RS.join([" ".join(words).encode(), *self.commands]))


Request: TypeAlias = Open | Ask


@frozen
class Prove:
    """The reply to a request whose sender may not be there: say it again, with this cookie."""

    cookie: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return _sealed(f"prove {self.cookie}".encode(), self.key)


@frozen
class Opened:
    """The reply to :class:`Open`."""

    token: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return _sealed(f"session {self.token}".encode(), self.key)


@frozen
class Refusal:
    """There is no session to be had."""

    why: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return _sealed(f"refused {self.why}".encode(), self.key)


@frozen
class Unknown:
    """The reply to a request whose session the server does not know, or knows no longer."""

    number: int
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return _sealed(f"unknown {self.number}".encode(), self.key)


@frozen
class Behind:
    """The reply to a request whose number is less than that of the last one."""

    number: int
    last: int
    """The number of the last one."""
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return _sealed(f"behind {self.number} {self.last}".encode(), self.key)


@frozen
class Answer:
    """The reply to :class:`Ask`; with number 0, news on a stream that nobody asked for."""

    number: int
    results: tuple[str, ...]
    """What came of each command: :data:`DONE`, or why it was refused."""
    begin: Mark
    """Where the lines begin."""
    stop: Mark
    """Where they stop. This is what to acknowledge."""
    end: int
    """The position at which the timeline ends."""
    who: Who | None = None
    seen: int | None = None
    """Everybody else has come to this position."""
    tries: int = 1
    """Which of several tries of the request this answers."""
    names: tuple[str, ...] = ()
    body: bytes = field(default=b"", repr=False)
    """Lines, each with its stamp and ended by a line feed; the first and the last may be parts."""
    unreadable: bool = False
    """Whether there is news that the server cannot read at present."""
    outside: bool = False
    """Whether whoever asks is not in the group."""
    key: str = _key()

    def head(self) -> bytes:
        """Return the first line, without its checksum, and those with names, each ended by a line
        feed."""
        words = [
            f"{self.number} {','.join(self.results) or NONE} {self.begin} {self.stop} {self.end}"
        ]
        if self.who is not None:
            words.append(f"who={self.who.count}:{self.who.before}")
        if self.seen is not None:
            words.append(f"seen={self.seen}")
        if self.tries > 1:
            words.append(f"try={self.tries}")
        if self.unreadable:
            words.append("unreadable")
        if self.outside:
            words.append("outside")
        return "\n".join([" ".join(words), *self.names, ""]).encode()

    def encode(self) -> bytes:
        """Return the reply's bytes, the last line feed left out."""
        whole = self.head() + self.body
        return _sealed(whole[:-1] if whole.endswith(b"\n") else whole, self.key)


Reply: TypeAlias = Prove | Opened | Refusal | Unknown | Behind | Answer


def decode_request(request: bytes) -> Request | None:
    """Return what *request* asks for; None if it is not a request of this protocol."""
    if request.endswith(b"\n"):
        request = request[: -2 if request.endswith(b"\r\n") else -1]
    message = _unsealed(request)
    if message is None:
        return None
    first, *commands = message.split(_RS)
    words = first.split(b" ")
    try:
        if words[0] == b"open":
            return None if commands else _open(*words[1:])
        return _ask(tuple(commands), *words)
    except (ValueError, TypeError):
        return None


def decode_reply(reply: bytes, key: str) -> Reply | None:
    """Return what *reply* says; None if it is no reply of this protocol to whoever has asked with
    this *key*, a token or a nonce."""
    message = _unsealed(reply, key)
    if message is None:
        return None
    first, _, body = message.partition(b"\n")
    word, *words = first.split(b" ")
    try:
        if word == b"prove":
            return Prove(_matching(_COOKIE, *words), key=key)
        if word == b"session":
            return Opened(_matching(_TOKEN, *words), key=key)
        if word == b"unknown":
            return Unknown(_number(*words), key=key)
        if word == b"behind":
            number, last = words
            return Behind(_number(number), _number(last), key=key)
        if word == b"refused":
            return Refusal(b" ".join(words).decode(), key=key)
        return _answer(key, body, word, *words)
    except (ValueError, TypeError):
        return None


def _sealed(message: bytes, key: str = "") -> bytes:
    return b"@%08x %b" % (crc32(message, crc32(key.encode())), message)


def _unsealed(whole: bytes, key: str = "") -> bytes | None:
    """Return the message in *whole*; None if it is none, or not as it was sent."""
    message = whole[SEAL_BYTES:]
    return message if _sealed(message, key) == whole else None


def _open(version: bytes, group: bytes, nonce: bytes, cookie: bytes = b"") -> Open:
    return Open(
        _matching(_WORD, group),
        _matching(_NONCE, nonce),
        _matching(_COOKIE, cookie) if cookie else "",
        _number(version),
    )


def _ask(
    commands: tuple[bytes, ...], token: bytes, number: bytes, mark: bytes, *options: bytes
) -> Ask:
    wait, follow, who, seen, cookie, tries = 0, False, None, False, "", 1
    for option in options:
        name, _, value = option.partition(b"=")
        if name == b"wait":
            wait = _number(value)
        elif option == b"follow":
            follow = True
        elif name == b"who":
            who = _number(value) if value else 0
        elif option == b"seen":
            seen = True
        elif name == b"cookie":
            cookie = _matching(_COOKIE, value)
        elif name == b"try":
            tries = _positive(value)
        else:
            raise ValueError(option)
    return Ask(
        _matching(_TOKEN, token),
        _positive(number),
        Mark.parse(mark),
        commands,
        wait,
        follow,
        who,
        seen,
        cookie,
        tries,
    )


def _answer(
    key: str,
    body: bytes,
    number: bytes,
    results: bytes,
    begin: bytes,
    stop: bytes,
    end: bytes,
    *options: bytes,
) -> Answer:
    who, seen, tries, unreadable, outside = None, None, 1, False, False
    names: Iterable[bytes] = ()
    for option in options:
        name, _, value = option.partition(b"=")
        if name == b"who":
            count, _, before = value.partition(b":")
            who = Who(_number(before), _number(count))
            if who.count:
                lines = body.split(b"\n", who.count)
                names = lines[: who.count]
                if len(lines) < who.count:
                    raise ValueError(option)
                body = lines[who.count] if len(lines) > who.count else b""
        elif name == b"seen":
            seen = _number(value)
        elif name == b"try":
            tries = _positive(value)
        elif option == b"unreadable":
            unreadable = True
        elif option == b"outside":
            outside = True
        else:
            raise ValueError(option)
    words = _matching(_RESULTS, results)
    last = Mark.parse(stop)
    if body and not last.offset:
        body += b"\n"  # the one that is left out at the end of a reply
    return Answer(
        _number(number),
        () if words == NONE else tuple(words.split(",")),
        Mark.parse(begin),
        last,
        _number(end),
        who,
        seen,
        tries,
        tuple(name.decode() for name in names),
        body,
        unreadable,
        outside,
        key=key,
    )


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _positive(text: bytes) -> int:
    number = _number(text)
    if not number:
        raise ValueError(text)
    return number


def _matching(pattern: re.Pattern[bytes], text: bytes) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(text)
    return text.decode()
