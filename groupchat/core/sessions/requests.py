"""The requests of the session protocol, and how they look.

What lives here: syntax. What must not: what a request does, which is for the server.

A request is one line of UTF-8. <RS> is the record separator (U+001E)::

    @CHECKSUM open 1 main NONCE [COOKIE]                     a session, please
    @CHECKSUM TOKEN NUMBER MARK [OPTION]...[<RS>COMMAND]...  the NUMBERth request of mine
"""

import re
from typing import Final, TypeAlias

from attrs import frozen

from groupchat.core.records import SEPARATOR
from groupchat.core.sessions.wire import (
    COOKIE,
    DATAGRAM_BYTES,
    NONCE,
    TOKEN,
    VERSION,
    Mark,
    matching,
    number_of,
    positive_of,
    sealed,
    unsealed,
)

__all__ = ["MAX_COMMANDS", "Ask", "Open", "Request", "count_commands", "decode_request"]

MAX_COMMANDS: Final = 32
"""Commands that one request may hold."""

_RS: Final = SEPARATOR.encode()
_GROUP: Final = re.compile(rb"[a-z0-9-]{1,32}")


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
        return sealed(
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
        return sealed(_RS.join([" ".join(words).encode(), *self.commands]))


Request: TypeAlias = Open | Ask


def count_commands(request: bytes) -> int:
    """Return for how many commands *request*, which may be anything, asks at the most: 1 for what
    is none of this protocol, or has none."""
    return max(1, request.count(_RS)) if request.startswith(b"@") else 1


def decode_request(request: bytes) -> Request | None:
    """Return what *request* asks for; None if it is not a request of this protocol."""
    if request.endswith(b"\n"):
        request = request[: -2 if request.endswith(b"\r\n") else -1]
    if len(request) > DATAGRAM_BYTES:
        return None
    message = unsealed(request)
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


def _open(version: bytes, group: bytes, nonce: bytes, cookie: bytes = b"") -> Open:
    return Open(
        matching(_GROUP, group),
        matching(NONCE, nonce),
        matching(COOKIE, cookie) if cookie else "",
        number_of(version),
    )


def _ask(
    commands: tuple[bytes, ...], token: bytes, number: bytes, mark: bytes, *options: bytes
) -> Ask:
    wait, follow, who, seen, cookie, tries = 0, False, None, False, "", 1
    for option in options:
        name, _, value = option.partition(b"=")
        if name == b"wait":
            wait = number_of(value)
        elif option == b"follow":
            follow = True
        elif name == b"who":
            who = number_of(value) if value else 0
        elif option == b"seen":
            seen = True
        elif name == b"cookie":
            cookie = matching(COOKIE, value)
        elif name == b"try":
            tries = positive_of(value)
        else:
            raise ValueError
    return Ask(
        matching(TOKEN, token),
        positive_of(number),
        Mark.parse(mark),
        commands,
        wait,
        follow,
        who,
        seen,
        cookie,
        tries,
    )
