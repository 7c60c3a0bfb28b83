"""What comes of a session, as its client tells whoever drives it.

What lives here: data. :class:`~groupchat.core.sessions.client.SessionClient` makes it.
"""

from typing import Final, TypeAlias

from attrs import frozen

__all__ = [
    "TROUBLE",
    "Behind",
    "Happening",
    "Lost",
    "NoSessions",
    "Outside",
    "Ready",
    "Result",
    "Seen",
    "Told",
    "WhoIsHere",
]


TROUBLE: Final = "e"
"""The kind of a line that is no event, but says what trouble the server has."""


@frozen
class Told:
    """An event."""

    position: int
    time: int
    """When it was, in milliseconds since 1970."""
    kind: str
    """As :mod:`groupchat.core.lines` has it; or :data:`TROUBLE`."""
    line: bytes


@frozen
class Result:
    """What came of a command: :data:`~groupchat.core.sessions.replies.DONE`, or why not."""

    command: bytes
    word: str


@frozen
class WhoIsHere:
    """The names of everybody else, the newest first."""

    names: tuple[str, ...]
    member: bool = True
    """Whether we are in the group. Who is not, is told nobody's name."""


@frozen
class Seen:
    """Everybody else has come to this position."""

    position: int
    member: bool = True
    """Whether we are in the group. Who is not, is not told how far the others have come."""


@frozen
class Ready:
    """There is a session."""

    resumed: bool
    """It is the one that was saved."""
    waiting: int = 0
    """If it is: how many events wait to be told, as far as the first answer knows."""


@frozen
class NoSessions:
    """The server knows no sessions, or does not give us one. *why* may be empty."""

    why: str = ""


@frozen
class Lost:
    """The server does not know the session any more, and nobody knows what came of *commands*."""

    commands: tuple[bytes, ...]


@frozen
class Behind:
    """The state from which the session was gone on with was an old copy. It goes on, from where
    the server says that it is; but nobody knows what came of *commands*."""

    commands: tuple[bytes, ...]


@frozen
class Outside:
    """We are not in the group, though we have not left it by this client. It is told once."""


Happening: TypeAlias = (
    Told | Result | WhoIsHere | Seen | Ready | NoSessions | Lost | Behind | Outside
)
