"""The log as a conversation: which events its records are.

What lives here: what a record of the log says, for people and programs that read it afterwards.
What must not: any rule about who may do what. What is in the log has happened.

Theory. A record names a sender, and says what he did; what he was called then follows from the
records before. The state machine of the core knows that, too, but it takes nothing but a whole log.
This one goes on where records are missing, and says where it does not know a name.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import define, frozen

from groupchat.core.commands import Join, Leave, Rename, Send
from groupchat.core.events import Joined, Left, Renamed, Said
from groupchat.core.lines import JOINED, LEFT, RENAMED, SAID
from groupchat.core.pages import NOBODY
from groupchat.core.records import Record
from groupchat.journal.rows import State

__all__ = ["Entry", "Happened", "History", "kind_of"]

Happened: TypeAlias = Joined | Said | Renamed | Left

_KINDS: Final = {Joined: JOINED, Said: SAID, Renamed: RENAMED, Left: LEFT}


def kind_of(event: Happened) -> int:
    """Return the kind of *event*, as a page has it."""
    return _KINDS[type(event)]


@frozen
class Entry:
    """An event, and whose it is."""

    event: Happened
    sender: str
    member: int | None
    """The position at which the sender had joined, None if nobody knows: the same for all that one
    member did, and another if he left and came again."""
    known: bool = True
    """Whether his name is known. If not, the event has his sender in its place."""

    @property
    def author(self) -> int:
        """Whose own event it is, as a page has it."""
        own = isinstance(self.event, Said | Renamed) and self.member is not None
        return self.member if own and self.member is not None else NOBODY


@define
class _Member:
    name: str
    joined: int


class History:
    """Tells what happened, record by record.

    Args:
        base: the state before the first of them; None for an empty group.
    """

    def __init__(self, base: State | None) -> None:
        self.position = 0
        """Of the next event."""
        self.numbers: dict[str, int] = {}
        """Of each session its last request."""
        self._members: dict[str, _Member] = {}
        if base is not None:
            self.position = base.chat["end"]
            for sender, name, joined, *_ in base.chat["members"]:
                self._members[sender] = _Member(name, joined)
            self.numbers = {sender: number for sender, number, *_ in base.chat["sessions"]}

    @property
    def members(self) -> dict[str, tuple[str, int]]:
        """Who is in the group: name and position of joining, by sender."""
        return {sender: (member.name, member.joined) for sender, member in self._members.items()}

    def tell(self, record: Record) -> Iterator[Entry]:
        """Yield the events that *record* is."""
        sender, time = record.sender, record.time
        if record.number:
            self.numbers[sender] = record.number
        for command in record.commands:
            member = self._members.get(sender)
            name = f"<{sender}>" if member is None else member.name
            joined = None if member is None else member.joined
            known = member is not None
            position = self.position
            event: Happened
            if isinstance(command, Send):
                event = Said(position, time, name, command.text)
            elif isinstance(command, Join):
                event, joined, known = Joined(position, time, command.name), position, True
                self._members[sender] = _Member(command.name, position)
            elif isinstance(command, Rename):
                event = Renamed(position, time, name, command.name)
                if member is not None:
                    member.name = command.name
                else:
                    self._members[sender] = _Member(command.name, position)
            elif isinstance(command, Leave):
                event = Left(position, time, name)
                self._members.pop(sender, None)
            else:
                continue
            self.position += 1
            yield Entry(event, sender, joined, known)
