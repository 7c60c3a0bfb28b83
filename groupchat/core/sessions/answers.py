"""What an answer to a session says: what came of its request, who is here, and the news.

What lives here: how much of all that an answer has room for. What must not: which requests there
are, and who may ask.

Theory. An answer tells what lies beyond the mark in its request, as much of it as fits: whole
lines, and a part of one where a datagram has no room for it. It only looks; what moves a cursor is
the mark in the next request.

News that nobody asked for goes to many at once, most of whom stand at the same place, and are told
the same unless some of it is their own. So it is made once for all of those; only the seal differs.
"""

from typing import Final

from attrs import frozen

from groupchat.core.chat import Chat
from groupchat.core.group import Member
from groupchat.core.lines import REMOVED, removed_line
from groupchat.core.pages import Excerpt
from groupchat.core.records import Record
from groupchat.core.sessions.replies import Answer, Who
from groupchat.core.sessions.requests import Ask
from groupchat.core.sessions.wire import DATAGRAM_BYTES, SEAL_BYTES, Mark, sealed

__all__ = [
    "ANSWER_PAGES",
    "DATAGRAM_PAGES",
    "LISTING_BYTES",
    "STREAM_REPLY_BYTES",
    "Answers",
    "Heard",
    "Pushed",
]

STREAM_REPLY_BYTES: Final = 262_144
"""Bytes that a reply on a stream should have."""

LISTING_BYTES: Final = 16_384
"""Bytes of names in one answer. Each name has to be looked at, so many would keep others waiting;
whoever wants them all asks on."""

ANSWER_PAGES: Final = 5
"""Pages that are looked at for one answer on a stream: as many as it has room for. Own events take
no room, so without a bound there might be any number, each of which may be on a disk."""

DATAGRAM_PAGES: Final = 2
"""The same for a datagram."""

ANSWER_EVENTS: Final = 4_096
"""Events that are looked at for one answer on a stream."""

DATAGRAM_EVENTS: Final = 512
"""The same for a datagram."""

ANSWER_SPANS: Final = 256
"""Runs of others' events, with own ones in between, that one answer has."""

_HEAD_ROOM: Final = 48 + SEAL_BYTES  # so much longer can a first line get by its marks
_LEAST_NEWS: Final = 100  # bytes; with less room left by the rest of an answer, it has no news


@frozen
class Heard:
    """A request that is to be answered, once its record, if any, is in the log and applied."""

    sender: str
    ask: Ask
    results: tuple[str, ...]
    record: Record | None
    """What has to be written down first."""


@frozen(eq=False)
class Pushed:
    """News for one who has not asked: what lies beyond a position."""

    position: int
    stop: int
    """The position where it stops."""
    end: int
    """Where the timeline ended when this was made."""
    message: bytes
    """All of it but the seal."""

    def encode(self, token: str) -> bytes:
        """Return its bytes for the session with this *token*."""
        return sealed(self.message, token)


