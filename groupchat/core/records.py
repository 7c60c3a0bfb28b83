r"""The log's records: what was accepted, from whom, and when.

What lives here: what a record holds, and its text, which is what a journal keeps and what people
read in it. A record is one line of UTF-8 with five fields, a tab between two of them::

    1763848800123   udp 127.0.0.1:40001   12   1024       2 Hi all
    1763848800125   session 5f0c...       14   #7 done,done 1d430fae   2 Hello <RS> 2 Hi

===========  ===========================================================================
field        what it is
===========  ===========================================================================
time         when the log took it, in milliseconds since 1970-01-01 00:00 UTC
sender       whose it is
standing     how far he had come, as :meth:`Group.standing` has it; 0 for who joins
mode         plain: the reply's budget in bytes, ``-`` for none. Session: ``#``, the
             number of his request, a space, what came of each of its commands, a space,
             and the checksum of all of them
requests     what he asked for, as the plain protocol writes it; between two requests,
             the record separator (U+001E), which no legal request holds
===========  ===========================================================================

Only what was accepted is in the log, so to apply it is to do it; nothing is judged again. The
log also holds what the server does by itself: ``drop POSITION``, of old events that are kept
no longer.
"""

from typing import Final, TypeAlias

from attrs import frozen

from groupchat.core.commands import Command
from groupchat.core.plain import decode, request
from groupchat.core.replies import Refused

__all__ = ["SEPARATOR", "SERVER", "Drop", "Record"]

SEPARATOR: Final = "\x1e"
"""What stands between two requests that travel together: the ASCII record separator."""

SERVER: Final = "server"
"""The sender of what the server does by itself."""

_DROP: Final = "drop "


@frozen
class Drop:
    """Let go of all events before *position*, read or not. Only the server asks for this."""

    position: int


Entry: TypeAlias = Command | Drop


@frozen
class Record:
    """One entry of the log."""

    time: int
    """When the log took it, in milliseconds since 1970-01-01 00:00 UTC."""
    sender: str
    standing: int
    """How far the sender had come (:meth:`Group.standing`); 0 for who joins."""
    commands: tuple[Entry, ...]
    budget: int | None = None
    """Plain: most bytes of the reply, which decide how far it takes him; None for any number."""
    number: int = 0
    """Session: the number of the request; 0 is plain."""
    results: str = ""
    """Session: what came of each of the request's commands, those not accepted included; and, after
    a space, the checksum by which a repeat of them is known from another request."""

    def encode(self) -> str:
        """Return the record's text, without a line end.

        Raises:
            ValueError: the sender holds what would look like the end of a field.
        """
        if not self.sender.isprintable():
            raise ValueError(f"not a sender: {self.sender!r}")
        if self.number:
            mode = f"#{self.number} {self.results}"
        else:
            mode = "-" if self.budget is None else str(self.budget)
        requests = SEPARATOR.join(
            f"{_DROP}{entry.position}" if isinstance(entry, Drop) else request(entry)
            for entry in self.commands
        )
        return f"{self.time}\t{self.sender}\t{self.standing}\t{mode}\t{requests}"

    @classmethod
    def decode(cls, text: str) -> "Record":
        """Return the record with this *text*.

        Raises:
            ValueError: there is none.
        """
        time, sender, standing, mode, requests = text.split("\t", 4)
        commands = tuple(map(_entry, requests.split(SEPARATOR)))
        if mode.startswith("#"):
            number, _, results = mode[1:].partition(" ")
            return cls(int(time), sender, int(standing), commands, None, int(number), results)
        budget = None if mode == "-" else int(mode)
        return cls(int(time), sender, int(standing), commands, budget)


def _entry(text: str) -> Entry:
    if text.startswith(_DROP):
        return Drop(int(text.removeprefix(_DROP)))
    command = decode(text.encode())
    if isinstance(command, Refused):
        raise ValueError(f"not a request: {text!r}")
    return command
