"""How long is a chat away when its server is started again?

From the start of the process until it says that it listens. It checks its whole journal meanwhile,
so what counts is how much is in there, and in how many batches: a busy server writes many messages
at once, a quiet one each by itself, which is the most work to read.

The journal is what the server's own code makes of a million messages, but in memory until it is
complete; to wait for the disk a million times would take many minutes. It ends as if the server
had been killed, so what came after the last snapshot is carried out again. One member has fetched
nothing.
"""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from bench.experiment import Experiment, Figures, Target
from bench.process import groupchat, started
from bench.udp import TEXT
from groupchat.core import Join, Send
from groupchat.core.plain import REPLY_BYTES
from groupchat.core.records import Record
from groupchat.journal.durable import DurableJournal
from groupchat.journal.files import create, publish
from groupchat.journal.interface import Done
from groupchat.journal.sqlite import SQLiteReading, put
from groupchat.journal.storage import Write

__all__ = ["EXPERIMENTS", "write_journal"]

MESSAGES: Final = 1_000_000
MANY: Final = 64  # messages a batch of a busy server
WRITERS: Final = 10
STARTED: Final = 1_763_848_800_000  # when the chat began, in milliseconds since 1970


class _Storage(SQLiteReading):
    """A storage that is in memory, and becomes a file at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = create(path)
        super().__init__(sqlite3.connect(":memory:", isolation_level=None))
        self._file.backup(self.connection)

    def write(self, what: Write, done: Done) -> None:
        put(self.connection, what)
        done(None)

    def close(self) -> None:
        self.connection.backup(self._file)
        self.connection.close()
        publish(self._path, self._file)


def write_journal(path: Path, messages: int, a_batch: int) -> None:
    """Make a journal in which the members write in turn, some *messages*, so many *a_batch*."""
    with contextlib.closing(DurableJournal(_Storage(path))) as journal:
        group = journal.chat.group
        senders = [f"udp 127.0.0.1:{40_000 + number}" for number in range(WRITERS + 1)]
        for sender in senders:
            _keep(journal, [Record(STARTED, sender, 0, (Join(sender[-5:]),), REPLY_BYTES)])
        writers, text = senders[1:], (Send(TEXT),)
        for first in range(0, messages, a_batch):
            batch = [writers[n % WRITERS] for n in range(first, min(first + a_batch, messages))]
            _keep(
                journal,
                [Record(STARTED + first, w, group.standing(w), text, REPLY_BYTES) for w in batch],
            )


def _keep(journal: DurableJournal, batch: list[Record]) -> None:
    def written(error: OSError | None) -> None:
        if error is not None:
            raise error

    journal.append(batch, written)
    for record in batch:
        journal.chat.apply(record)


def _measure(repetitions: int) -> Mapping[str, Figures]:
    with tempfile.TemporaryDirectory() as folder:
        journals = {"busy": Path(folder) / "busy", "quiet": Path(folder) / "quiet"}
        write_journal(journals["busy"], MESSAGES, MANY)
        write_journal(journals["quiet"], MESSAGES, 1)
        return {name: _starts(path, repetitions) for name, path in journals.items()}


def _starts(journal: Path, repetitions: int) -> Figures:
    seconds, cpu = [], []
    for _ in range(repetitions):
        begin = time.monotonic()
        with started(groupchat(journal)) as server:
            seconds.append(time.monotonic() - begin)
            cpu.append(server.cpu_ns() / 1e9)
    size = journal.stat().st_size / 1e6
    return Figures(seconds, f"{median(cpu):.1f} s of CPU time; the journal has {size:.0f} MB")


EXPERIMENTS: Final = [
    Experiment(
        "Restart with 1,000,000 messages in the journal, until it listens",
        {
            "busy": Target(f"written in batches of {MANY}", 3, "s"),
            "quiet": Target(
                "each written by itself",
                3,
                "s",
                finding="to fetch a row, and to check that it is whole and follows the one before, "
                "takes 5 us",
            ),
        },
        _measure,
        3,
    )
]
