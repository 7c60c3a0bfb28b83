"""A program that writes to a journal while its disk fails now and then, until it is killed.

``python -m tests.journal.crashing PATH FAULTS SEED`` prints each batch's number, and whether it was
stored. The faults are made by the shim (``faults.c``).
"""

import os
import queue
import random
import sys
from collections.abc import Callable
from pathlib import Path

from groupchat.core import Join, Send
from groupchat.core.records import Record
from groupchat.journal import open_journal

KINDS = ["write 28", "+write 28", "write 5", "fsync 5", "+fsync 5"]
FILES = ["-wal", ".journal$", ".journal"]


def main(path: Path, control: Path, seed: int) -> None:
    chance = random.Random(seed)
    calls: queue.Queue[tuple[Callable[..., object], tuple[object, ...]]] = queue.Queue()
    journal = open_journal(path, lambda call, *arguments: calls.put((call, arguments)))

    def keep(record: Record) -> bool:
        results: list[OSError | None] = []
        journal.append([record], results.append)
        while not results:
            try:
                call, arguments = calls.get(timeout=0.3)
            except queue.Empty:  # while nothing works, nobody is told anything
                control.unlink(missing_ok=True)
                continue
            call(*arguments)
        if results[0] is None:
            journal.chat.apply(record)
        return results[0] is None

    if "udp 1" not in journal.chat.group:
        keep(Record(1, "udp 1", 0, (Join("Al"),), 1_024))
    for number in range(10_000):
        if chance.random() < 0.3:
            new = control.with_suffix(".new")
            faults = [f"{chance.choice(KINDS)} {chance.choice(FILES)}"] * chance.randrange(2)
            new.write_text("\n".join(faults) + "\n")
            new.replace(control)
        text = f"{seed}.{number} " + "x" * chance.choice([1, 100, 3_900])
        commands = (Send(text),) * chance.choice([1, 1, 1, 30])
        os.write(1, f"{number} asked\n".encode())
        stored = keep(Record(number + 1, "udp 1", 0, commands, 1_024))
        os.write(1, f"{number} {'stored' if stored else 'failed'}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
