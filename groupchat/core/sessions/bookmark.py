"""How far the reader of a session has come.

What lives here: which events in an answer are new, and the beginning of a line whose end has not
come yet. What must not: what else an answer says.

Theory. A bookmark is a *mark*, the position of the next event that has not been told, and, when
a datagram ended in the middle of a line, what there is of that line. An answer begins somewhere
and stops somewhere. If it begins at the mark it goes on from there. If it begins before, what is
known is left out. If it begins after, there is a gap: then the server knows better, because
older events are none of ours; but news that nobody asked for may have overtaken an answer, so
that is left out, and will be told again.
"""

from typing import Final

from groupchat.core.sessions.happenings import Told
from groupchat.core.sessions.replies import Answer
from groupchat.core.sessions.wire import Mark

__all__ = ["MAX_PARTIAL_BYTES", "Bookmark", "News"]

MAX_PARTIAL_BYTES: Final = 16_384
"""Bytes that are kept of a line whose end has not come. No line of ours is as long."""

News = tuple[list[Told], bytes]
"""The events in an answer, and the part of a line at its end."""


class Bookmark:
    """Where a reader is.

    Args:
        position: all before this has been told.
    """

    def __init__(self, position: int) -> None:
        self.mark = Mark(position)
        """How far he has come. To be read."""
        self._partial = b""  # what there is of the line at the mark

    def read(self, answer: Answer) -> News | None:
        """Return what *answer* tells; None if it does not go on from here.

        Raises:
            ValueError: these are no events.
        """
        begin, body = answer.begin, answer.body
        if begin == self.mark:
            body = self._partial + body
        elif begin.offset or (begin > self.mark and answer.number == 0):
            return None  # the rest of a line whose beginning we do not have; or a gap
        *lines, partial = body.split(b"\n")
        if len(partial) > MAX_PARTIAL_BYTES:
            raise ValueError  # too long a line
        told = []
        for line in lines:
            position, time, kind, text = line.split(b" ", 3)
            told.append(Told(int(position), int(time), kind.decode(), text))
        return told, partial

    def take(self, answer: Answer, news: News | None, joined: bool) -> list[Told]:
        """Come forward to where *answer* stops.

        Args:
            answer: what the server has said.
            news: what :meth:`read` made of it.
            joined: whether we have joined by it, and all in it is new.

        Returns:
            What had not been told before.
        """
        if news is None or not (answer.stop > self.mark or joined):
            return []
        told, partial = news
        before = self.mark.position
        self.mark, self._partial = answer.stop, partial if answer.stop.offset else b""
        return [event for event in told if event.position >= before or joined]

    def skip(self, mark: Mark) -> None:
        """Come forward to *mark*, if it is ahead: nothing before it is for us."""
        if mark > self.mark:
            self.mark, self._partial = mark, b""
