"""What a group answers.

Every command gets exactly one reply: a :class:`Roster` (who is here), :class:`News` (what
happened since the last reply), or :class:`Refused`. A roster and news are never in one reply.
"""

from collections.abc import Iterator
from enum import Enum
from typing import TypeAlias

from attrs import field, frozen

from groupchat.core.events import Event, Removed
from groupchat.core.lines import parse
from groupchat.core.pages import Excerpt

__all__ = ["News", "Reason", "Refused", "Reply", "Roster"]


class Reason(Enum):
    """Why something was refused. The value is a phrase for people."""

    NOT_A_REQUEST = "not a request"
    NOT_A_MEMBER = "not a member"
    ALREADY_A_MEMBER = "already a member"
    ILLEGAL_NAME = "not a legal name"
    NAME_IN_USE = "the name is in use"
    ILLEGAL_TEXT = "not a legal text"
    GROUP_IS_FULL = "the group is full"


@frozen
class Refused:
    """The command was not legal, and nothing has changed."""

    reason: Reason


@frozen
class Roster:
    """The names of the other members, the newest first."""

    names: tuple[str, ...] = ()


@frozen(eq=False)
class News:
    """The events that a member had not seen yet, in timeline order. Iterate over it to get them.

    It stays valid, and keeps what it shows, whatever happens in the group later. Of a long one,
    only a page at a time is in memory while it is read.
    """

    excerpt: Excerpt = field(factory=lambda: Excerpt(0, 0))
    """Where the events stand in the timeline, as rendered lines."""

    def __iter__(self) -> Iterator[Event]:
        excerpt = self.excerpt
        if excerpt.removed:
            yield Removed(excerpt.start - 1, excerpt.removed_time, excerpt.removed)
        for span in excerpt:
            for position, time, line in span.entries():
                yield parse(line, position, time)


Reply: TypeAlias = Roster | News | Refused
