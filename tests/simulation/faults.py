"""Faults: what goes wrong, and when.

What lives here: the dice. What must not: how a fault is done to anything, which is that thing's.

Theory. Each run draws its own climate first: how bad the network, the disk and the people are, so
that some runs are calm but for one kind of trouble, and some have all of it at once. Within a run,
faults come one after another, and most of them end by themselves.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import evolve, frozen

from groupchat.journal.retention import FOR_EVER, Retention
from groupchat.server import Limits
from tests.simulation.client import Member
from tests.simulation.disk import Disk, Health
from tests.simulation.machine import Machine, Settings
from tests.simulation.network import CALM, Network, Weather
from tests.simulation.world import MILLISECOND, SECOND, World

__all__ = ["Climate", "Faults"]

STRAY: int = 512
"""Bytes a second that an address may be sent, unproved, by the plain protocol."""


class HasConnection(Protocol):
    """Somebody whose connection can break."""

    def break_connection(self) -> None:
        """Have it break."""


@frozen
class Climate:
    """What one run is like."""

    settings: Settings
    weather: Weather
    health: Health
    members: int
    plain: int
    hostile: bool
    think: int
    """Milliseconds between two things that somebody does."""
    trouble: int
    """Milliseconds between two faults."""
    kinds: Sequence[str]
    """Which faults there are."""

    @classmethod
    def draw(cls, world: World) -> "Climate":
        """Return one."""
        often = world.pick

        def some(*values: float) -> float:
            return often((0.0, 0.0, *values))

        weather = Weather(
            loss=some(0.05, 0.2, 0.35),
            repeat=some(0.05, 0.2),
            late=some(0.05, 0.25),
            damage=some(0.02, 0.1),
            cut=some(0.02, 0.05),
            delay=often((200, MILLISECOND, 20 * MILLISECOND)),
            jitter=often((0, MILLISECOND, 60 * MILLISECOND)),
            slow=some(0.05, 0.5, 0.9),
        )
        plain = max(0, world.between(-1, 3))
        health = Health(
            errors=some(0.02, 0.2),
            unknown=some(0.02, 0.2),
            stubborn=0.7,
            stalls=some(0.02, 0.1),
            bit_rot=some(0.002, 0.01),
            # A plain member is told that he has missed something, and has no means to ask again.
            unreadable=0.0 if plain else some(0.02, 0.2),
        )
        retention = FOR_EVER
        if world.chance(0.35):
            retention = Retention(often((None, 2_000, 10_000)), often((None, 4_000, 15_000)))
        settings = Settings(
            page_bytes=often((150, 400, 1_000, 4_000)),
            snapshot_records=often((1, 3, 10, 40)),
            recent_pages=often((0, 1, 3)),
            cached_pages=often((1, 2, 4)),
            open_sessions=often((3, 8)),
            batch_requests=often((1, 2, 4, 512)),
            retention=retention,
            limits=Limits(
                requests=often((20, 1_000)),
                idle=often((5, 10, 604_800)),
                silence=often((2, 60)),
                reply=often((500, 1 << 20, 1 << 20)),
                stray=STRAY,
            ),
        )
        share = often((0.1, 0.3, 0.6))
        kinds = [kind for kind in _KINDS if world.chance(share)]
        return cls(
            settings,
            weather,
            health,
            members=world.between(2, 5),
            plain=plain,
            hostile=world.chance(0.4),
            think=often((100, 400, 1_500)),
            trouble=often((80, 300, 1_000)),
            kinds=kinds,
        )


class Faults:
    """Has things go wrong.

    Args:
        world: draws the dice.
        climate: what they are like.
        machine: the server's.
        network: to be disturbed.
        disk: to be filled.
        members: to be crashed and moved.
        plain: to be cut off.
    """

    def __init__(
        self,
        world: World,
        climate: Climate,
        machine: Machine,
        network: Network,
        disk: Disk,
        members: Sequence[Member],
        plain: Sequence[HasConnection],
    ) -> None:
        self._world = world
        self._climate = climate
        self._machine = machine
        self._network = network
        self._disk = disk
        self._members = members
        self._plain = plain
        self._over = False
        network.weather, disk.health = climate.weather, climate.health
        self._kinds: dict[str, Callable[[], None]] = {
            kind: getattr(self, f"_{kind}") for kind in climate.kinds
        }
        self._again()

    def end(self) -> None:
        """From now on nothing goes wrong, and whatever had has passed."""
        self._over = True
        self._network.weather, self._disk.health = CALM, Health()
        self._network.cut_off.clear()
        self._disk.fatal = None
        self._machine.start()
        for member in self._members:
            member.start()

    def _again(self) -> None:
        self._world.call_later(
            self._world.between(1, 2 * self._climate.trouble) * MILLISECOND, self._happen
        )

    def _happen(self) -> None:
        if self._over:
            return
        self._again()
        if self._kinds:
            kind = self._world.pick(self._climate.kinds)
            self._kinds[kind]()

    def _later(self, least: int, most: int, call: Callable[[], None]) -> None:
        """Have *call* called after so many milliseconds, unless all is over by then."""
        milliseconds = self._world.between(least, most)
        self._world.call_later(milliseconds * MILLISECOND, self._unless_over(call))

    def _unless_over(self, call: Callable[[], None]) -> Callable[[], None]:
        def unless_over() -> None:
            if not self._over:
                call()

        return unless_over

    def _server_crash(self) -> None:
        if self._world.chance(0.5):
            self._disk.fatal = self._unless_over(self._kill)
        else:
            self._kill()

    def _kill(self) -> None:
        self._machine.kill()
        self._later(1, self._world.pick((30, 300, 3_000)), self._machine.start)

    def _server_stop(self) -> None:
        self._machine.stop()

    def _clock_step(self) -> None:
        step = self._world.pick((1_000, 30_000, 900_000))
        self._machine.skew += self._world.pick((-step, step))
        self._world.counts["clock steps"] += 1
        self._world.note("server", b"its clock steps")

    def _client_crash(self) -> None:
        member = self._world.pick(self._members)
        member.crash()
        self._later(1, self._world.pick((50, 1_000, 8_000)), member.start)

    def _client_move(self) -> None:
        self._world.pick(self._members).move()

    def _connection_break(self) -> None:
        for somebody in (*self._members, *self._plain):
            if self._world.chance(0.4):
                somebody.break_connection()

    def _cut_off(self) -> None:
        host = f"10.0.{self._world.below(3)}.{self._world.below(len(self._members))}"
        until = self._world.now + self._world.between(1, 6) * SECOND
        self._network.cut_off[host] = until
        self._world.counts["machines cut off"] += 1

    def _disk_full(self) -> None:
        self._disk.health = evolve(self._disk.health, full=True)
        self._world.counts["disk full"] += 1
        self._world.note("disk", b"is full")
        self._later(20, self._world.pick((200, 4_000)), self._disk_free)

    def _disk_free(self) -> None:
        self._disk.health = evolve(self._disk.health, full=False)

    def _weather_change(self) -> None:
        calm = self._network.weather is CALM
        self._network.weather = self._climate.weather if calm else CALM


_KINDS = tuple(
    name.removeprefix("_")
    for name in (
        "_server_crash", "_server_stop", "_clock_step", "_client_crash", "_client_move",
        "_connection_break", "_cut_off", "_disk_full", "_weather_change",
    )
)  # fmt: skip
