"""The chat: all that the log drives, a group and what is remembered of its sessions.

What lives here: how a record changes the state, and how the state is written down and read
back, so that a log need not be replayed from its beginning. What must not: who may do what, which
is the group's, and how things look on a wire.

Theory. ``apply`` is total for records that a draft has accepted, and depends on nothing but the
records before. Whatever is remembered of a session stands in its records: the number of its last
request, and what came of it. So after a restart the repeat of a request that was carried out
is told from a new one, and is answered the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import astuple, evolve, frozen

from groupchat.core.commands import Join
from groupchat.core.group import Group, Member
from groupchat.core.pages import Page, Shelved
from groupchat.core.records import Drop, Record
from groupchat.core.replies import News, Roster
from groupchat.core.timeline import Timeline

__all__ = ["FORGET_MILLISECONDS", "Chat", "LastRequest"]

FORGET_MILLISECONDS: Final = 600_000
"""Milliseconds for which a session's last request is remembered after its member has left."""


@frozen
class LastRequest:
    """What is remembered of a session."""

    number: int
    """The number of the last request that was carried out."""
    results: str
    """What came of its commands, and their checksum, as :attr:`Record.results` has them."""
    time: int
    """When it was, or when its sender left, in milliseconds since 1970."""


class Chat:
    """A group and its sessions, changed by records alone.

    Args:
        group: in the state in which the log finds it; None for a new one.
        sessions: what is remembered of sessions, by sender.
        time: when the last record was taken, in milliseconds since 1970.
    """

    def __init__(
        self,
        group: Group | None = None,
        sessions: dict[str, LastRequest] | None = None,
        time: int = 0,
    ) -> None:
        self.group = Group() if group is None else group
        """The group. To be read."""
        self.sessions: dict[str, LastRequest] = {} if sessions is None else sessions
        """What is remembered of sessions, by sender. To be read."""
        self.time = time
        """When the last record was taken, in milliseconds since 1970."""
        gone = [(last.time, who) for who, last in self.sessions.items() if who not in self.group]
        self._left = {who: time for time, who in sorted(gone)}  # and when; the first to leave first

    def apply(self, record: Record) -> Roster | News | None:
        """Carry out *record*.

        Returns:
            The reply, for a plain sender; None for a session, which reads on its own.

        Raises:
            LookupError: no draft can have accepted this.
        """
        group, sender = self.group, record.sender
        self.time = record.time
        if sender in group:
            group.stand(sender, record.standing)
        reply = None
        for command in record.commands:
            if isinstance(command, Drop):
                group.timeline.drop(command.position, record.time)
                continue
            group.carry_out(command, sender, record.time)
            if not record.number:
                reply = group.reply(command, sender, record.budget)
            elif isinstance(command, Join):
                group.stand(sender, group.timeline.end)  # it asks for the roster, if it wants it
        if record.number:
            self.sessions[sender] = LastRequest(record.number, record.results, record.time)
        self._forget(sender, record.time)
        return reply

    def snapshot(self) -> dict[str, Any]:
        """Return the state as what JSON can hold, but without the pages of the timeline."""
        timeline = self.group.timeline
        return {
            "time": self.time,
            "end": timeline.end,
            "start": timeline.start,
            "dropped_time": timeline.dropped_time,
            "pages": [[page.first, page.stop] for page in timeline.pages],
            "members": [
                [sender, m.name, m.joined, m.cursor.position, m.untold]
                for sender, m in self.group.members.items()
            ],
            "sessions": [[sender, *astuple(last)] for sender, last in self.sessions.items()],
        }

    @classmethod
    def restore(cls, snapshot: dict[str, Any], bring: Callable[[int], Page]) -> "Chat":
        """Return the chat whose *snapshot* this is.

        Args:
            snapshot: as :meth:`snapshot` has made it.
            bring: returns the page with the given first position; of the last one, there may be
                more by now than there was when the snapshot was made.

        Raises:
            ValueError: this is no snapshot.
        """
        try:
            shelved = [Shelved(first, stop, bring) for first, stop in snapshot["pages"]]
            last = shelved.pop()
            page = bring(last.first)
            page.truncate(last.stop - last.first)
            pages: Sequence[Page | Shelved] = [*shelved, page]
            timeline = Timeline(
                end=snapshot["end"],
                pages=pages,
                dropped_time=snapshot["dropped_time"],
                start=snapshot["start"],
            )
            group = Group(timeline)
            for sender, name, joined, position, untold in snapshot["members"]:
                cursor = group.timeline.open(joined, position)
                group.admit(sender, Member(name, joined, cursor, untold))
            sessions = {sender: LastRequest(*last) for sender, *last in snapshot["sessions"]}
            time = snapshot["time"]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not a snapshot: {error!r}") from error
        return cls(group, sessions, time)

    def _forget(self, sender: str, now: int) -> None:
        """Take note whether *sender* has left, and forget the sessions of who left long ago."""
        left = self._left
        left.pop(sender, None)
        last = self.sessions.get(sender)
        if last is not None and sender not in self.group:
            left[sender] = now
            self.sessions[sender] = evolve(last, time=now)
        while left:
            oldest, since = next(iter(left.items()))
            if now - since < FORGET_MILLISECONDS:
                return
            del left[oldest], self.sessions[oldest]
