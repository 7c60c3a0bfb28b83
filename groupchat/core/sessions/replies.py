"""The replies of the session protocol, and how they look.

What lives here: syntax, and the words for what came of a command. What must not: when a reply is
sent, or what follows from it, which is for the two halves.

A reply is a line, and then, where there is something to tell, more lines::

    @CHECKSUM prove COOKIE                                   say so again, with this
    @CHECKSUM session TOKEN                                  here it is
    @CHECKSUM refused WHY                                    there is none
    @CHECKSUM unknown NUMBER                                 no such session
    @CHECKSUM behind NUMBER LAST                             but yours was LAST already
    @CHECKSUM NUMBER RESULTS MARK MARK END [OPTION]...       the reply to request NUMBER
    LINE...

The first mark of a reply is where its lines begin, the second where they stop; END is where the
timeline does, so a reply whose second mark is less says that more waits. Every line is POSITION
TIME KIND LINE (:meth:`Page.stamped <groupchat.core.pages.Page.stamped>`).
"""

import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from groupchat.core.replies import Reason
from groupchat.core.sessions.wire import (
    COOKIE,
    TOKEN,
    Mark,
    matching,
    number_of,
    positive_of,
    sealed,
    unsealed,
)

__all__ = [
    "DONE",
    "INCOMPLETE",
    "NONE",
    "NOT_STORED_RESULT",
    "Answer",
    "Behind",
    "Opened",
    "Prove",
    "Refusal",
    "Reply",
    "Unknown",
    "Who",
    "code",
    "decode_reply",
]

DONE: Final = "done"
"""What came of a command that was carried out."""

INCOMPLETE: Final = "incomplete"
"""The result of the last part of a command whose first parts are not here."""

NOT_STORED_RESULT: Final = "not-stored"
"""The result of a command that could not be written down. Nobody will see it."""

NONE: Final = "-"
"""Stands for no results at all."""

_RESULTS: Final = re.compile(rb"-|[a-z-]{1,32}(,[a-z-]{1,32})*")


def code(reason: Reason) -> str:
    """Return *reason* as a result: ``name-in-use``."""
    return reason.name.lower().replace("_", "-")


def _key() -> Any:  # noqa: ANN401  as attrs has it: what it returns stands for the field
    """Return the field for the key of a reply, which is in its checksum alone."""
    return field(default="", kw_only=True, repr=False, eq=False)


@frozen
class Who:
    """Where to go on with the list of who is here: those who joined before a position."""

    before: int
    count: int = 0
    """In a reply: how many of its lines are names."""


@frozen
class Prove:
    """The reply to a request whose sender may not be there: say it again, with this cookie."""

    cookie: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(f"prove {self.cookie}".encode(), self.key)


@frozen
class Opened:
    """The reply to :class:`Open`."""

    token: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(f"session {self.token}".encode(), self.key)


@frozen
class Refusal:
    """There is no session to be had."""

    why: str
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(f"refused {self.why}".encode(), self.key)


@frozen
class Unknown:
    """The reply to a request whose session the server does not know, or knows no longer."""

    number: int
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(f"unknown {self.number}".encode(), self.key)


@frozen
class Behind:
    """The reply to a request whose number is less than that of the last one."""

    number: int
    last: int
    """The number of the last one."""
    key: str = _key()

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(f"behind {self.number} {self.last}".encode(), self.key)


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

    def message(self) -> bytes:
        """Return the reply's bytes without its seal, the last line feed left out."""
        whole = self.head() + self.body
        return whole[:-1] if whole.endswith(b"\n") else whole

    def encode(self) -> bytes:
        """Return the reply's bytes."""
        return sealed(self.message(), self.key)


Reply: TypeAlias = Prove | Opened | Refusal | Unknown | Behind | Answer


def decode_reply(reply: bytes, key: str) -> Reply | None:
    """Return what *reply* says; None if it is no reply of this protocol to whoever has asked with
    this *key*, a token or a nonce."""
    message = unsealed(reply, key)
    if message is None:
        return None
    first, _, body = message.partition(b"\n")
    word, *words = first.split(b" ")
    try:
        if word == b"prove":
            return Prove(matching(COOKIE, *words), key=key)
        if word == b"session":
            return Opened(matching(TOKEN, *words), key=key)
        if word == b"unknown":
            return Unknown(number_of(*words), key=key)
        if word == b"behind":
            number, last = words
            return Behind(number_of(number), number_of(last), key=key)
        if word == b"refused":
            return Refusal(b" ".join(words).decode(), key=key)
        return _answer(key, body, word, *words)
    except (ValueError, TypeError):
        return None


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
            who = Who(number_of(before), number_of(count))
            if who.count:
                lines = body.split(b"\n", who.count)
                names = lines[: who.count]
                if len(lines) < who.count:
                    raise ValueError
                body = lines[who.count] if len(lines) > who.count else b""
        elif name == b"seen":
            seen = number_of(value)
        elif name == b"try":
            tries = positive_of(value)
        elif option == b"unreadable":
            unreadable = True
        elif option == b"outside":
            outside = True
        else:
            raise ValueError
    words = matching(_RESULTS, results)
    last = Mark.parse(stop)
    if body and not last.offset:
        body += b"\n"  # the one that is left out at the end of a reply
    return Answer(
        number_of(number),
        () if words == NONE else tuple(words.split(",")),
        Mark.parse(begin),
        last,
        number_of(end),
        who,
        seen,
        tries,
        tuple(name.decode() for name in names),
        body,
        unreadable,
        outside,
        key=key,
    )
