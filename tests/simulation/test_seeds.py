"""Many seeds; and what runs are like: the same each time, and eventful."""

import os
import subprocess
import sys
from collections import Counter
from typing import Final

import pytest

from tests.conftest import Row
from tests.simulation.campaign import in_time
from tests.simulation.run import STEPS, simulate

SEEDS: Final = 2_000
SHARE: Final = 100
"""Seeds of one test, so that each worker can have some."""

DIGESTS: Final = {
    1: "c57a991a54f80d33",
    2: "a1b5b4982afa66ed",
    3: "6012d0487fe048fd",
    17: "4f86cad0d7e0cd76",
}
"""What every machine and every version of Python makes of a seed. When the simulator, or what it
runs, does something else than before, and means to, these are others: the test shows them."""

HAPPENS: Final = {
    "clients crashed",
    "clock steps",
    "connections broken",
    "damage noticed",
    "datagrams cut",
    "datagrams damaged",
    "datagrams late",
    "datagrams lost",
    "datagrams repeated",
    "disk full",
    "messages pushed",
    "moves",
    "pages read back",
    "readers slow",
    "result not-stored",
    "rows not readable",
    "sent away",
    "servers killed",
    "servers stopped",
    "sessions resumed",
    "told to be outside",
    "writes cut short",
    "writes failed",
    "writes failed at the very end",
    "writes not made void at once",
}
"""What each share of the seeds has to bring about, or it shows little."""


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_whatever_happens_nothing_is_lost(first: int, row: Row) -> None:
    steps = 0
    happened: Counter[str] = Counter()
    for seed in range(first, first + SHARE):
        outcome = in_time(seed, STEPS)
        assert not outcome.failure, f"make simulate SEED={seed}\n{outcome.failure}"
        steps += outcome.steps
        happened.update(outcome.counts)
    assert steps >= SHARE * STEPS
    assert happened.keys() >= HAPPENS
    seeds = f"{first:,} to {first + SHARE - 1:,}"
    row("Simulated seeds", first, f"{seeds:>14}: {steps:,} steps, no failure")


@pytest.mark.parametrize("seed", DIGESTS)
def test_a_seed_is_the_same_run_everywhere(seed: int) -> None:
    assert simulate(seed).digest == DIGESTS[seed]


@pytest.mark.parametrize("order", ["0", "1"])
def test_nothing_depends_on_the_order_of_a_set(order: str) -> None:
    """Python hashes strings by a number that each process draws anew, unless it is told one."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "5"],
        env={**os.environ, "PYTHONHASHSEED": order},
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = simulate(5)
    assert done.stdout == f"seed 5: {outcome.steps:,} steps, trace hash {outcome.digest}\n"
