"""What it costs to tell a message to 100 members who follow, over TCP, beside other servers.

One member writes as fast as the server takes it, and does not wait for answers; each of the
others gets everything. The servers take turns, with the same number of messages each, so that
whatever else the machine does meets all of them.
"""

from collections.abc import Mapping
from functools import partial
from statistics import median
from typing import Final

from attrs import evolve, frozen

from bench.comparison import in_turn
from bench.experiment import Experiment, Figures, Point, Target
from bench.followers import Start, rooms
from bench.load import Load, compiled
from bench.nats import subject
from bench.ngircd import channel
from bench.room import Room

__all__ = ["EXPERIMENTS"]

FOLLOWERS: Final = 100
MESSAGES: Final = 2_000  # a repetition
REPETITIONS: Final = 7

_MESSAGES: Final = (
    "the sends take little by now; to read, judge and apply each message takes 1,300 operations of "
    "Python, a half of all"
)


@frozen
class _Turn:
    """What one server made of its turn, a delivery."""

    wall_ns: float
    cpu_ns: float
    load_ns: float
    """CPU time of the load."""


def _measure(name: str, baseline: Start, repetitions: int) -> Mapping[str, Figures]:
    with compiled() as load, rooms(baseline, FOLLOWERS) as servers:
        plays = {kind: partial(_turn, load, room) for kind, room in servers.items()}
        turns = in_turn(plays, repetitions)
    figures: dict[str, Figures] = {}
    names = {"baseline": name, "memory": "groupchat, in memory", "durable": "groupchat, on disk"}
    for kind in ("memory", "durable"):
        figures[f"rate {kind}"] = _rates(turns[kind], turns["baseline"])
        points = [point for key, what in names.items() for point in _points(what, turns[key])]
        figures[f"CPU {kind}"] = evolve(_times(turns[kind], turns["baseline"]), points=points)
    return figures


def _points(what: str, turns: list[_Turn]) -> list[Point]:
    return [
        Point("fanout-cpu", what, median(turn.cpu_ns for turn in turns) / 1e3),
        Point("fanout-rate", what, median(1e3 / turn.wall_ns for turn in turns)),
    ]


def _turn(load: Load, room: Room) -> _Turn:
    deliveries = MESSAGES * FOLLOWERS
    before = room.server.cpu_ns()
    bursts = load.run(room.writer, room.followers, room.request, MESSAGES)
    room.acknowledge(MESSAGES)
    cpu = room.server.cpu_ns() - before
    return _Turn(bursts.each_ns[0] / deliveries, cpu / deliveries, bursts.cpu_ns / deliveries)


def _rates(ours: list[_Turn], theirs: list[_Turn]) -> Figures:
    """Return how many messages are delivered a second."""
    mine, other = (median(1e3 / turn.wall_ns for turn in turns) for turns in (ours, theirs))
    return Figures(
        [b.wall_ns / a.wall_ns for a, b in zip(ours, theirs, strict=True)],
        f"{mine:.2f} against {other:.2f} million a second "
        f"(the load took {_share(ours):.0%} and {_share(theirs):.0%} of a processor)",
    )


def _share(turns: list[_Turn]) -> float:
    """Return how much of a processor the load took."""
    return median(turn.load_ns / turn.wall_ns for turn in turns)


def _times(ours: list[_Turn], theirs: list[_Turn]) -> Figures:
    """Return the CPU time of the server for one delivery."""
    mine, other = (median(turn.cpu_ns / 1e3 for turn in turns) for turns in (ours, theirs))
    return Figures(
        [a.cpu_ns / b.cpu_ns for a, b in zip(ours, theirs, strict=True)],
        f"{mine:.3f} us a delivery against {other:.3f} us",
    )


EXPERIMENTS: Final = [
    Experiment(
        "Fan-out over TCP to 100 following members, against ngIRCd",
        {
            "rate memory": Target(
                "in memory, deliveries a second", 10, least=True, finding=_MESSAGES
            ),
            "CPU memory": Target("in memory, CPU time a delivery", 0.1, finding=_MESSAGES),
            "rate durable": Target(
                "durable, deliveries a second", 10, least=True, finding=_MESSAGES
            ),
            "CPU durable": Target("durable, CPU time a delivery", 0.1, finding=_MESSAGES),
        },
        partial(_measure, "ngIRCd", channel),
        REPETITIONS,
    ),
    Experiment(
        "Fan-out over TCP to 100 following members, against NATS",
        {
            "CPU memory": Target("in memory, CPU time a delivery", 0.2, finding=_MESSAGES),
            "CPU durable": Target("durable, CPU time a delivery", 0.2, finding=_MESSAGES),
        },
        partial(_measure, "NATS", subject),
        REPETITIONS,
    ),
]
