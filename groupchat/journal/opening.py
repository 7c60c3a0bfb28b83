"""How a server opens its journal: everything is checked before anything is written."""

from collections.abc import Callable
from pathlib import Path

from groupchat.journal.durable import DurableJournal
from groupchat.journal.errors import on_failure
from groupchat.journal.recovery import Progress
from groupchat.journal.retention import FOR_EVER, Retention
from groupchat.journal.sqlite import SQLiteStorage

__all__ = ["open_journal"]


def open_journal(
    path: Path,
    call: Callable[..., object],
    retention: Retention = FOR_EVER,
    progress: Progress = bool,
) -> DurableJournal:
    """Return the journal in the file *path*, which is made if it is not there.

    Args:
        path: the file.
        call: has a function called, soon, in the thread that uses the journal.
        retention: how much to keep.
        progress: called now and then with how many bytes more have been read.

    Raises:
        Unusable: the file cannot be used. It is as it was.
        Damaged: it is damaged. It is as it was.
        OSError: it cannot be made, opened or written.
    """
    storage = SQLiteStorage(path, call)
    with on_failure(storage.close):
        storage.check()
        journal = DurableJournal(storage, retention, progress)
        storage.begin()
    return journal
