"""How soon the last of the members who follow has a message, when nothing else goes on.

One message at a time, over TCP: the clock begins before it is written, and ends when the last
member has read it. Then there is a pause, so that the server is at rest when the next one comes.
"""

from collections.abc import Mapping
from functools import partial
from statistics import median, quantiles
from typing import Final

from bench.comparison import in_turn
from bench.experiment import Experiment, Figures, Target
from bench.followers import rooms
from bench.load import Load, compiled
from bench.ngircd import channel
from bench.room import Room

__all__ = ["EXPERIMENTS"]

SIZES: Final = (2, 100)
MESSAGES: Final = 100  # a repetition
PAUSE_US: Final = 2_000
REPETITIONS: Final = 7


def _measure(repetitions: int) -> Mapping[str, Figures]:
    figures: dict[str, Figures] = {}
    with compiled() as load:
        for size in SIZES:
            figures |= _with_followers(size, load, repetitions)
    return figures


def _with_followers(size: int, load: Load, repetitions: int) -> Mapping[str, Figures]:
    with rooms(channel, size) as servers:
        plays = {kind: partial(_turn, load, room) for kind, room in servers.items()}
        turns = in_turn(plays, repetitions)
    theirs = turns["baseline"]
    return {
        f"{kind} {size}": Figures(
            [median(a) / median(b) for a, b in zip(turns[kind], theirs, strict=True)],
            f"{_described(turns[kind])} against {_described(theirs)}",
        )
        for kind in ("memory", "durable")
    }


def _turn(load: Load, room: Room) -> list[int]:
    """Return how long each of some messages took, in nanoseconds."""
    bursts = load.run(
        room.writer, room.followers, room.request, 1, bursts=MESSAGES, pause_us=PAUSE_US
    )
    room.acknowledge(MESSAGES)
    return list(bursts.each_ns)


def _described(turns: list[list[int]]) -> str:
    times = [time / 1e6 for turn in turns for time in turn]
    return f"{median(times):.2f} ms (99th percentile {quantiles(times, n=100)[98]:.2f})"


EXPERIMENTS: Final = [
    Experiment(
        "Until the last member has a message, in a quiet group over TCP, against ngIRCd",
        {
            "memory 2": Target(
                "2 following members, in memory, median",
                2,
                finding="after a pause, Python's code is in no cache any more: without pauses a "
                "message takes 0.25 ms, not 0.6",
            ),
            "memory 100": Target(
                "100 following members, in memory, median",
                1,
                finding="a send to each takes what all of ngIRCd takes; what Python adds is as "
                "much again",
            ),
            "durable 2": Target(
                "2 following members, durable, median",
                5,
                finding="the same, and a thread that waits for the disk",
            ),
            "durable 100": Target(
                "100 following members, durable, median", 1.2, finding="the same"
            ),
        },
        _measure,
        REPETITIONS,
    )
]
