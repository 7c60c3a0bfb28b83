"""What SQLite reports, and what it means: damage, or trouble of another kind; and what is to be
done whatever it is."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from groupchat.journal.storage import Damaged

__all__ = ["damage", "describe", "is_busy", "on_failure", "refusals"]

_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_ERROR")
"""What SQLite's errors begin with that tell of damage; by the last, a table is not what it was."""
_ADVICE: Final = {
    "SQLITE_FULL": "; make room",
    "SQLITE_IOERR_SHM": "; is the disk full?",
    "SQLITE_BUSY": "; somebody else has it open",
}


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Turn SQLite's errors into :class:`Damaged`, or an OSError if they do not tell of that."""
    try:
        yield
    except sqlite3.Error as error:
        if _name(error).startswith(_DAMAGE):
            raise Damaged(describe(error)) from error
        raise OSError(describe(error)) from error
    except UnicodeDecodeError as error:  # in the name of a table, or of what is wrong with it
        raise Damaged("its tables are not what they were") from error


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn SQLite's errors into an OSError."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(describe(error)) from error


@contextlib.contextmanager
def on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Call *undo* if the block ends in an exception of any kind, which goes on."""
    try:
        yield
    except BaseException:
        undo()
        raise


def describe(error: sqlite3.Error) -> str:
    """Return what SQLite says, with the name by which it can be looked up, and what to do."""
    name = _name(error)
    advice = next((text for start, text in _ADVICE.items() if name.startswith(start)), "")
    return f"{error} ({name}){advice}" if name else str(error)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else is in the way."""
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
