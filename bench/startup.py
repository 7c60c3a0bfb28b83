"""How long does it take to start: what a program that imports the core waits for, and a user.

CPU time of a whole process, less that of one in which the same interpreter does nothing. They take
turns. Modules have been compiled before, as they are for everybody but the first.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from bench.comparison import Comparison, Round
from bench.experiment import Experiment, Figures, Target

__all__ = ["EXPERIMENTS"]

_COMMANDS: Final = {
    "bare": ["-c", "pass"],
    "core": ["-c", "import groupchat.core"],
    "version": ["-m", "groupchat", "--version"],
}


def _measure(repetitions: int) -> Mapping[str, Figures]:
    rounds = {name: _round(arguments) for name, arguments in _COMMANDS.items()}
    found = Comparison.of(rounds, repetitions)
    return {name: found.difference(name, "bare") for name in ("core", "version")}


def _round(arguments: list[str]) -> Round:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def play() -> float:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"python {' '.join(arguments)} ended with {process.returncode}")
        return (used.ru_utime + used.ru_stime) * 1e6

    return play


EXPERIMENTS: Final = [
    Experiment(
        "Start, above a bare interpreter",
        {
            "core": Target(
                "import groupchat.core, CPU time",
                60,
                "ms",
                finding="attrs, which it is built with, takes two thirds of that by itself",
            ),
            "version": Target("groupchat --version, CPU time", 150, "ms"),
        },
        _measure,
        21,
    )
]
