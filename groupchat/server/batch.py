"""A batch: the requests, and orders of our own, that are written down and carried out together.

What lives here: how each is judged, before anything of it is done. What must not: the doing, and
the rules, which are the group's and the sessions'.

Theory. Each becomes a *step*. What it will change is its *record*, which has to be in the log
before it is applied; what changes nothing has none. A batch is judged in its order, each step as
if those before had been carried out.
"""

from collections.abc import Callable
from typing import Final

from attrs import define, evolve

from groupchat.core import Command, Leave, Peer, Refused, Update, decode
from groupchat.core.group import Draft, Group
from groupchat.core.records import Drop, Record
from groupchat.core.sessions.answers import ANSWER_PAGES, DATAGRAM_PAGES, Heard
from groupchat.core.sessions.server import Sessions

__all__ = ["BATCH_PAGES", "Batch", "Step", "is_connection"]

BATCH_PAGES: Final = 256
"""Pages of the timeline that the replies to one batch may need, beside the last one. They may have
to be read from the disk, and while that is done, nobody else is served."""

_REPLY_PAGES: Final = 16  # that one plain reply needs, beside the last: as many as it has room for
_SESSION: Final = b"@"  # begins its requests


@define(eq=False)
class Step:
    """One request, or order of our own, judged."""

    peer: Peer | None = None
    request: bytes = b""
    what: Command | Heard | Refused | bytes | None = None
    """What to answer: a command that will have been carried out, or bytes; None for nothing."""
    record: Record | None = None
    """What has to be in the log first."""
    reserved: bool = False
    """Whether there is a reservation for a long reply by datagram."""
    overtaken: bool = False
    """Whether the same session has asked for more, in the same batch and on the same connection."""
    ended: Peer | None = None
    """The connection that has ended."""


class Batch:
    """One batch.

    Args:
        group: judges; nobody may change it meanwhile.
        sessions: likewise.
        time: when this is, in the log, in milliseconds since 1970.
        now: when this is, in milliseconds; it never goes back.
        budget: returns most bytes of the plain reply to a step.
    """

    def __init__(
        self,
        group: Group,
        sessions: Sessions,
        time: int,
        now: int,
        budget: Callable[[Step, Peer], int | None],
    ) -> None:
        self.steps: list[Step] = []
        """In their order. To be read."""
        self.full = False
        """Whether the next requests are for another batch. To be read."""
        self._pages = 0
        self._group = group
        self._draft = Draft(group)
        self._sessions = sessions
        self._time = time
        self._now = now
        self._budget = budget
        self._latest: dict[tuple[str, Peer], Step] = {}  # of a session on a connection

    @property
    def records(self) -> list[Record]:
        """What has to be written down."""
        return [step.record for step in self.steps if step.record]

    def order(self, sender: str, command: Command | Drop) -> None:
        """Have *sender* do something that he has not asked for, if he can."""
        self._add_order(Step(), sender, command)

    def end(self, peer: Peer) -> None:
        """Have a connection end: if it is a member, it leaves."""
        self._add_order(Step(ended=peer), peer.sender, Leave())

    def end_connections(self) -> None:
        """Have all those leave who are connections, or will be when what is here is done."""
        senders = [*self._group.members, *(record.sender for record in self.records)]
        for sender in filter(is_connection, map(str, dict.fromkeys(senders))):
            self.order(sender, Leave())

    def take(self, request: bytes, peer: Peer) -> None:
        """Judge a request."""
        step = Step(peer, request)
        self.steps.append(step)
        if request.startswith(_SESSION):
            self._judge_session(step, peer)
        else:
            self._judge_plain(step, peer)

    def _add_order(self, step: Step, sender: str, command: Command | Drop) -> None:
        if isinstance(command, Drop) or self._draft.accept(command, sender) == command:
            step.record = self._record(sender, command)
        if step.record or step.ended:
            self.steps.append(step)

    def _judge_session(self, step: Step, peer: Peer) -> None:
        datagram = peer.datagram is not None
        what = self._sessions.hear(step.request, peer.sender, datagram, self._draft, self._now)
        step.what = what
        if what is None and not datagram:  # it repeats one of this batch, and is answered anew
            self._count_pages(self._sessions.sender(step.request), ANSWER_PAGES)
        if not isinstance(what, Heard):
            return
        if what.record is not None:
            step.record = evolve(what.record, time=self._time)
        before = self._latest.get((what.sender, peer))
        if before is not None:
            before.overtaken = True
        else:
            most = DATAGRAM_PAGES if datagram else ANSWER_PAGES
            self._count_pages(what.sender, most, what.ask.mark.position)
        self._latest[what.sender, peer] = step

    def _judge_plain(self, step: Step, peer: Peer) -> None:
        command = decode(step.request)
        if not isinstance(command, Refused):
            command = self._draft.accept(command, peer.sender)
        step.what = command
        if not isinstance(command, Refused | Update):
            step.record = self._record(peer.sender, command, self._budget(step, peer))
        if not isinstance(command, Refused | Leave):
            self._count_pages(
                peer.sender, _REPLY_PAGES if peer.datagram is None else DATAGRAM_PAGES
            )

    def _count_pages(self, sender: str, most: int, told: int = 0) -> None:
        """Count what *sender* is to be told, from so many pages at the *most*, who has been told
        all before *told*, and all that he has passed."""
        member = self._group.members.get(sender)
        if member is not None:
            ahead = self._group.timeline.pages_ahead(max(member.cursor.position, told))
            self._pages += min(ahead, most)
            self.full = self._pages >= BATCH_PAGES

    def _record(self, sender: str, command: Command | Drop, budget: int | None = None) -> Record:
        standing = self._group.standing(sender) if sender in self._group else 0
        return Record(self._time, sender, standing, (command,), budget)


def is_connection(sender: str) -> bool:
    """Whether *sender* is a connection, and gone for ever when that ends."""
    return "#" in sender
