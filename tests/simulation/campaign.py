"""Many seeds, on many cores.

What lives here: which process runs which seed, and the sums. What must not: anything that a run
depends on; a seed comes out the same here as alone.
"""

import itertools
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Final

from attrs import define, field, frozen

from tests.simulation.run import Outcome, simulate
from tests.simulation.world import Violation

__all__ = ["SEED_SECONDS", "Totals", "campaign", "in_time"]

CHUNK: Final = 10
"""Seeds that a process takes at a time."""

SEED_SECONDS: Final = 30
"""Of CPU time. A run that takes longer is stuck in one step; most take a tenth of a second."""


@define
class Totals:
    """What came of several runs."""

    seeds: int = 0
    steps: int = 0
    counts: Counter[str] = field(factory=Counter)
    failures: list[Outcome] = field(factory=list)

    def add(self, other: "Totals") -> None:
        """Add *other*."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.counts.update(other.counts)
        self.failures += other.failures


@frozen
class _Chunk:
    seeds: range
    steps: int


def campaign(
    first: int, count: int | None, steps: int, jobs: int, told: Callable[[Totals], object]
) -> Totals:
    """Run seeds.

    Args:
        first: the first of them.
        count: how many; None for as many as there is time for, until a KeyboardInterrupt.
        steps: of each run.
        jobs: how many processes do it.
        told: called now and then with what came of those so far.
    """
    totals = Totals()
    chunks = _chunks(first, count, steps)
    # Not by a fork, which would take along whatever the test runner has under way.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_ignore_interrupts) as pool:
        under_way = _submitted(pool, itertools.islice(chunks, 2 * jobs))
        try:
            while under_way:
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    totals.add(future.result())
                under_way |= _submitted(pool, itertools.islice(chunks, len(finished)))
                told(totals)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    return totals


def in_time(seed: int, steps: int) -> Outcome:
    """Run *seed*; to be stuck in one step is a failure, where the system has a means to notice."""
    if not hasattr(signal, "setitimer"):
        return simulate(seed, steps)
    before = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, SEED_SECONDS)
    try:
        return simulate(seed, steps)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _too_long(*_: object) -> None:
    raise Violation(f"one run takes more than {SEED_SECONDS} seconds of CPU time")


def _chunks(first: int, count: int | None, steps: int) -> Iterator[_Chunk]:
    starts = itertools.count(first, CHUNK) if count is None else range(first, first + count, CHUNK)
    for start in starts:
        stop = start + CHUNK if count is None else min(first + count, start + CHUNK)
        yield _Chunk(range(start, stop), steps)


def _submitted(pool: ProcessPoolExecutor, chunks: Iterable[_Chunk]) -> set["Future[Totals]"]:
    return {pool.submit(_run, chunk) for chunk in chunks}


def _run(chunk: _Chunk) -> Totals:
    totals = Totals()
    for seed in chunk.seeds:
        outcome = in_time(seed, chunk.steps)
        failures = [outcome] if outcome.failure else []
        totals.add(Totals(1, outcome.steps, outcome.counts, failures))
    return totals


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who waits for us sees to them
