"""Slots for the tests of what is kept on the disk: taken, used, and let go of."""

import os
from pathlib import Path

from groupchat.client.slots import Slot
from groupchat.core.sessions.saved import Saved

__all__ = ["SAVED", "SERVER", "Taker"]

SERVER = "example.org:12345"
SAVED = Saved("0123456789abcdef" * 2, 7, 20, joined=True, commands=("2 grüß €".encode(),), said=3)


class Taker:
    """Takes slots, and lets go of all of them at the end."""

    def __init__(self, folder: Path, told: list[str]) -> None:
        self.folder = folder
        self.told = told
        self.slots: list[Slot] = []

    def __call__(self, server: str = SERVER, *, name: str | None = None, new: bool = False) -> Slot:
        told = self.told.append
        self.slots.append(Slot.take(self.folder, server, told, name=name, new=new))
        return self.slots[-1]

    def used(self, saved: Saved = SAVED, name: str = "Alice", age: int = 0) -> Slot:
        """Take a new slot, write into it as of *age* seconds ago, and let go of it."""
        slot = self(new=True)
        slot.name = name
        slot.write(saved)
        slot.close()
        path = max(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        when = 1_700_000_000 - age
        os.utime(path, (when, when))
        return slot
