"""What does a request by UDP cost, beside an echo and beside a server of the seed's kind?

Theory. Each server has 64 members who ask all at once, get their replies, and ask again
(:mod:`bench.udp`). A round is some hundred requests, and begins with nobody waiting for anything:
what is left of the last round is fetched by all members, unmeasured.

While all 64 write, 63 lines wait for each. His reply carries some of them, for being told is a
part of what a message costs. Ours has 1,024 bytes, as much as plain clients read, and so 13 lines,
and the rest takes more requests. A server of the seed's kind tells all of it at once, in a
datagram of 5 KB, of which its own clients lose the most. So its figure has more of the telling in
it than ours; what it takes each to tell all 64 everything is written below the figure.
"""

import contextlib
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from attrs import evolve

from bench.comparison import Comparison, Round
from bench.echo import compiled
from bench.experiment import Experiment, Figures, Point, Skipped, Target
from bench.process import Process, groupchat, started
from bench.udp import TEXT, WINDOW, exchange, fetch, joined, opened

__all__ = ["EXPERIMENTS"]

UPDATE: Final = b"5"
MESSAGE: Final = f"2 {TEXT}".encode()
UPDATE_TURNS: Final = 32  # a round: so many requests of each client
MESSAGE_TURNS: Final = 4
SIZES: Final = (8, 64, 250, 1_000)  # members, for the plot

ECHO: Final = [sys.executable, "-m", "bench.echo"]
SEED: Final = [sys.executable, "-m", "bench.seed", "once"]
COPYING_SEED: Final = [sys.executable, "-m", "bench.seed", "each"]

LINES: Final = {
    "copying": "a list a member, each with the line formatted anew",
    "seed": "a list a member, the line formatted once",
    "ours": "groupchat, on disk",
}
"""What is in the plot."""

Command = Sequence[str | Path]


class _Servers(contextlib.ExitStack):
    """The servers that are compared, and their clients. All end with the block."""

    def echoes(self, command: Command, request: bytes, turns: int) -> Round:
        """Start an echo, and return rounds of *request*."""
        server = self.enter_context(started(command))
        return _round(server, self.enter_context(opened(server, WINDOW)), request, turns)

    def updates(self, command: Command) -> Round:
        """Start a chat server, and return rounds of updates with nothing waiting."""
        server = self.enter_context(started(command))
        return _round(server, self.enter_context(joined(server, WINDOW)), UPDATE, UPDATE_TURNS)

    def messages(self, command: Command, members: int = WINDOW, *, told: bool = False) -> Round:
        """Start a chat server with so many *members*, and return rounds of messages; *told*:
        including that those who write are told everything in the end."""
        server = self.enter_context(started(command))
        everybody = self.enter_context(joined(server, members))
        writers = everybody[:WINDOW]

        def catch_up() -> None:
            fetch(everybody)

        def tell() -> None:
            if told:
                fetch(writers)

        return _round(server, writers, MESSAGE, MESSAGE_TURNS, before=catch_up, after=tell)

    def journal(self) -> Path:
        """Return the path of a journal that is still to be made."""
        return Path(self.enter_context(tempfile.TemporaryDirectory())) / "journal"


def _round(
    server: Process,
    clients: Sequence[socket.socket],
    request: bytes,
    turns: int,
    *,
    before: Callable[[], object] = bool,
    after: Callable[[], object] = bool,
) -> Round:
    """Return rounds in which each of *clients* sends *request* so many times. What is done *after*
    counts, what is done *before* does not."""

    def play() -> float:
        before()
        start = server.cpu_ns()
        for _ in range(turns):
            exchange(clients, request)
        after()
        return (server.cpu_ns() - start) / (turns * len(clients)) / 1_000

    return play


def _update(repetitions: int) -> Mapping[str, Figures]:
    with _Servers() as servers:
        rounds = {
            "ours": servers.updates(groupchat()),
            "echo": servers.echoes(ECHO, UPDATE, UPDATE_TURNS),
        }
        return {"update": Comparison.of(rounds, repetitions).ratio("ours", "echo")}


def _message(repetitions: int) -> Mapping[str, Figures]:
    with _Servers() as servers:
        rounds = {
            "memory": servers.messages(groupchat()),
            "echo": servers.echoes(ECHO, MESSAGE, MESSAGE_TURNS),
            "durable": servers.messages(groupchat(servers.journal())),
        }
        why = ""
        try:
            floor = servers.enter_context(compiled())
            rounds["floor"] = servers.echoes([floor], MESSAGE, MESSAGE_TURNS)
        except Skipped as skipped:
            why = str(skipped)
        found = Comparison.of(rounds, repetitions)
        note = f"; an echo in C {why or 'takes ' + found.show('floor')}"
    return {name: found.ratio(name, "echo", note) for name in ("memory", "durable")}


def _seed(repetitions: int) -> Mapping[str, Figures]:
    found = {str(members): _seed_among(members, repetitions) for members in SIZES}
    every = [point for figures in found.values() for point in figures.points]
    return {size: evolve(figures, points=()) for size, figures in found.items()} | {
        "1000": evolve(found["1000"], points=every)
    }


def _seed_among(members: int, repetitions: int) -> Figures:
    with _Servers() as servers:
        rounds = {
            "seed": servers.messages(SEED, members),
            "ours": servers.messages(groupchat(servers.journal()), members),
            "copying": servers.messages(COPYING_SEED, members),
        }
        if members == WINDOW:
            durable = groupchat(servers.journal())
            rounds["seed, told"] = servers.messages(SEED, told=True)
            rounds["ours, told"] = servers.messages(durable, told=True)
        found = Comparison.of(rounds, repetitions)
    note = f"; {found.show('copying')} if it formats the line for each member"
    if members == WINDOW:
        told = f"{found.show('seed, told')} against {found.show('ours, told')}"
        note += f"\n    with all that the others are told of it: {told}"
    points = [
        Point("cost", what, median(found.microseconds[name]), members)
        for name, what in LINES.items()
    ]
    return evolve(found.ratio("seed", "ours", note), points=points)


EXPERIMENTS: Final = [
    Experiment(
        "An update by UDP with nothing waiting, against an echo",
        {
            "update": Target(
                "a bare echo on Python's asyncio",
                1.4,
                finding="who asks, whether he may, that he is there and that nothing waits are 190 "
                "operations of Python; so many more would have to be done by the system",
            )
        },
        _update,
        41,
    ),
    Experiment(
        "A message by UDP from 64 senders, against an echo",
        {
            "memory": Target(
                "in memory; a bare echo on Python's asyncio",
                2.2,
                finding="1,900 operations of Python in 150 calls, no function with a tenth; "
                "the target leaves room for 500",
            ),
            "durable": Target(
                "durable; the same echo",
                2.6,
                finding="the same, and a record's text, its row and the write of a batch",
            ),
        },
        _message,
        41,
    ),
    Experiment(
        "A server of the seed's kind in memory, against a durable message of ours",
        {
            "64": Target(
                "among 64 members",
                5,
                least=True,
                finding="a bare echo takes more than a fifth of what that server does",
            ),
            "1000": Target(
                "among 1,000 members",
                30,
                least=True,
                finding="a thirtieth of that is less than a bare echo takes; ours grows no more, "
                "and that one goes on to",
            ),
        },
        _seed,
        9,
    ),
]
