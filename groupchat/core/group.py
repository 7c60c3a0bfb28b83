"""The group: who may do what, and what follows from it.

What lives here: the rules of membership, and nothing else. What must not: anything about
addresses, bytes, clocks or files. Time comes in as data.

Theory. A group is what its log makes it. :meth:`Group.apply` takes the next command of that
log, and its result depends on nothing but the calls before, with their senders, times and
budgets: the same log gives the same state and the same replies, on every machine. A sender is
either a member or not:

===================  ===============================  ====================================
command              legal for                        reply
===================  ===============================  ====================================
``Join(name)``       no member; name legal and free   :class:`Roster`
``Send(text)``       member; text legal               :class:`News`, from before the text
``Rename(name)``     member; name legal and free      :class:`News`, from before the change
``Leave()``          member                           :class:`News`, empty
``Update()``         member                           :class:`News`
===================  ===============================  ====================================

Whatever is not legal is :class:`Refused` and changes nothing. Every legal command but an update
is one event in the timeline, which every other member will see, once, and its sender never.

A reply can be given a byte budget. What does not fit waits for the member's next command. A
roster waits too: its rest, as it is then, comes in front of any news. So a budget decides how
far a member has come; it belongs to the log like the command.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from operator import attrgetter
from typing import Final, assert_never

from attrs import define

from groupchat.core.commands import Command, Join, Leave, Rename, Send, Update
from groupchat.core.lines import joined_line, left_line, renamed_line, said_line
from groupchat.core.names import is_legal_text, name_key, tidy_name
from groupchat.core.replies import News, Reason, Refused, Reply, Roster
from groupchat.core.timeline import Cursor, Timeline

__all__ = ["Group"]

_NO_NEWS: Final = News()


@define(eq=False)
class _Member:
    name: str
    joined: int
    """The position of his ``Joined`` event. Newer members have greater ones."""
    cursor: Cursor
    untold: int
    """He has not been told the names of the members who joined before this position."""


class Group:
    """One group chat: a state machine without input or output.

    Not safe for use from several threads at once.
    """

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._members: dict[Hashable, _Member] = {}
        self._by_age: list[_Member] = []
        self._keys: set[str] = set()

    def apply(
        self, command: Command, sender: Hashable, *, time: int = 0, budget: int | None = None
    ) -> Reply:
        """Carry out *command* for *sender* and return the reply.

        Args:
            command: what is asked for.
            sender: who asks: any hashable identity, the same for all commands of one member.
            time: when the log took the command, in milliseconds since 1970-01-01 00:00 UTC.
            budget: most bytes that the reply may need as lines of UTF-8 with one line feed
                between two of them; None for no bound. One line, or one name of a roster, is
                returned even if it needs more.

        Returns:
            :class:`Roster`, :class:`News`, or :class:`Refused` if the command is not legal,
            as the table above says.
        """
        member = self._members.get(sender)
        if member is None:
            if isinstance(command, Join):
                return self._join(command.name, sender, time, budget)
            return Refused(Reason.NOT_A_MEMBER)
        match command:
            case Update():
                return self._pending(member, budget)
            case Send():
                return self._send(member, command.text, time, budget)
            case Rename():
                return self._rename(member, command.name, time, budget)
            case Leave():
                return self._leave(member, sender, time)
            case Join():
                return Refused(Reason.ALREADY_A_MEMBER)
            case _:
                assert_never(command)

    def __len__(self) -> int:
        """The number of members."""
        return len(self._members)

    def __contains__(self, sender: Hashable) -> bool:
        """Whether *sender* is a member."""
        return sender in self._members

    def __iter__(self) -> Iterator[str]:
        """The names of all members, the newest first."""
        return (member.name for member in reversed(self._by_age))

    def name(self, sender: Hashable) -> str | None:
        """The name of the member *sender*, or None if he is not one."""
        member = self._members.get(sender)
        return None if member is None else member.name

    def _join(self, wanted: str, sender: Hashable, time: int, budget: int | None) -> Reply:
        name = self._free_name(wanted)
        if isinstance(name, Refused):
            return name
        position = self._timeline.end
        self._timeline.append(joined_line(name), time)
        member = _Member(name, position, self._timeline.open(), untold=position)
        self._members[sender] = member
        self._by_age.append(member)
        self._keys.add(name_key(name))
        return self._roster(member, budget)

    def _send(self, member: _Member, text: str, time: int, budget: int | None) -> Reply:
        if not is_legal_text(text):
            return Refused(Reason.ILLEGAL_TEXT)
        reply = self._pending(member, budget)
        self._timeline.append(said_line(member.name, text), time, member.cursor)
        return reply

    def _rename(self, member: _Member, wanted: str, time: int, budget: int | None) -> Reply:
        name = self._free_name(wanted)
        if isinstance(name, Refused):
            return name
        reply = self._pending(member, budget)
        self._timeline.append(renamed_line(member.name, name), time, member.cursor)
        self._keys.remove(name_key(member.name))
        self._keys.add(name_key(name))
        member.name = name
        return reply

    def _leave(self, member: _Member, sender: Hashable, time: int) -> Reply:
        self._timeline.append(left_line(member.name), time)
        self._timeline.close(member.cursor)
        self._keys.remove(name_key(member.name))
        del self._by_age[self._age(member.joined)]
        del self._members[sender]
        return _NO_NEWS

    def _free_name(self, wanted: str) -> str | Refused:
        """Return *wanted* as the group keeps it, or why nobody can take that name."""
        name = tidy_name(wanted)
        if name is None:
            return Refused(Reason.ILLEGAL_NAME)
        if name_key(name) in self._keys:
            return Refused(Reason.NAME_IN_USE)
        return name

    def _pending(self, member: _Member, budget: int | None) -> Roster | News:
        """Return what waits for *member*, as much as fits *budget*, and move him past it."""
        if member.untold:
            roster = self._roster(member, budget)
            if roster.names:
                return roster
        spans, position = self._timeline.pending(member.cursor, budget)
        if not spans:
            return _NO_NEWS
        self._timeline.advance(member.cursor, position)
        return News(tuple(spans))

    def _roster(self, member: _Member, budget: int | None) -> Roster:
        """Return the names that *member* has not been told, as many as fit *budget*."""
        names: list[str] = []
        size = 0
        for index in reversed(range(self._age(member.untold))):
            other = self._by_age[index]
            size += len(other.name.encode()) + (2 if names else 0)  # 2 for the comma and space
            if budget is not None and size > budget and names:
                return Roster(tuple(names))
            names.append(other.name)
            member.untold = other.joined
        member.untold = 0
        return Roster(tuple(names))

    def _age(self, position: int) -> int:
        """Return how many of the members joined before *position* in the timeline."""
        return bisect_left(self._by_age, position, key=attrgetter("joined"))
