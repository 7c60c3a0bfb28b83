"""Where a program keeps its session with a server, so that the next one can go on with it.

What lives here: which session a program goes on with, and that no other does. What must not: what
a session is, which is :class:`~groupchat.core.sessions.client.Saved`, what its file says, or when
it is written.

Theory. A server has a few numbered *slots* in a folder that is private to the user, each a file for
one session and, beside it, an empty one that is locked while a program uses the slot. So two
programs at the same time have two sessions. A program takes the slot of the member that it wants
to be, or, if it does not care, the one that was used last and is free; if there is none, or a new
session is wanted, the first number that is.

A file that cannot be read, or is of a later version, stays as it is, and is passed over. Whoever
cannot write a session that he has begun goes on without; then the file must go, because its numbers
have been used. But a session that is gone on with is worth more than the wish to go on: if it
cannot be written, nothing is sent, and its file stays as it was.
"""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from groupchat.client.failures import Over
from groupchat.client.lock import Lock
from groupchat.client.statefile import Newer, StateFile
from groupchat.core.names import name_key
from groupchat.core.sessions.saved import Saved

__all__ = ["Slot"]

_MAX_NAME_BYTES: Final = 100  # of the part of a file's name that stands for the server

Tell = Callable[[str], None]


class Slot:
    """A place for one session with one server, used by this program alone."""

    def __init__(self, file: StateFile | None, lock: Lock | None, tell: Tell) -> None:
        self.saved: Saved | None = None
        """The session that is there; None for none. To be read."""
        self.name = ""
        """Its member's name, for people, which is kept with it; may be empty."""
        self.kept = file is not None
        """Whether what is written is kept. If not, somebody has been told why."""
        self._file = file
        self._lock = lock
        self._tell = tell
        self._resumed = False  # it was there before us
        self._name = ""  # that is there

    @classmethod
    def take(
        cls, folder: Path, server: str, tell: Tell, *, name: str | None = None, new: bool = False
    ) -> "Slot":
        """Take a slot.

        Args:
            folder: where the slots of all servers are. It is made if need be.
            server: which server; see :attr:`groupchat.client.address.Address.server`.
            tell: called with a line for people if something is wrong.
            name: whose session to go on with, if there is one; None for the one used last.
            new: whether to begin a new session, although another could be gone on with.

        Raises:
            Over: there is a session to go on with, and it cannot be kept up.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077 and sys.platform != "win32":
                folder.chmod(0o700)
            stem = _stem(server)
            files = [] if new else [StateFile(path, server) for path in _used_last(folder, stem)]
            return cls._resume(files, tell, name) or cls._begin(folder, stem, server, tell)
        except OSError as error:
            tell(f"Your session cannot be kept in {folder}: {error.strerror or error}.")
        return cls(None, None, tell)

    @classmethod
    def _resume(cls, files: list[StateFile], tell: Tell, name: str | None) -> "Slot | None":
        """Return the slot of the first of *files* that can be used, if any."""
        busy = None
        for file in files:
            theirs = _name_in(file)
            if name is not None and theirs is not None and name_key(theirs) != name_key(name):
                continue
            try:
                slot = cls._locked(file, tell)
            except OSError as error:
                if theirs is None:
                    raise
                raise Over(_unkept(file, theirs, error)) from error
            if slot is None:
                busy = busy or theirs
            elif slot._load(file):
                if slot.saved or name is None:
                    return slot
                slot.close()
        if busy:
            tell(f"Your session as {busy} is in use; this is a new one.")
        return None

    @classmethod
    def _begin(cls, folder: Path, stem: str, server: str, tell: Tell) -> "Slot":
        """Return the first slot that is free."""
        number = 0
        while True:
            number += 1
            file = StateFile(folder / f"{stem}.{number}.json", server)
            slot = None if file.path.exists() else cls._locked(file, tell)
            if slot is not None:
                if not file.path.exists():  # nor has it come to be meanwhile
                    return slot
                slot.close()

    @classmethod
    def _locked(cls, file: StateFile, tell: Tell) -> "Slot | None":
        lock = Lock.take(file.path.with_suffix(".lock"))
        return cls(file, lock, tell) if lock else None

    def write(self, saved: Saved) -> None:
        """Have *saved*, and the name, be kept, if they are new. When this returns, they are safe,
        unless nothing is new but how much has been told.

        Raises:
            Over: they cannot be, and the session was there before us. What was there is still.
        """
        before = self.saved
        if self._file is None or not self.kept or (before, self._name) == (saved, self.name):
            return
        told_more = (
            before is not None
            and saved.number == before.number
            and saved.commands in (before.commands, ())
        )
        try:
            self._file.write(saved, self.name, wait=not told_more)
        except OSError as error:
            if self._resumed:
                raise Over(_unkept(self._file, self.name, error)) from error
            self._tell(
                f"Your session cannot be kept in {self._file.path}: {error.strerror or error}."
            )
            self.forget()
            self.kept = False
        else:
            self.saved, self._name = saved, self.name

    def forget(self) -> None:
        """Have nothing kept of the session."""
        self.saved, self.name, self._name, self._resumed = None, "", "", False
        if self._file is not None:
            self._file.remove()

    def close(self) -> None:
        """Let others take the slot."""
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release(keep=self._file is not None and self._file.path.exists())
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, file: StateFile) -> bool:
        """Read *file*; return whether the slot can be used."""
        path = file.path
        try:
            saved, name = file.read()
        except FileNotFoundError:
            pass  # its owner has just left
        except OSError as error:
            why = error.strerror or str(error)
            self._tell(f"{path} cannot be read: {why}. Beginning a new session.")
        except Newer:
            self._tell(f"{path} is of a newer groupchat. Beginning a new session.")
        except ValueError:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            self._tell(f"Your session is damaged, and now in {aside}.")
            return True
        else:
            if saved.joined or saved.commands:  # else there is nothing to go on with
                self.saved, self.name, self._name, self._resumed = saved, name, name, True
            return True
        self.close()
        return False


def _unkept(file: StateFile, name: str, error: OSError) -> str:
    as_name = f" as {name}" if name else ""
    return f"your session{as_name} cannot be kept up in {file.path}: {error.strerror or error}"


def _name_in(file: StateFile) -> str | None:
    """Return the name of the member whose session *file* holds, or that he is about to have;
    None if that cannot be told."""
    try:
        saved, name = file.read()
    except (OSError, ValueError, Newer):
        return None
    joins = [command[2:] for command in saved.commands if command.startswith(b"1 ")]
    return name or next(iter(joins), b"").decode(errors="replace")


def _stem(server: str) -> str:
    """Return how the names of the files for *server* begin."""
    host, _, port = server.rpartition(":")
    safe = quote(host.strip("[]"), safe="", errors="surrogateescape")
    if len(safe) > _MAX_NAME_BYTES:
        safe = sha256(server.encode(errors="surrogateescape")).hexdigest()
    return f"{safe}_{port}"


def _used_last(folder: Path, stem: str) -> Iterator[Path]:
    """Yield the files of slots, the one that was used last first."""
    pattern = re.compile(re.escape(stem) + r"\.([1-9][0-9]{0,8})\.json")
    found: list[tuple[int, int, Path]] = []
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match:
            with contextlib.suppress(FileNotFoundError):  # its owner has just left
                found.append((-path.stat().st_mtime_ns, int(match[1]), path))
    for _, _, path in sorted(found):
        yield path
