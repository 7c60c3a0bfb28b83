"""One seed, and many.

What lives here: how a run is put together, when it is over, and what is said of it.

Theory. A run is a number of steps in which things go wrong, and then a peace: nothing goes wrong
any more, everybody who is not there comes back, says one thing more, and has to be told
everything there is. If that does not happen, something has got stuck.
"""

import logging
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from attrs import frozen

from tests.simulation.checker import Checker
from tests.simulation.client import Member
from tests.simulation.disk import Disk
from tests.simulation.faults import STRAY, Climate, Faults
from tests.simulation.hostile import Hostile
from tests.simulation.machine import Machine
from tests.simulation.network import Network
from tests.simulation.plain import PlainMember
from tests.simulation.world import MILLISECOND, SECOND, Violation, World

__all__ = ["STEPS", "Outcome", "Run", "simulate"]

STEPS: Final = 800
"""Steps of a run in which things go wrong."""

PEACE_STEPS: Final = 30_000
PEACE_SECONDS: Final = 300
"""So long the peace may take at the most."""


@frozen
class Outcome:
    """What came of a run."""

    seed: int
    steps: int
    digest: str
    """The hash of all that happened."""
    counts: Counter[str]
    failure: str = ""
    """What was wrong; empty if nothing was."""
    trace: tuple[str, ...] = ()
    """If something was: what happened last."""


class _Listener(logging.Handler):
    """Hears what the server has to say, and takes no excuse for an exception."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            raise Violation(f"{record.getMessage()}: {error!r}") from error


class Run:
    """One run.

    Args:
        seed: decides it.
        show: called with each line of the trace.
    """

    def __init__(self, seed: int, show: Callable[[str], object] | None = None) -> None:
        self.world = world = World(seed, show)
        self.climate = climate = Climate.draw(world)
        world.note("climate", str(climate).encode())
        settings = climate.settings
        self.checker = checker = Checker(world, settings.recent_pages, settings.limits.idle)
        self.network = Network(world, lambda: checker.truth.end, STRAY)
        checker.heard = self.network.heard
        self.disk = Disk(world, checker.batch_begun, checker.batch_stored)
        self.machine = Machine(
            world, self.network, self.disk, settings, checker.started, self._server_gone
        )
        self.members: list[Member] = []
        self.plain: list[PlainMember] = []

    def go(self, steps: int) -> None:
        """Make so many steps, and then peace.

        Raises:
            Violation: something was wrong.
        """
        with self.climate.settings.applied():
            self.machine.start()
            ends = self._people()
            self._step(steps)
            for end in ends:
                end()
            self._peace()

    def _people(self) -> list[Callable[[], None]]:
        """Have everybody come, and return how trouble is ended."""
        world, network, checker, climate = self.world, self.network, self.checker, self.climate
        self.members += [
            Member(world, network, checker, number, climate.think)
            for number in range(climate.members)
        ]
        self.plain += [
            PlainMember(world, network, checker, number, climate.think, number % 2 == 0)
            for number in range(climate.plain)
        ]
        faults = Faults(world, climate, self.machine, network, self.disk, self.members, self.plain)
        if not climate.hostile:
            return [faults.end]
        return [faults.end, Hostile(world, network, checker, climate.think).end]

    def _step(self, steps: int) -> None:
        step, check = self.world.step, self.checker.step
        for _ in range(steps):
            step()
            check()

    def _peace(self) -> None:
        world = self.world
        everybody: list[Member | PlainMember] = [*self.members, *self.plain]
        world.note("world", b"peace")
        for somebody in everybody:
            somebody.peaceful = True
        last_step, last_time = world.steps + PEACE_STEPS, world.now + PEACE_SECONDS * SECOND
        while not all(somebody.settled for somebody in everybody) or self._ghosts():
            if world.steps > last_step or world.now > last_time:
                stuck = [somebody.who for somebody in everybody if not somebody.settled]
                stuck += self._ghosts()
                raise Violation(f"in peace, these got stuck: {', '.join(stuck)}")
            self._step(1)

    def _ghosts(self) -> list[str]:
        """Return members by a connection that has ended."""
        here = {somebody.sender for somebody in self.plain}
        return [who for who in self.checker.truth.members if "#" in who and who not in here]

    def _server_gone(self, stopped: bool) -> None:
        self.checker.gone()
        for member in self.plain:  # when whatever the server has sent has arrived
            gone = partial(member.server_gone, stopped=stopped)
            self.world.call_later(MILLISECOND // 2, gone)


def simulate(seed: int, steps: int = STEPS, show: Callable[[str], object] | None = None) -> Outcome:
    """Run *seed* and return what came of it."""
    listener, log = _Listener(), logging.getLogger("groupchat")
    level, propagate = log.level, log.propagate
    log.addHandler(listener)
    log.setLevel(logging.ERROR)
    log.propagate = False
    run = Run(seed, show)
    world, failure = run.world, ""
    try:
        run.go(steps)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure of this seed
        failure = "".join(traceback.format_exception(error))
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        log.propagate = propagate
    trace = tuple(world.last_lines) if failure else ()
    return Outcome(seed, world.steps, world.digest, world.counts, failure, trace)
