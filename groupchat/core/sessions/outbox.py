"""The commands of a session on their way to the server.

What lives here: which of them travel together, how one that is too long for a datagram is cut
into parts, and whose result is whose. What must not: when something is sent.

Theory. Commands travel in the order in which they were put in, as many at a time as have room. One
that is too long for a datagram travels in parts; the server puts them together, and carries
out the whole when its last part has come. If it has forgotten the parts before, because it was
started again in between, all of it travels once more.

What can never be legal, whoever asks for it and when, is not sent as it is: it could be taken for
something else on the way, for two requests, say. An empty request, which nobody carries out,
travels in its place.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from groupchat.core.plain import decode
from groupchat.core.records import SEPARATOR
from groupchat.core.replies import Refused
from groupchat.core.sessions.happenings import Result
from groupchat.core.sessions.replies import DONE, INCOMPLETE
from groupchat.core.sessions.requests import MAX_COMMANDS
from groupchat.core.sessions.wire import DATAGRAM_BYTES

__all__ = ["DATAGRAM_ROOM", "Outbox", "Part"]

_HEAD_BYTES: Final = 160  # a request is never more than this longer than its commands
DATAGRAM_ROOM: Final = DATAGRAM_BYTES - _HEAD_BYTES
"""Bytes for the commands of a request. On a connection there are no more, for what is under way
by one may have to go on by datagrams."""

_NEVER_LEGAL: Final = (b"\r", b"\n", SEPARATOR.encode())
_NOT_A_REQUEST: Final = b""
_JOIN: Final = b"1 "
_LEAVE: Final = b"4"


@frozen
class Part:
    """What travels as one: a command, or a part of one that is too long for a datagram."""

    request: bytes
    command: bytes
    last: bool = True


class Outbox:
    """Commands that wait, and those that are under way.

    Args:
        under_way: the requests that were under way in another process.
        partial: the whole command of which the last of them is a part, as :meth:`partial` says.
    """

    def __init__(self, under_way: Sequence[bytes] = (), partial: bytes = b"") -> None:
        self.under_way: list[Part] = [Part(request, request) for request in under_way]
        """What travels now. To be read."""
        self._waiting: deque[Part] = deque()
        parts = _parts(partial, DATAGRAM_ROOM)
        for index, part in enumerate(parts):
            if self.under_way and self.under_way[-1].request == part.request:
                self.under_way[-1] = part
                self._waiting.extend(parts[index + 1 :])

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def put(self, command: bytes, room: int) -> None:
        """Have *command* travel as soon as may be, by requests that have *room* for so many
        bytes."""
        self._waiting.extend(_parts(command, room))

    def pack(self, room: int, *, leave_apart: bool = False, join_apart: bool = False) -> None:
        """Have as much travel as has *room*.

        Args:
            room: in bytes.
            leave_apart: whether nothing travels in front of the request to leave: what news that is
                to bring cannot be read after it.
            join_apart: whether nothing travels behind a request to join: if the server does not
                know the session any more, that can be repeated, and what followed it could not.
        """
        self.under_way = []
        while self._waiting and len(self.under_way) < MAX_COMMANDS:
            if leave_apart and self.under_way and self._waiting[0].request == _LEAVE:
                return
            room -= len(self._waiting[0].request) + 1
            if room < 0 and self.under_way:
                return
            part = self._waiting.popleft()
            self.under_way.append(part)
            if part.request.startswith(b"+") or (join_apart and part.request.startswith(_JOIN)):
                return  # what follows must not be carried out unless this was, and is known

    def requests(self) -> tuple[bytes, ...]:
        """Return what travels now, as it travels."""
        return tuple(part.request for part in self.under_way)

    def commands(self) -> tuple[bytes, ...]:
        """Return the commands that travel now; of one in parts, the whole, with its last part."""
        return tuple(part.command for part in self.under_way if part.last)

    def partial(self) -> bytes:
        """Return the whole command of which the last request that travels is a part; empty if it
        is a command itself."""
        last = self.under_way[-1] if self.under_way else None
        return b"" if last is None or last.request == last.command else last.command

    def unsent(self) -> tuple[bytes, ...]:
        """Return the commands of which no part travels yet."""
        waiting = [part.command for part in self._waiting if part.last]
        return tuple(waiting[self._is_cut() :])

    def forget(self) -> tuple[bytes, ...]:
        """Forget what travels, and the rest of it, and return its commands."""
        commands = self.commands()
        if self._is_cut():
            commands += (self.under_way[-1].command,)
            self._skip()
        self.under_way = []
        return commands

    def turn_back(self) -> None:
        """Have what travels wait again, in front of everything else."""
        self._waiting.extendleft(reversed(self.under_way))
        self.under_way = []

    def arrived(self, words: Sequence[str]) -> list[Result]:
        """Nothing travels any more. Return what came of the commands, with *words* as the
        results of what did."""
        results: list[Result] = []
        again: list[bytes] = []
        skips = False  # the rest of a command whose result is known
        arrived, self.under_way = self.under_way, []
        for part, word in zip(arrived, words, strict=True):
            if not skips:
                if word == INCOMPLETE and part.command != part.request:
                    again.append(part.command)
                elif part.last or word != DONE:
                    results.append(Result(part.command, word))
            skips = (skips or word != DONE) and not part.last
        if skips:
            self._skip()
        for command in reversed(again):
            self._waiting.extendleft(reversed(_parts(command, DATAGRAM_ROOM)))
        return results

    def _is_cut(self) -> bool:
        """Whether the rest of a command that travels has to wait."""
        return bool(self.under_way and self._waiting and not self.under_way[-1].last)

    def _skip(self) -> None:
        """Take out the rest of a command."""
        while not self._waiting.popleft().last:
            pass


def _parts(command: bytes, room: int) -> list[Part]:
    """Return *command* in parts that have *room*, cut between characters."""
    if isinstance(decode(command), Refused) or any(c in command for c in _NEVER_LEGAL):
        return [Part(_NOT_A_REQUEST, command)]
    if len(command) < room:
        return [Part(command, command)]
    parts: list[Part] = []
    start = 0
    while start < len(command):
        stop = min(len(command), start + room - len(b"~9999 "))
        last = stop == len(command)
        while not last and command[stop] & 0xC0 == 0x80:  # in the middle of a character
            stop -= 1
        sign = b"+" if last else b"~"
        parts.append(Part(b"%b%d %b" % (sign, start, command[start:stop]), command, last))
        start = stop
    return parts
