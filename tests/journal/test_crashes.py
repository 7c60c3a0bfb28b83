"""Crashes with a disk that fails: what was stored is there, and what was not is not."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

import pytest

from groupchat.journal.verification import verify
from tests.journal.faulty import NEEDS_SHIM, Shim
from tests.journal.making import lines, opened

ROUNDS = 5


@NEEDS_SHIM
@pytest.mark.parametrize("seed", range(2))
def test_whatever_fails_and_whenever_it_is_killed(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    path, shim = tmp_path / "chat.journal", Shim(tmp_path)
    stored: list[str] = []
    failed: set[str] = set()
    for turn in range(ROUNDS):
        shim.mend()
        name = f"{seed + 1}{turn}"
        asked, said = killed_after(chance.randrange(20, 100), path, shim, tmp_path, name)
        stored += [f"{name}.{number}" for number, word in said.items() if word == "stored"]
        failed |= {f"{name}.{number}" for number, word in said.items() if word == "failed"}
        doubtful = {f"{name}.{number}" for number in asked - said.keys()}
        assert len(doubtful) <= 1  # the one that was under way
        shim.mend()
        found = texts(path)
        assert not failed & set(found)
        if found[-1:] != stored[-1:] and found[-1] in doubtful:
            stored.append(found[-1])
        assert found == stored
        assert verify(path).whole
    assert len(stored) > 50
    assert len(failed) > 20


def killed_after(
    count: int, path: Path, shim: Shim, folder: Path, name: str
) -> tuple[set[int], dict[int, str]]:
    """Run the program until it has reported so many batches; return which it asked for, and what
    became of them."""
    asked: set[int] = set()
    said: dict[int, str] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.crashing", path, folder / "faults", name],
        env={**os.environ, **shim.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        out = cast("IO[str]", process.stdout)
        while len(said) < count:
            number, word = out.readline().split()
            if word == "asked":
                asked.add(int(number))
            else:
                said[int(number)] = word
        process.kill()
        for line in out:  # what it had said before it was killed
            number, word = line.split()
            if word == "asked":
                asked.add(int(number))
            else:
                said[int(number)] = word
    return asked, said


def texts(path: Path) -> list[str]:
    """Return which messages are in the journal, each once."""
    journal = opened(path)
    found: list[str] = []
    for row in journal._storage.batches(0):
        for record in row.body.decode().split("\n")[1:]:
            text = record.rpartition("\t2 ")[2].partition(" ")[0]
            if "\t2 " in record and text not in found[-1:]:
                found.append(text)
    lines(journal.chat)
    journal.close()
    return found
