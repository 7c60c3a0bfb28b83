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

A server does the two halves of this apart, because in between it writes the command down: a
:class:`Draft` judges, before, and :meth:`Group.carry_out` does as the command says, without
judging again. So a log that was written by one version of Python, whose tables of characters
decide what a legal name is, means the same to every other.

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
from groupchat.core.lines import (
    JOINED,
    LEFT,
    RENAMED,
    SAID,
    joined_line,
    left_line,
    removed_line,
    renamed_line,
    said_line,
)
from groupchat.core.names import is_legal_text, name_key, tidy_name
from groupchat.core.replies import News, Reason, Refused, Reply, Roster
from groupchat.core.timeline import Cursor, Timeline

__all__ = ["Draft", "Group", "Member"]

_NO_NEWS: Final = News()


@define(eq=False)
class Member:
    """One who is in the group. Only the group changes it."""

    name: str
    joined: int
    """The position of his ``Joined`` event. Newer members have greater ones."""
    cursor: Cursor
    untold: int
    """He has not been told the names of the members who joined before this position."""


class Group:
    """One group chat: a state machine without input or output.

    Not safe for use from several threads at once.

    Args:
        timeline: the events so far; None for none. Nobody else may change it.
        capacity: how many members there can be; None for any number.
    """

    def __init__(self, timeline: Timeline | None = None, capacity: int | None = None) -> None:
        self.timeline = Timeline() if timeline is None else timeline
        """The events. To be read."""
        self.capacity = capacity
        """How many members there can be; None for any number."""
        self._members: dict[Hashable, Member] = {}
        self._by_age: list[Member] = []
        self._keys: dict[str, int] = {}  # how many names have that key, see _take

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
        accepted = Draft(self).accept(command, sender)
        if isinstance(accepted, Refused):
            return accepted
        self.carry_out(accepted, sender, time)
        return self.reply(accepted, sender, budget)

    def carry_out(self, command: Command, sender: Hashable, time: int) -> None:
        """Do what a *command* says that a :class:`Draft` has accepted.

        Raises:
            LookupError: *sender* is not a member and the command not a join, or the other
                way round; no draft has accepted this.
        """
        if isinstance(command, Join):
            self._enter(command.name, sender, time)
            return
        member = self._members[sender]
        match command:
            case Update():
                pass
            case Send():
                line = said_line(member.name, command.text)
                self.timeline.append(line, SAID, time, member.cursor)
            case Rename():
                self._rename(member, command.name, time)
            case Leave():
                self._leave(member, sender, time)
            case _:
                assert_never(command)

    def reply(self, command: Command, sender: Hashable, budget: int | None = None) -> Roster | News:
        """Return the reply to the *command* that has just been carried out. What *sender* is told
        by it, he will not be told again. With a *budget* below 0 he is told nothing."""
        if isinstance(command, Leave) or (budget is not None and budget < 0):
            return _NO_NEWS
        member = self._members[sender]
        if isinstance(command, Join):
            return self._roster(member, budget)
        return self._pending(member, budget)

    def __len__(self) -> int:
        """The number of members."""
        return len(self._members)

    def __contains__(self, sender: Hashable) -> bool:
        """Whether *sender* is a member."""
        return sender in self._members

    def __iter__(self) -> Iterator[str]:
        """The names of all members, the newest first."""
        return (member.name for member in reversed(self._by_age))

    @property
    def members(self) -> dict[Hashable, Member]:
        """The members by sender. To be read."""
        return self._members

    def name(self, sender: Hashable) -> str | None:
        """The name of the member *sender*, or None if he is not one."""
        member = self._members.get(sender)
        return None if member is None else member.name

    def has_news(self, sender: Hashable) -> bool:
        """Whether there may be something that the member *sender* is yet to be told."""
        member = self._members[sender]
        return bool(member.untold) or member.cursor.position != self.timeline.end

    def is_taken(self, key: str) -> bool:
        """Whether a member has a name with this key (see :func:`name_key`)."""
        return key in self._keys

    def admit(self, sender: Hashable, member: Member) -> None:
        """Put back a member who was in the group when it was written down. The oldest first."""
        self._members[sender] = member
        self._by_age.append(member)
        self._take(member.name)

    def standing(self, sender: Hashable) -> int:
        """Return how far the member *sender* has come, as one number for :meth:`stand`.

        It is the position of the next event that he has not passed; or, while he is still being
        told who is here, -1 less the position before which members are untold.
        """
        member = self._members[sender]
        return -1 - member.untold if member.untold else member.cursor.position

    def stand(self, sender: Hashable, standing: int) -> None:
        """Have the member *sender* come forward to *standing*; never back."""
        member = self._members[sender]
        if standing < 0:
            member.untold = min(member.untold, -1 - standing)
            return
        if standing > member.joined:
            member.untold = 0
        if member.cursor.position < standing <= self.timeline.end:
            self.timeline.advance(member.cursor, standing)

    def roster(self, before: int, budget: int | None = None) -> tuple[list[Member], int]:
        """Return the members who joined before a position, the newest first.

        Args:
            before: a position in the timeline.
            budget: most bytes that the names may need, counting two between two of them; at
                least one is returned if there is any. None for no bound.

        Returns:
            The members, and the position before which the rest joined, 0 if there is no rest.
        """
        members: list[Member] = []
        size = 0
        for index in reversed(range(self._age(before))):
            member = self._by_age[index]
            size += len(member.name.encode()) + (2 if members else 0)  # for the comma and space
            if budget is not None and size > budget and members:
                return members, members[-1].joined
            members.append(member)
        return members, 0

    def _enter(self, name: str, sender: Hashable, time: int) -> Member:
        if sender in self._members:
            raise LookupError(f"{sender} is a member already")
        position = self.timeline.end
        self.timeline.append(joined_line(name), JOINED, time)
        member = Member(name, position, self.timeline.open(position), untold=position)
        self.admit(sender, member)
        return member

    def _rename(self, member: Member, name: str, time: int) -> None:
        self.timeline.append(renamed_line(member.name, name), RENAMED, time, member.cursor)
        self._free(member.name)
        self._take(name)
        member.name = name

    def _leave(self, member: Member, sender: Hashable, time: int) -> None:
        self.timeline.append(left_line(member.name), LEFT, time)
        self.timeline.close(member.cursor)
        self._free(member.name)
        del self._by_age[self._age(member.joined)]
        del self._members[sender]

    def _take(self, name: str) -> None:
        """Have *name* be taken. It may be already: what was a free name when the log took it can
        be the same as another by the tables of a newer Python."""
        key = name_key(name)
        self._keys[key] = self._keys.get(key, 0) + 1

    def _free(self, name: str) -> None:
        """Have *name* be free, unless another has the same."""
        key = name_key(name)
        others = self._keys.pop(key) - 1
        if others:
            self._keys[key] = others

    def _pending(self, member: Member, budget: int | None) -> Roster | News:
        """Return what waits for *member*, as much as fits *budget*, and move him past it."""
        if member.untold:
            roster = self._roster(member, budget)
            if roster.names:
                return roster
        cursor = member.cursor
        if cursor.position == self.timeline.end:
            return _NO_NEWS
        excerpt = self.timeline.pending(cursor, budget)
        if excerpt.removed and budget is not None:
            notice = len(removed_line(excerpt.removed)) + 1  # it stands in front, a line feed after
            excerpt = excerpt.cut(budget + 1 - notice, some=True)
        self.timeline.advance(cursor, excerpt.stop)
        return News(excerpt)

    def _roster(self, member: Member, budget: int | None) -> Roster:
        """Return the names that *member* has not been told, as many as fit *budget*."""
        members, member.untold = self.roster(member.untold, budget)
        return Roster(tuple(other.name for other in members))

    def _age(self, position: int) -> int:
        """Return how many of the members joined before *position* in the timeline."""
        return bisect_left(self._by_age, position, key=attrgetter("joined"))


