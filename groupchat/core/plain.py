"""The plain protocol: requests from bytes, replies to bytes.

It is the protocol that the first clients of this kind of chat speak, kept to the byte:

============  =====================================================
request       command
============  =====================================================
``1 <name>``  :class:`Join`
``2 <text>``  :class:`Send`
``3 <name>``  :class:`Rename`
``4``         :class:`Leave`
``5``         :class:`Update`
============  =====================================================

The number and the argument stand apart by exactly one space, and the argument has at least one
character. One line feed at the end of a request, or one carriage return with a line feed, is
ignored. Everything else is ``Illegal request``: any bytes decode to a command or to a refusal,
and decoding never raises.
"""

from collections.abc import Callable, Iterator
from typing import Final, assert_never

from groupchat.core.commands import Command, Join, Leave, Rename, Send, Update
from groupchat.core.lines import removed_line
from groupchat.core.names import MAX_TEXT_BYTES
from groupchat.core.replies import Reason, Refused, Reply, Roster

__all__ = [
    "ILLEGAL_REQUEST",
    "MAX_REQUEST_BYTES",
    "NOT_STORED",
    "REPLY_BYTES",
    "TOO_MANY",
    "UNREADABLE",
    "UPDATES",
    "decode",
    "encode",
    "request",
]

ILLEGAL_REQUEST: Final = b"Illegal request"
"""The reply to whatever is refused."""

NOT_STORED: Final = b"Server error: not stored, try again"
"""The reply to what would have been carried out, had the server been able to write it down."""

UNREADABLE: Final = b"Server error: what you missed cannot be read, tell who runs the server"
"""The reply in place of news that the server cannot read back. It is still there."""

TOO_MANY: Final = b"Server error: too many requests, try again"
"""The reply to what is not carried out because its sender asks too much."""

REPLY_BYTES: Final = 1_024
"""Bytes that a reply should have where it is one datagram: the protocol's first clients read no
more."""

MAX_REQUEST_BYTES: Final = len(b"2 ") + MAX_TEXT_BYTES
"""No legal request is longer, in bytes, without its line end."""

UPDATES: Final = frozenset({b"5", b"5\n", b"5\r\n"})
"""All requests of which :func:`decode` makes an :class:`Update`."""

_WITH_ARGUMENT: Final[dict[bytes, Callable[[str], Command]]] = {
    b"1 ": Join,
    b"2 ": Send,
    b"3 ": Rename,
}
_WITHOUT_ARGUMENT: Final[dict[bytes, Command]] = {b"4": Leave(), b"5": Update()}
_NOT_A_REQUEST: Final = Refused(Reason.NOT_A_REQUEST)


def decode(request: bytes) -> Command | Refused:
    """Return the command that *request* asks for, or why it asks for none.

    Whether its name or text is legal, and whether its sender may ask for it, is for the group
    to say.
    """
    if request.endswith(b"\n"):
        request = request[: -2 if request.endswith(b"\r\n") else -1]
    if len(request) > MAX_REQUEST_BYTES:
        return _NOT_A_REQUEST
    bare = _WITHOUT_ARGUMENT.get(request)
    if bare is not None:
        return bare
    command = _WITH_ARGUMENT.get(request[:2])
    if command is None or len(request) == 2:
        return _NOT_A_REQUEST
    try:
        return command(request[2:].decode())
    except UnicodeDecodeError:
        return _NOT_A_REQUEST


def request(command: Command) -> str:
    """Return the request that asks for *command*: ``decode(request(c).encode()) == c``."""
    match command:
        case Join():
            return "1 " + command.name
        case Send():
            return "2 " + command.text
        case Rename():
            return "3 " + command.name
        case Leave():
            return "4"
        case Update():
            return "5"
        case _:
            assert_never(command)


def encode(reply: Reply) -> Iterator[bytes]:
    """Yield the bytes of *reply* in pieces, none of them empty, to be sent one after another.

    A roster is the names, joined by a comma and a space. News are lines with a line feed
    between two of them and none after the last. No news, or nobody else here, is no piece at
    all. A piece is about a page of the timeline at the most and is copied out of it only when
    it is asked for, so a long reply costs little memory, whatever its length.
    """
    if isinstance(reply, Refused):
        yield ILLEGAL_REQUEST
    elif isinstance(reply, Roster):
        if reply.names:
            yield ", ".join(reply.names).encode()
    else:
        held = removed_line(reply.excerpt.removed) + b"\n" if reply.excerpt.removed else b""
        for span in reply.excerpt:
            if held:
                yield held
            held = span.text()
        if held:
            yield held[:-1]
