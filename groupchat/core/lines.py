"""How an event looks as a line of text, and which event a line shows.

A line is UTF-8, without a line break at its end:

=================  ======  =====================================================
event              kind    line
=================  ======  =====================================================
:class:`Joined`    ``j``   ``<name> has joined``
:class:`Said`      ``s``   ``<name>: <text>``
:class:`Renamed`   ``r``   ``<old> changed his name to <new>``
:class:`Left`      ``l``   ``<name> has left the group``
:class:`Removed`   ``x``   ``(<count> older events are not kept on this server)``
=================  ======  =====================================================

Theory. The timeline keeps lines and no event objects, because lines are what almost every
reader wants. That is possible only because nothing is lost in them: the rules in
:mod:`groupchat.core.names` keep colons and phrases out of names, so a line with a colon is
something said by whoever stands before the first one, and a line without is told by its
phrase. Of the position and the time, which a line does not show, the timeline keeps track.
The last kind of line has no colon, and is longer than any name, so nobody can say it.
"""

import re
from typing import Final

from groupchat.core.events import Event, Joined, Left, Removed, Renamed, Said

__all__ = [
    "JOINED",
    "LEFT",
    "REMOVED",
    "RENAMED",
    "SAID",
    "joined_line",
    "left_line",
    "parse",
    "removed_line",
    "renamed_line",
    "render",
    "said_line",
]

JOINED: Final = ord("j")
SAID: Final = ord("s")
RENAMED: Final = ord("r")
LEFT: Final = ord("l")
REMOVED: Final = ord("x")

_SAID = ": "
_JOINED = " has joined"
_RENAMED = " changed his name to "
_LEFT = " has left the group"
_REMOVED = "({} older events are not kept on this server)"
_REMOVED_LINE = re.compile(re.escape(_REMOVED).replace(r"\{\}", "([0-9]+)"))


def joined_line(name: str) -> bytes:
    """Return the line of a :class:`Joined`."""
    return (name + _JOINED).encode()


def said_line(name: str, text: str) -> bytes:
    """Return the line of a :class:`Said`."""
    return (name + _SAID + text).encode()


def renamed_line(old: str, new: str) -> bytes:
    """Return the line of a :class:`Renamed`."""
    return (old + _RENAMED + new).encode()


def left_line(name: str) -> bytes:
    """Return the line of a :class:`Left`."""
    return (name + _LEFT).encode()


def removed_line(count: int) -> bytes:
    """Return the line of a :class:`Removed`."""
    return _REMOVED.format(count).encode()


def render(event: Event) -> bytes:
    """Return the line that shows *event*."""
    if isinstance(event, Said):
        return said_line(event.name, event.text)
    if isinstance(event, Joined):
        return joined_line(event.name)
    if isinstance(event, Renamed):
        return renamed_line(event.old, event.new)
    if isinstance(event, Left):
        return left_line(event.name)
    return removed_line(event.count)


def parse(line: bytes, position: int, time: int) -> Event:
    """Return the event that *line* shows: for every legal event ``e``,
    ``parse(render(e), e.position, e.time) == e``.

    Raises:
        ValueError: no event has this line.
    """
    shown = line.decode()
    name, said, text = shown.partition(_SAID)
    if said:
        return Said(position, time, name, text)
    old, renamed, new = shown.partition(_RENAMED)
    if renamed:
        return Renamed(position, time, old, new)
    if shown.endswith(_JOINED):
        return Joined(position, time, shown.removesuffix(_JOINED))
    if shown.endswith(_LEFT):
        return Left(position, time, shown.removesuffix(_LEFT))
    removed = _REMOVED_LINE.fullmatch(shown)
    if removed:
        return Removed(position, time, int(removed[1]))
    raise ValueError(f"no event has the line {shown!r}")
