"""The truth: what the log on the disk says, as simply as that can be said.

What lives here: a list of what happened, and who is in the group. What must not: anything of the
code that is tested. It reads the text of the batches by itself, and keeps everything for ever;
there are no pages, cursors or snapshots to get wrong.

Theory. A batch counts from the moment in which it has reached the disk, for from then on no crash
undoes it. Whatever anybody is told is compared with this list.
"""

from collections.abc import Callable
from typing import Final

from attrs import define, frozen

from groupchat.journal.storage import Row
from tests.simulation.world import Violation

__all__ = ["SERVER", "Happened", "Stay", "Truth"]

SERVER: Final = "server"
"""The sender of what the server does by itself."""


@frozen
class Happened:
    """An event."""

    line: bytes
    kind: str
    time: int
    author: str = ""
    """The sender who is not to be told; empty for none."""


@define
class Stay:
    """A time in which somebody was a member."""

    joined: int
    left: int | None = None


class Truth:
    """What is in the log.

    Args:
        stored: called with the sender, the mode, the text of each request that is in the log now,
            and the position of its event.
    """

    def __init__(self, stored: Callable[[str, str, str, int], None]) -> None:
        self.happened: list[Happened] = []
        """All events, in their order."""
        self.members: dict[str, str] = {}
        """The names of who is in the group, by sender; who joined first is first."""
        self.stays: dict[str, list[Stay]] = {}
        """When a sender was a member, the last time last."""
        self.dropped = 0
        """What happened before this position need not be kept any more."""
        self.batches = 0
        """How many have been stored."""
        self.drops = 0
        """How many orders to let go of old events there were."""
        self._time = 0
        self._stored = stored

    @property
    def end(self) -> int:
        """The position of the next event."""
        return len(self.happened)

    def store(self, row: Row) -> None:
        """Take the next batch."""
        if row.number != self.batches + 1:
            raise Violation(f"batch {row.number} was stored after {self.batches}")
        self.batches = row.number
        head, *records = row.body.decode().split("\n")
        if int(head.rpartition(" ")[2]) != self.end:
            raise Violation(f"batch {row.number} follows {head}, and there are {self.end} events")
        for text in records:
            time, sender, _, mode, requests = text.split("\t", 4)
            if int(time) < self._time:
                raise Violation(f"in the log, time goes back from {self._time} to {time}")
            self._time = int(time)
            for request in requests.split("\x1e"):
                position = self.end
                self._happen(sender, request)
                self._stored(sender, mode, request, position)

    def roster(self, sender: str, position: int) -> list[str]:
        """Return the names that somebody is told whose join is the event at *position*, and the
        newest: everybody else's, the newest first."""
        return [
            name
            for other, name in reversed(self.members.items())
            if other != sender and self.stays[other][-1].joined < position
        ]

    def _happen(self, sender: str, request: str) -> None:
        kind, _, rest = request.partition(" ")
        if kind == "drop":
            if sender != SERVER:
                raise Violation(f"{sender} had events dropped")
            self.dropped = max(self.dropped, int(rest))
            self.drops += 1
            return
        name = self.members.get(sender)
        if (name is None) is not (kind == "1"):
            raise Violation(f"the log has {request!r} of {sender}, who is called {name}")
        taken = {other.casefold() for other in self.members.values() if other != name}
        if kind in "13" and rest.casefold() in taken:
            raise Violation(f"two are called {rest}")
        if kind == "1":
            self.members[sender] = rest
            self.stays.setdefault(sender, []).append(Stay(self.end))
            happened = Happened(f"{rest} has joined".encode(), "j", self._time)
        elif kind == "2":
            happened = Happened(f"{name}: {rest}".encode(), "s", self._time, sender)
        elif kind == "3":
            self.members[sender] = rest
            line = f"{name} changed his name to {rest}"
            happened = Happened(line.encode(), "r", self._time, sender)
        elif request == "4":
            del self.members[sender]
            self.stays[sender][-1].left = self.end
            happened = Happened(f"{name} has left the group".encode(), "l", self._time)
        else:
            raise Violation(f"no such request belongs into the log: {request!r}")
        self.happened.append(happened)
