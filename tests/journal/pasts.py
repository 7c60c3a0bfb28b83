"""Journals with a past, to be written anew, and what is in them."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from groupchat.core import Leave, Send, Update
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.journal.retention import Retention
from groupchat.journal.rows import records_of
from tests.cli.journals import rows_of
from tests.journal.making import Keeper, batch, conversation, journal, many, opened

__all__ = [
    "JOURNALS",
    "chat_of",
    "let_go",
    "read_in_part",
    "records",
    "talk",
    "written",
]


def talk(one: Keeper) -> None:
    """Several pages of the timeline, and more than one batch of a new journal."""
    conversation(one)
    many(one, 900, size=300, a_batch=10)
    batch(one, *[("udp 1", Send("long " * 700))] * 4)


def read_in_part(one: Keeper) -> None:
    """Robert has left; Carol has acknowledged half; Dora has been told as much as fits."""
    talk(one)
    group = one.chat.group
    group.stand("session c", group.timeline.end // 2)
    group.reply(Update(), "tcp 3 #1", 50_000)
    one.rest()


def read_by_all(one: Keeper) -> None:
    """Nobody has anything to be told."""
    talk(one)
    for sender in list(one.chat.group.members):
        one.chat.group.stand(sender, one.chat.group.timeline.end)
    one.rest()


def empty_again(one: Keeper) -> None:
    """All have left."""
    talk(one)
    for sender in list(one.chat.group.members):
        batch(one, (str(sender), Leave()))


def let_go(one: Keeper) -> None:
    """All but the newest is not kept any more."""
    talk(one)
    one.now += 200_000
    one.keep(Record(one.now, "session c", one.chat.group.timeline.end, (Send("x"),), None, 5, "ok"))
    batch(one, ("udp 1", Send("young")))
    while one.tick():
        pass


def nothing(one: Keeper) -> None:
    """Nobody has come yet."""


JOURNALS: dict[str, Callable[[Keeper], None]] = {
    "unread": talk,
    "read in part": read_in_part,
    "read by all": read_by_all,
    "empty again": empty_again,
    "let go": let_go,
    "nothing": nothing,
}


def written(path: Path, what: Callable[[Keeper], None]) -> Path:
    """Make the journal *path*, with *what* in it."""
    keep = Retention(milliseconds=100_000) if what is let_go else Retention()
    one = journal(path, keep)
    what(one)
    one.journal.close()
    return path


def chat_of(path: Path) -> Chat:
    """Return the state that a server would find, on a copy, so that nothing is touched."""
    copy = Path(tempfile.mkdtemp(dir=path.parent)) / path.name
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return opened(copy).chat


def records(path: Path) -> list[Record]:
    """Return all records in the journal *path*, which must be whole."""
    return [record for row in rows_of(path).batches for record in records_of(row)]
