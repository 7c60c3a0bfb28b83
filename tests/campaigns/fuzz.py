"""Coverage-guided fuzzing of everything that reads bytes from outside.

``make fuzz`` gives each target of ``fuzz_targets.py`` 1,000,000 inputs. A target fails by any
exception that it does not announce, by taking long over one input, and by memory that grows.
atheris makes the inputs: it sees which lines an input reaches, and goes on from those that reach
new ones.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["TARGETS", "Outcome", "fuzz"]

TARGETS: Final = {"plain": 4_096, "session": 4_096, "tcp": 96, "journal": 4_096}
"""The targets, and how many bytes an input of each has at the most."""
INPUTS: Final = 1_000_000
SECONDS_AN_INPUT: Final = 20  # by the clock on the wall, so other work on the machine counts
MEGABYTES: Final = 400
"""The memory of the whole process, Python and atheris included, may not be more."""


@frozen
class Outcome:
    """What fuzzing a target has shown."""

    target: str
    inputs: int
    seconds: float
    megabytes: int
    """The most memory that the process had, Python and atheris included."""
    log: str
    """The end of what it printed, if it failed; else nothing."""


def fuzz(
    target: str,
    inputs: int,
    seed: int,
    folder: Path,
    told: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """Give *target* so many inputs, in a process of its own. What fails goes to *folder*. *told* is
    called, now and then, with how many it has had."""
    from tests.campaigns.fuzz_seeds import SEEDS  # not above: see _child

    corpus = folder / f"corpus-{target}"
    corpus.mkdir()
    for number, data in enumerate(SEEDS[target]):
        (corpus / f"seed{number}").write_bytes(data)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.campaigns.fuzz", "--child", target, f"-runs={inputs}"]
        + [f"-seed={seed}", f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEGABYTES}"]
        + [f"-max_len={TARGETS[target]}", f"-artifact_prefix={folder}/"]
        + ["-print_final_stats=1", str(corpus)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: deque[str] = deque(maxlen=200)
    with process:
        for line in process.stdout or ():
            lines.append(line)
            if pulse := re.match(r"#(\d+)\t", line):
                told(int(pulse[1]))
    seconds = time.monotonic() - began
    said = "".join(lines)
    executed = re.findall(r"number_of_executed_units:\s+(\d+)", said)
    memory = re.findall(r"peak_rss_mb:\s+(\d+)", said)
    failed = process.returncode != 0 or not executed or int(executed[0]) < inputs
    return Outcome(
        target,
        int(executed[0]) if executed else 0,
        seconds,
        int(memory[0]) if memory else 0,
        said[-2_500:] if failed else "",
    )


def _child(target: str, options: list[str]) -> None:
    """Fuzz *target* in this process, which ends with it."""
    # It is an extra, and it has to be there before the first import of what it watches.
    import atheris

    with atheris.instrument_imports(include=["groupchat"]):
        from tests.campaigns import fuzz_targets

    atheris.Setup(["fuzz", *options], fuzz_targets.TARGETS[target]())
    atheris.Fuzz()


def main() -> None:
    """Run it from the command line."""
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", default=TARGETS, help=", ".join(TARGETS)
    )
    arguments = parser.parse_args()
    failed = False
    folder = Path(tempfile.mkdtemp(prefix="groupchat-fuzz-"))
    had = dict.fromkeys(arguments.targets, 0)

    def begin(target: str) -> Outcome:
        return fuzz(
            target, arguments.inputs, arguments.seed, folder, lambda count: told(target, count)
        )

    def told(target: str, count: int) -> None:
        had[target] = count
        if sys.stdout.isatty():
            print("\r" + "  ".join(f"{name} {n:,}" for name, n in had.items()), end="", flush=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for begun in as_completed([pool.submit(begin, target) for target in arguments.targets]):
            outcome = begun.result()
            print(
                f"\r{outcome.target:8} {outcome.inputs:>9,} inputs, {outcome.seconds:5.0f} s, "
                f"{outcome.megabytes} MB at the most, {'FAILED' if outcome.log else 'ok'}",
                flush=True,
            )
            failed |= bool(outcome.log)
            if outcome.log:
                print(outcome.log, f"The input is in {folder}; seed {arguments.seed}.", sep="\n")
    if not failed:
        shutil.rmtree(folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
