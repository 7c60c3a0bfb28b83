"""A simulator that finds nothing proves nothing: here it has to find each deliberate bug."""

from typing import Final

import pytest

from tests.conftest import Row
from tests.simulation.bugs import BUGS, Bug
from tests.simulation.campaign import in_time
from tests.simulation.run import STEPS

SEEDS: Final = 1_500
"""The rarest is found after some hundred, the others after a few."""


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_it_is_found_that_the_code(bug: Bug, row: Row) -> None:
    with bug.applied():
        for seed in range(bug.seed, bug.seed + SEEDS):
            outcome = in_time(seed, STEPS)
            if outcome.failure:
                break
        else:
            pytest.fail(f"{SEEDS} seeds from {bug.seed} on do not find it")
    assert not in_time(seed, STEPS).failure  # it was the bug
    found = outcome.failure.strip().splitlines()[-1].rpartition("Violation: ")[2]
    where = f"seed {seed}, step {outcome.steps}"
    row(
        "Deliberate bugs, found by the simulator",
        BUGS.index(bug),
        f"{bug.name}: {where}: {found[:70]}",
    )


def test_a_bug_whose_place_has_changed_is_noticed() -> None:
    bug = Bug("none", "tests.simulation.test_bugs:truth", "not there", "there")
    with pytest.raises(LookupError, match="does not hold this once"), bug.applied():
        pass


def truth() -> bool:
    """Return True."""
    return True


def test_a_bug_goes_again() -> None:
    with Bug("lies", "tests.simulation.test_bugs:truth", "return True", "return False").applied():
        assert not truth()
    assert truth()
