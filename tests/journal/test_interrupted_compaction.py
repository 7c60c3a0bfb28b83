"""Compaction that does not come to its end: the old journal is there, as it was."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from groupchat.journal import compaction
from groupchat.journal.compaction import compact
from groupchat.journal.verification import verify
from tests.journal.making import fingerprint, same
from tests.journal.pasts import chat_of, read_in_part, written
from tests.processes import DEADLINE

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are Unix's")


class Interrupted(Exception):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, after: int) -> None:
    """Have *name* in the module fail when it is called, after so many times."""
    right = getattr(compaction, name)
    calls = [0]

    def wrong(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] > after:
            raise Interrupted
        return right(*arguments)

    monkeypatch.setattr(compaction, name, wrong)


@pytest.mark.parametrize(
    ("name", "after"),
    [("create", 0), *(("put", n) for n in range(6)), ("_settle", 0), ("publish", 0)],
)
def test_whatever_ends_it_leaves_the_old_one(
    name: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat, before = chat_of(path), fingerprint(path)
    with monkeypatch.context() as patch:
        interrupt(patch, name, after)
        with pytest.raises(Interrupted):
            compact(path)
    assert fingerprint(path) == before
    compact(path)  # nobody holds anything any more
    assert same(chat_of(path), chat)


KILLED = """
import os, signal, sys
from pathlib import Path
from groupchat.journal import compaction, files

name, after = sys.argv[2], int(sys.argv[3])
module = files if name == "new.replace" else compaction
calls = 0

def wrong(*arguments):
    global calls
    calls += 1
    if calls > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return right(*arguments)

if name == "new.replace":
    right, Path.replace = Path.replace, wrong
else:
    right = getattr(compaction, name)
    setattr(compaction, name, wrong)
compaction.compact(Path(sys.argv[1]))
"""


@POSIX
@pytest.mark.parametrize(
    ("name", "after"), [("put", 0), ("put", 3), ("_settle", 0), ("publish", 0), ("new.replace", 0)]
)
def test_if_it_is_killed_the_old_one_is_there(name: str, after: int, tmp_path: Path) -> None:
    path = written(tmp_path / "chat.journal", read_in_part)
    chat, before = chat_of(path), path.read_bytes()
    command = [sys.executable, "-c", KILLED, str(path), name, str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert path.with_name("chat.journal-new").exists()
    assert verify(path).whole
    compact(path)
    assert same(chat_of(path), chat)
    assert not list(path.parent.glob("chat.journal-new*"))


TOO_LARGE = """
import resource, sys
from pathlib import Path
from groupchat.journal.compaction import compact

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    compact(Path(sys.argv[1]))
except OSError as error:
    print(error)
"""


@POSIX
def test_a_disk_that_is_full_leaves_the_old_one(tmp_path: Path) -> None:
    """A file that may not grow is one on a full disk, to whoever writes it."""
    path = written(tmp_path / "chat.journal", read_in_part)
    before = fingerprint(path)
    command = [sys.executable, "-c", TOO_LARGE, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=True)
    assert done.stdout.startswith((b"disk I/O error", b"database or disk is full"))
    assert fingerprint(path) == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000
    assert compact(path).mended == ""