class Draft:
    """Judges commands that are yet to be carried out, one after another.

    It knows what the commands that it has accepted will do, so that a whole batch of them can be
    judged, and written down, before the first is carried out.

    Args:
        group: for which the commands are; it must not change meanwhile.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._names: dict[Hashable, str | None] = {}  # as they will be, where that is new
        self._taken: dict[str, bool] = {}  # the same for the keys of names
        self._members = len(group)

    def accept(self, command: Command, sender: Hashable) -> Command | Refused:
        """Judge *command* of *sender*.

        Returns:
            The command, with its name as the group will keep it; or why it is refused.
        """
        name = self._name(sender)
        if isinstance(command, Join):
            if name is not None:
                return Refused(Reason.ALREADY_A_MEMBER)
            free = self._free_name(command.name)
            if isinstance(free, Refused):
                return free
            if self._group.capacity is not None and self._members >= self._group.capacity:
                return Refused(Reason.GROUP_IS_FULL)
            self._members += 1
            return Join(self._become(sender, None, free))
        if name is None:
            return Refused(Reason.NOT_A_MEMBER)
        if isinstance(command, Send):
            return command if is_legal_text(command.text) else Refused(Reason.ILLEGAL_TEXT)
        if isinstance(command, Rename):
            free = self._free_name(command.name)
            if isinstance(free, Refused):
                return free
            return Rename(self._become(sender, name, free))
        if isinstance(command, Leave):
            self._members -= 1
            self._names[sender] = None
            self._taken[name_key(name)] = False
        return command

    def _name(self, sender: Hashable) -> str | None:
        if sender in self._names:
            return self._names[sender]
        return self._group.name(sender)

    def _free_name(self, wanted: str) -> str | Refused:
        """Return *wanted* as the group keeps it, or why nobody can take that name."""
        name = tidy_name(wanted)
        if name is None:
            return Refused(Reason.ILLEGAL_NAME)
        key = name_key(name)
        if self._taken.get(key, self._group.is_taken(key)):
            return Refused(Reason.NAME_IN_USE)
        return name

    def _become(self, sender: Hashable, old: str | None, new: str) -> str:
        if old is not None:
            self._taken[name_key(old)] = False
        self._taken[name_key(new)] = True
        self._names[sender] = new
        return new