class Answers:
    """Makes answers.

    Args:
        chat: to be read.
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        # What was pushed last, and whose events are in it: it is not for those.
        self._shared: Pushed | None = None
        self._authors: set[int] = set()

    def answer(self, heard: Heard, limit: int | None, readable: bool = True) -> Answer:
        """Return the answer to *heard*, in no more than *limit* bytes if it is one datagram;
        without news if that is not *readable*."""
        ask, group = heard.ask, self._chat.group
        member = group.members.get(heard.sender)
        if member is None:
            return Answer(
                ask.number,
                heard.results,
                ask.mark,
                ask.mark,
                ask.mark.position,
                tries=ask.tries,
                outside=True,
                key=ask.token,
            )
        room = self._room(limit) - _HEAD_ROOM
        end = group.timeline.end
        seen = group.timeline.passed(member.cursor) if ask.seen else None
        answer = Answer(ask.number, heard.results, ask.mark, ask.mark, end, None, seen, ask.tries)
        room -= len(answer.head())
        who: Who | None = None
        names: tuple[str, ...] = ()
        if ask.who is not None:
            others, before = group.roster(ask.who or end, min(room, LISTING_BYTES))
            names = tuple(other.name for other in others if other is not member)
            who = Who(before, len(names))
            room -= sum(len(name.encode()) + 1 for name in names)
        begin, stop, body = ask.mark, ask.mark, b""
        if not readable:
            end = ask.mark.position  # there is no use in asking again at once
        elif room >= _LEAST_NEWS or not (names or heard.results):
            begin, stop, body = self._news(member, ask.mark, room, whole=limit is None)
        return Answer(
            ask.number,
            heard.results,
            begin,
            stop,
            end,
            who,
            seen,
            ask.tries,
            names,
            body,
            not readable,
            key=ask.token,
        )

    def push(self, sender: str, position: int) -> Pushed | None:
        """Return the news of a session from *position* on, unasked; None if there is none."""
        group = self._chat.group
        member = group.members.get(sender)
        if member is None:
            return None
        shared = self._shared
        if shared is not None and self._is_for(shared, member, position):
            return shared
        end = group.timeline.end
        _, stop, body = self._news(member, Mark(position), self._room(None), whole=True)
        if not body and stop.position >= end:
            return None  # but if there is more to be looked at, he is told that he has passed these
        # His cursor may have passed events of his own. To begin there would look like a gap to him.
        answer = Answer(0, (), Mark(position), stop, end, body=body)
        pushed = Pushed(position, stop.position, end, answer.message())
        authors = group.timeline.authors(position, stop.position)
        # Who has come farther, by another way, is not told again what is in between.
        if member.joined not in authors and member.cursor.position <= position:
            self._shared, self._authors = pushed, authors
        return pushed

    def has_news(self, sender: str, position: int) -> bool:
        """Whether *sender* has anything to be told from *position* on."""
        group = self._chat.group
        member = group.members.get(sender)
        if member is None:
            return False
        excerpt = self._excerpt(member, max(member.cursor.position, position), whole=False)
        found = bool(excerpt.removed) or any(True for _ in excerpt)
        return found or excerpt.stop < group.timeline.end

    def _is_for(self, shared: Pushed, member: Member, position: int) -> bool:
        """Whether what was pushed last is what *member* has to be told from *position* on."""
        timeline = self._chat.group.timeline
        return (
            shared.position == position
            and shared.end == timeline.end
            and member.joined not in self._authors
            and member.cursor.position <= position
            and position >= timeline.start
        )

    def _news(self, member: Member, mark: Mark, room: int, whole: bool) -> tuple[Mark, Mark, bytes]:
        """Return what lies beyond *mark*, as much as fits *room*: where it begins, where it stops
        and the lines. At least one line is returned, or, unless *whole*, a part of it."""
        position = max(member.cursor.position, mark.position)
        excerpt = self._excerpt(member, position, whole)
        begin = Mark(position)
        pieces: list[bytes] = []
        if excerpt.removed:
            notice = (
                excerpt.start - 1,
                excerpt.removed_time,
                REMOVED,
                removed_line(excerpt.removed),
            )
            pieces.append(b"%d %d %c %b\n" % notice)
            room -= len(pieces[0])
        for span in excerpt:
            had = 0  # bytes of its first line
            goes_on = not pieces and mark.offset and mark.position == span.position
            if goes_on and mark.offset < len(span.first()) - 1:
                begin, had = mark, mark.offset
            lines, count = span.stamped(had + room + 1)  # the last line feed is left out
            if not count and not pieces:
                lines, count = span.first(), 1
                if not whole:
                    return begin, Mark(span.position, had + room), lines[had : had + room]
            pieces.append(lines[had:])
            room -= len(pieces[-1])
            if count < len(span) or len(pieces) >= ANSWER_SPANS:
                return begin, Mark(span.position + count), b"".join(pieces)
        return begin, Mark(excerpt.stop), b"".join(pieces)

    def _excerpt(self, member: Member, position: int, whole: bool) -> Excerpt:
        """Return what lies beyond *position* for *member*; but only among so many events that own
        ones in between, which nobody is told, cost little."""
        most = (ANSWER_EVENTS, ANSWER_PAGES) if whole else (DATAGRAM_EVENTS, DATAGRAM_PAGES)
        return self._chat.group.timeline.excerpt(position, member.joined, *most)

    @staticmethod
    def _room(limit: int | None) -> int:
        return STREAM_REPLY_BYTES if limit is None else min(limit, DATAGRAM_BYTES)
