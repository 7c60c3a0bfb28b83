"""The command line: ``python -m tests.simulation``."""

import os
import secrets
import sys
import time

import click

from tests.simulation.campaign import Totals, campaign, in_time
from tests.simulation.run import STEPS, Outcome, simulate

__all__ = ["main"]

PROGRESS_SECONDS = 1.0


@click.command()
@click.option("--seed", type=click.IntRange(0), help="Run this one alone.")
@click.option("--seeds", type=click.IntRange(1), help="Run so many; without, until stopped.")
@click.option("--first", type=click.IntRange(0), help="The first of them, else any.")
@click.option("--steps", type=click.IntRange(1), default=STEPS, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option("--trace", is_flag=True, help="With --seed: print all that happens.")
@click.option("--counts", is_flag=True, help="Print how often things happened.")
def main(
    seed: int | None,
    seeds: int | None,
    first: int | None,
    steps: int,
    jobs: int,
    trace: bool,
    counts: bool,
) -> None:
    """Simulate the chat with faults of network, disk, server and clients, and check that nothing
    is lost."""
    if seed is not None:
        outcome = simulate(seed, steps, print) if trace else in_time(seed, steps)
        totals = Totals(1, outcome.steps, outcome.counts, [outcome] if outcome.failure else [])
        print(f"seed {seed}: {outcome.steps:,} steps, trace hash {outcome.digest}")
        _fail(outcome, steps)
    else:
        totals = _many(secrets.randbelow(1 << 32) if first is None else first, seeds, steps, jobs)
    if counts:
        for name, count in sorted(totals.counts.items()):
            print(f"{count:12,} {name}")
    if totals.failures:
        sys.exit(1)


def _many(first: int, seeds: int | None, steps: int, jobs: int) -> Totals:
    began = shown = time.monotonic()
    failures = 0

    def progress(totals: Totals) -> None:
        nonlocal shown, failures
        for outcome in totals.failures[failures:]:
            _fail(outcome, steps)
        failures = len(totals.failures)
        if sys.stderr.isatty() and time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            print(f"\r\x1b[K{_summary(totals, shown - began)}", end="", file=sys.stderr, flush=True)

    totals = campaign(first, seeds, steps, jobs, progress)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(f"from seed {first} on: {_summary(totals, time.monotonic() - began)}")
    return totals


def _summary(totals: Totals, seconds: float) -> str:
    return (
        f"{totals.seeds:,} seeds, {totals.steps:,} steps, "
        f"{totals.steps / max(seconds, 0.001):,.0f} steps/s, {len(totals.failures)} failures"
    )


def _fail(outcome: Outcome, steps: int) -> None:
    """Show a failure."""
    if not outcome.failure:
        return
    print(f"\nseed {outcome.seed} failed at step {outcome.steps:,}. The last that happened:\n")
    print("\n".join(outcome.trace))
    print(f"\n{outcome.failure.rstrip()}\n")
    more = "" if steps == STEPS else f" STEPS={steps}"
    print(f"To run it again: make simulate SEED={outcome.seed}{more}\n")


if __name__ == "__main__":
    main()
