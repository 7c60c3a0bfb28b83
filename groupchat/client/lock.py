"""A file that one program at a time has.

What lives here: locks that end with the program that has them, however it ends.
"""

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["Lock"]


class Lock:
    """A locked file. Made by :meth:`take`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """Return the lock on *path*; None if somebody else has it.

        Raises:
            OSError: it cannot be had at all.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(descriptor)
            # Whoever had it before may have removed the file while we opened it.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return cls(path, descriptor)
        except (BlockingIOError, PermissionError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def release(self, *, keep: bool) -> None:
        """Let others have it, and, unless the file is to be kept, remove it."""
        if not keep:
            with contextlib.suppress(OSError):  # Windows removes no open file
                self._path.unlink()
        os.close(self._descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
