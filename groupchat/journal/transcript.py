"""What was said, as the log has it: for export, and to be read again.

What lives here: the events of a whole journal, how they are shown, and who saw which. What must
not: how the log is read.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from attrs import frozen

from groupchat.core.events import Joined, Left, Renamed, Said
from groupchat.core.lines import render
from groupchat.core.names import name_key
from groupchat.journal.history import Entry, History
from groupchat.journal.reader import Gap, Reader, Removed
from groupchat.journal.rows import header_of, records_of
from groupchat.journal.storage import Damaged

__all__ = [
    "Hole",
    "LetGo",
    "Membership",
    "Transcript",
    "as_json",
    "as_text",
    "called",
    "seen_by",
    "show_time",
]

Membership: TypeAlias = tuple[str, int | None]
"""Who, and the position at which he joined, if that is known."""

_KINDS: Final = {Joined: "joined", Said: "said", Renamed: "renamed", Left: "left"}


@frozen
class Hole:
    """Something of the log that is not there, or cannot be understood."""

    what: str
    after: int | None
    """When the last record before it was taken, in milliseconds since 1970; None for the start."""
    before: int | None
    """When the first one after it was; None if there is none."""

    def __str__(self) -> str:
        since = "" if self.after is None else f" after {show_time(self.after)}"
        until = "" if self.before is None else f" before {show_time(self.before)}"
        both = " and" if since and until else ""
        return f"{self.what},{since}{both}{until}".rstrip(",")


@frozen
class LetGo:
    """Events that the server has let go of while they were to be read."""

    events: int
    """How many."""
    members: list[tuple[str, str, int]]
    """Who was there after them: sender, name, and where he joined."""


class Transcript:
    """The events in the journal *path*. Use it as a context.

    Args:
        path: the file.
        progress: called now and then with how many bytes more have been read.

    Raises:
        FileNotFoundError: there is none.
        Unusable: it is no journal at all, or from a newer version.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, progress: Callable[[int], object] = bool) -> None:
        self._reader = Reader(path, progress)
        self.troubles: list[str] = []
        """What is wrong with the file, although the log can be read. Complete after the last."""
        self.holes = 0
        """How many have been yielded."""
        self.let_go = 0
        """How many events before the first are not kept."""
        self.members: list[tuple[str, str, int]] = []
        """Who was there before the first event: sender, name, and where he joined."""
        try:
            base = self._reader.base()
        except Damaged as error:
            base = None
            self.troubles.append(str(error))
        self._base = base
        history = History(base)
        self.let_go = history.position
        self.members = _members(history)

    def __iter__(self) -> Iterator[Entry | Hole | LetGo]:
        """Yield the events and what is missing in between. To be done once."""
        history = History(self._base)
        last: int | None = None
        holes: list[str] = []
        for row in self._reader.log(self._base):
            if isinstance(row, Gap):
                holes.append(str(row))
                continue
            if isinstance(row, Removed):
                before, history = history, History(row.base)
                yield LetGo(history.position - before.position, _members(history))
                continue
            try:
                header, records = header_of(row), records_of(row)
            except Damaged as error:
                holes.append(str(error))
                continue
            if holes:
                history.position = header.events
                yield from self._tell(holes, last, records[0].time)
                holes.clear()
            for record in records:
                yield from history.tell(record)
                last = record.time
        yield from self._tell(holes, last, None)
        self.troubles += self._reader.troubles

    def _tell(self, holes: list[str], after: int | None, before: int | None) -> Iterator[Hole]:
        for what in holes:
            self.holes += 1
            yield Hole(what, after, before)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _members(history: History) -> list[tuple[str, str, int]]:
    return [(sender, *member) for sender, member in history.members.items()]


def called(transcript: Transcript, name: str) -> set[Membership]:
    """Return who was ever called *name*, or what counts as the same (RFC 8266)."""
    key = name_key(name)

    def so_called(members: list[tuple[str, str, int]]) -> set[Membership]:
        return {(sender, joined) for sender, was, joined in members if name_key(was) == key}

    found = so_called(transcript.members)
    for entry in transcript:
        if isinstance(entry, LetGo):
            found |= so_called(entry.members)
        if not isinstance(entry, Entry):
            continue
        event = entry.event
        if isinstance(event, Joined | Renamed):
            now = event.name if isinstance(event, Joined) else event.new
            if name_key(now) == key:
                found.add((entry.sender, entry.member))
    return found


def seen_by(transcript: Transcript, members: set[Membership]) -> Iterator[Entry | Hole | LetGo]:
    """Yield what *members* were told: the events while they were in the group, but their own."""

    def among(present: list[tuple[str, str, int]]) -> set[str]:
        return {sender for sender, _, joined in present if (sender, joined) in members}

    there = among(transcript.members)
    for entry in transcript:
        if isinstance(entry, LetGo):
            there = among(entry.members)
        if not isinstance(entry, Entry):
            yield entry
            continue
        if there - {entry.sender}:
            yield entry
        if (entry.sender, entry.member) in members:
            there.add(entry.sender)
        if isinstance(entry.event, Left):
            there.discard(entry.sender)


def as_text(entry: Entry) -> bytes:
    """Return a line for people: when it was, in UTC, and what happened."""
    return f"{show_time(entry.event.time)}  ".encode() + render(entry.event)


def as_json(entry: Entry) -> bytes:
    """Return a line of JSON: an object with ``position``, ``time`` (UTC), ``kind`` (``joined``,
    ``said``, ``renamed``, ``left``), ``name`` (null if nobody knows), ``text`` of what was said,
    ``new`` for a new name, and ``sender``."""
    event = entry.event
    fields: dict[str, Any] = {
        "position": event.position,
        "time": show_time(event.time),
        "kind": _KINDS[type(event)],
    }
    name = event.old if isinstance(event, Renamed) else event.name
    fields["name"] = name if entry.known else None
    if isinstance(event, Said):
        fields["text"] = event.text
    elif isinstance(event, Renamed):
        fields["new"] = event.new
    fields["sender"] = entry.sender
    return json.dumps(fields, ensure_ascii=False).encode()


def show_time(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970 as people write it, in UTC (RFC 3339)."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_show_second(seconds)}.{rest:03}Z"


@lru_cache(maxsize=16)
def _show_second(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):  # no clock has ever said so
        return str(seconds)
