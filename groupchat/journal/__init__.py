"""Where the ordered log is kept: in memory, or in a SQLite file."""

from groupchat.journal.durable import DurableJournal
from groupchat.journal.files import Unusable
from groupchat.journal.interface import Journal
from groupchat.journal.memory import MemoryJournal
from groupchat.journal.opening import open_journal
from groupchat.journal.sqlite import SQLiteStorage
from groupchat.journal.storage import Damaged, Storage

__all__ = [
    "Damaged",
    "DurableJournal",
    "Journal",
    "MemoryJournal",
    "SQLiteStorage",
    "Storage",
    "Unusable",
    "open_journal",
]
