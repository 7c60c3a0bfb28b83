"""``make simulate``: one seed again, many of them, and what is said of a failure."""

from collections import Counter
from collections.abc import Callable
from typing import Final, cast

import pytest
from click.testing import CliRunner, Result

from tests.simulation import __main__ as command
from tests.simulation import campaign
from tests.simulation.bugs import BUGS
from tests.simulation.campaign import Totals, in_time
from tests.simulation.machine import Machine
from tests.simulation.run import STEPS, Outcome, simulate

OWN_EVENTS: Final = next(bug for bug in BUGS if bug.name == "tells members their own events")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, arguments)


def test_one_seed_is_run_again() -> None:
    done = run("--seed", "7", "--counts")
    assert done.exit_code == 0
    first, *counts = done.stdout.splitlines()
    assert first == f"seed 7: {simulate(7).steps:,} steps, trace hash {simulate(7).digest}"
    assert any(line.endswith(" events stored") for line in counts)


def test_its_trace_can_be_seen() -> None:
    shown = run("--seed", "7", "--steps", "50", "--trace").stdout.splitlines()
    assert "server                 starts" in shown[1]
    assert shown[-1].startswith("seed 7: ")


def test_a_failure_says_how_to_see_it_again() -> None:
    with OWN_EVENTS.applied():
        done = run("--seed", "0", "--steps", "900")
        again = run("--seed", "0", "--steps", "900")
    assert done.exit_code == 1
    assert "seed 0 failed at step " in done.stdout
    assert "Violation: " in done.stdout
    assert "To run it again: make simulate SEED=0 STEPS=900" in done.stdout
    assert again.stdout == done.stdout


def test_many_seeds_are_run() -> None:
    done = run("--first", "5", "--seeds", "12", "--steps", "60", "--jobs", "2")
    assert done.exit_code == 0
    assert done.stdout.startswith("from seed 5 on: 12 seeds, ")
    assert done.stdout.endswith(" steps/s, 0 failures\n")


def test_each_failure_of_many_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def many(*_: object) -> Totals:
        told = cast(Callable[[Totals], None], _[-1])
        totals = Totals()
        for seed in range(3):
            totals.add(Totals(1, 10, failures=[Outcome(seed, 10, "", Counter(), "bad", ("it",))]))
            told(totals)
        return totals

    monkeypatch.setattr(command, "campaign", many)
    done = run("--first", "0", "--seeds", "3")
    assert done.exit_code == 1
    assert [done.stdout.count(f"make simulate SEED={seed}\n") for seed in range(4)] == [1, 1, 1, 0]
    assert "3 seeds, 30 steps" in done.stdout
    assert "3 failures" in done.stdout


def test_a_step_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: Machine) -> None:
        while True:
            pass

    monkeypatch.setattr(campaign, "SEED_SECONDS", 0.1)
    monkeypatch.setattr(Machine, "start", start)
    assert "one run takes more than 0.1 seconds" in in_time(1, STEPS).failure
