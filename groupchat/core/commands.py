"""What a member can ask of a group.

Commands are values: immutable, comparable, free of rules. Whether a command is legal, and what
it does, is decided in :mod:`groupchat.core.group` alone.
"""

from typing import TypeAlias

from attrs import frozen

__all__ = ["Command", "Join", "Leave", "Rename", "Send", "Update"]


@frozen
class Join:
    """Enter the group under *name*."""

    name: str


@frozen
class Send:
    """Say *text* to everyone else in the group."""

    text: str


@frozen
class Rename:
    """Go on under another *name*."""

    name: str


@frozen
class Leave:
    """Leave the group."""


@frozen
class Update:
    """Ask for what happened, and change nothing."""


Command: TypeAlias = Join | Send | Rename | Leave | Update
