"""Does a message cost more when more members are there to read it?

Two servers, or two groups in this process, differ in the number of their members alone. Ten
members of each write in turn; the others have joined and are silent. The two take turns in
short rounds, so that whatever else the machine does meets both.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Final

from bench.experiment import Experiment, Figures, Target
from bench.process import running
from groupchat.core import Group, Join, Send

__all__ = ["EXPERIMENTS"]

MEMBERS: Final = 10_000
WRITERS: Final = 10
MESSAGES: Final = 1_000  # a round
TEXT: Final = "x" * 64

Round = Callable[[], int]  # sends some messages; returns the CPU time they cost in nanoseconds


def _measure(repetitions: int) -> Mapping[str, Figures]:
    with contextlib.ExitStack() as stack:
        return {
            "core": _compare(_group(WRITERS), _group(MEMBERS), repetitions),
            "server": _compare(_server(stack, WRITERS), _server(stack, MEMBERS), repetitions),
        }


def _group(size: int) -> Round:
    group = Group()
    for number in range(size):
        group.apply(Join(f"member {number}"), number)

    def play() -> int:
        start = time.process_time_ns()
        for number in range(MESSAGES):
            group.apply(Send(TEXT), number % WRITERS, budget=1_024)
        return time.process_time_ns() - start

    return play


def _server(stack: contextlib.ExitStack, size: int) -> Round:
    server = stack.enter_context(running())
    writers = [stack.enter_context(server.join(f"writer {number}")) for number in range(WRITERS)]
    for number in range(size - WRITERS):
        server.join(f"reader {number}").close()

    def play() -> int:
        _write(writers, WRITERS)  # each has what the last round left him
        start = server.cpu_ns()
        _write(writers, MESSAGES)
        return server.cpu_ns() - start

    return play


def _write(writers: list[socket.socket], messages: int) -> None:
    request = f"2 {TEXT}".encode()
    for number in range(messages):
        writer = writers[number % WRITERS]
        writer.send(request)
        writer.recv(65_536)


def _compare(small: Round, large: Round, repetitions: int) -> Figures:
    small(), large()  # warm up
    pairs = [
        (small(), large()) if number % 2 else (large(), small())[::-1]
        for number in range(repetitions)
    ]
    few, many = (median(times) / MESSAGES / 1_000 for times in zip(*pairs, strict=True))
    return Figures([b / a for a, b in pairs], f"{many:.2f} us a message against {few:.2f} us")


EXPERIMENTS: Final = [
    Experiment(
        "A message with 10,000 members, against 10 members",
        {
            "core": Target("the core alone, CPU time", 1.10),
            "server": Target("a server over UDP, CPU time", 1.10),
        },
        _measure,
        41,
    )
]
