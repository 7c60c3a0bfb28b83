"""What can happen in a group.

An event is a fact: it has a place in the group's one order and does not change any more. How
it looks as a line of text is decided in :mod:`groupchat.core.lines` alone.

Every event has a *position*, its number in the timeline (0, 1, 2, ...), and a *time*, when it
was put there: milliseconds since 1970-01-01 00:00 UTC, as given to
:meth:`Group.apply() <groupchat.core.Group.apply>`.
"""

from typing import TypeAlias

from attrs import frozen

__all__ = ["Event", "Joined", "Left", "Removed", "Renamed", "Said"]


@frozen
class Joined:
    """Somebody entered the group as *name*."""

    position: int
    time: int
    name: str


@frozen
class Said:
    """The member called *name* said *text*."""

    position: int
    time: int
    name: str
    text: str


@frozen
class Renamed:
    """The member called *old* is called *new* from here on."""

    position: int
    time: int
    old: str
    new: str


@frozen
class Left:
    """The member called *name* left the group."""

    position: int
    time: int
    name: str


@frozen
class Removed:
    """In place of *count* older events, up to and with *position*, which nobody kept."""

    position: int
    time: int
    count: int


Event: TypeAlias = Joined | Said | Renamed | Left | Removed
