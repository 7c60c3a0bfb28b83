"""Does a message cost more when more members are there to read it?

Two servers, or two groups in this process, differ in the number of their members alone. Nine
members of each write. With each reply they are told all that the other eight have written since the
last, so a round begins as the one before did. The rest, one or 9,991, are silent: in either group
somebody waits for every message, and all are kept. They have joined before the nine, who would
otherwise be told of 9,991 new members, by full datagrams, in the first thousands of replies.
"""

import contextlib
import time
from collections.abc import Mapping
from typing import Final

from bench.comparison import Comparison, Round
from bench.experiment import Experiment, Figures, Target
from bench.process import groupchat, started
from bench.udp import TEXT, exchange, idle_members, joined
from groupchat.core import Group, Join, Send, Update

__all__ = ["EXPERIMENTS"]

FEW: Final = 10
MANY: Final = 10_000
WRITERS: Final = 9
TURNS: Final = 100  # a round: so many messages of each writer
BUDGET: Final = 1_024  # bytes of a reply by UDP


def _measure(repetitions: int) -> Mapping[str, Figures]:
    groups = {str(size): _group(size) for size in (FEW, MANY)}
    with contextlib.ExitStack() as stack:
        servers = {str(size): _server(stack, size) for size in (FEW, MANY)}
        return {
            "core": Comparison.of(groups, repetitions).ratio(str(MANY), str(FEW)),
            "server": Comparison.of(servers, repetitions).ratio(str(MANY), str(FEW)),
        }


def _group(size: int) -> Round:
    group = Group()
    for number in range(size):
        group.apply(Join(f"member {number}"), number)
    writers = range(size - WRITERS, size)
    for writer in writers:
        group.apply(Update(), writer)  # without a budget, so all that there is

    def play() -> float:
        start = time.process_time_ns()
        for _ in range(TURNS):
            for writer in writers:
                group.apply(Send(TEXT), writer, budget=BUDGET)
        return (time.process_time_ns() - start) / (TURNS * WRITERS) / 1_000

    return play


def _server(stack: contextlib.ExitStack, size: int) -> Round:
    server = stack.enter_context(started(groupchat()))
    idle_members(server, size - WRITERS)
    writers = stack.enter_context(joined(server, WRITERS))

    def play() -> float:
        start = server.cpu_ns()
        for _ in range(TURNS):
            exchange(writers, f"2 {TEXT}".encode())
        return (server.cpu_ns() - start) / (TURNS * WRITERS) / 1_000

    return play


EXPERIMENTS: Final = [
    Experiment(
        "A message with 10,000 members, against 10 members",
        {
            "core": Target("the core alone", 1.10),
            "server": Target(
                "a server in memory, by UDP",
                1.10,
                finding="the core alone takes the same; the machine's noise is wider than the "
                "target, or what it is was not found",
            ),
        },
        _measure,
        31,
    )
]
