"""Journals that are opened as a server does, and what is beside them before and after."""

import stat
from collections.abc import Callable
from pathlib import Path

from groupchat.journal import DurableJournal, open_journal

__all__ = ["call", "listing", "open_"]


def call(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* at once, where a server does it in its loop."""
    function(*arguments)


def open_(path: Path) -> DurableJournal:
    """Open the journal *path* as a server does."""
    return open_journal(path, call)


def listing(folder: Path) -> dict[str, bytes | None]:
    """Return all that is in *folder*, with the content of what is a file."""
    return {
        str(file): file.read_bytes() if stat.S_ISREG(file.stat().st_mode) else None
        for file in folder.rglob("*")
    }
