"""Does a message cost more when more members are there to read it?

Two servers, or two groups in this process, differ in the number of their members alone. Ten
members of each write in turn; the others have joined and are silent. The two take turns in
short rounds, so that whatever else the machine does meets both, and the result is the median of
the rounds' ratios.
"""

import contextlib
import socket
import time
from collections.abc import Callable
from statistics import median

from attrs import frozen

from bench.process import running
from groupchat.core import Group, Join, Send

__all__ = ["Comparison", "compare_groups", "compare_servers"]

WRITERS = 10
TEXT = "x" * 64


@frozen
class Comparison:
    """CPU time of a message, in nanoseconds, in a small and in a large group."""

    small: float
    large: float
    ratio: float
    spread: tuple[float, float]
    """The lower and the upper quartile of the rounds' ratios."""


Round = Callable[[], int]  # sends some messages; returns the CPU time they cost in nanoseconds


def compare_groups(members: int, messages: int, rounds: int) -> Comparison:
    """Compare a group of *members* with one of ten, the core alone."""

    def make(size: int) -> Round:
        group = Group()
        for number in range(size):
            group.apply(Join(f"member {number}"), number)

        def play() -> int:
            start = time.process_time_ns()
            for number in range(messages):
                group.apply(Send(TEXT), number % WRITERS, budget=1_024)
            return time.process_time_ns() - start

        return play

    return _compare(make(WRITERS), make(members), messages, rounds)


def compare_servers(members: int, messages: int, rounds: int) -> Comparison:
    """Compare a server with *members* with one with ten, over UDP."""
    with contextlib.ExitStack() as stack:

        def make(size: int) -> Round:
            server = stack.enter_context(running())
            writers = [
                stack.enter_context(server.join(f"writer {number}")) for number in range(WRITERS)
            ]
            for number in range(size - WRITERS):
                server.join(f"reader {number}").close()

            def play() -> int:
                _write(writers, WRITERS)  # each has what the last round left him
                start = server.cpu_ns()
                _write(writers, messages)
                return server.cpu_ns() - start

            return play

        return _compare(make(WRITERS), make(members), messages, rounds)


def _write(writers: list[socket.socket], messages: int) -> None:
    request = f"2 {TEXT}".encode()
    for number in range(messages):
        writer = writers[number % WRITERS]
        writer.send(request)
        writer.recv(65_536)


def _compare(small: Round, large: Round, messages: int, rounds: int) -> Comparison:
    small(), large()  # warm up
    pairs = [
        (small(), large()) if number % 2 else (large(), small())[::-1] for number in range(rounds)
    ]
    ratios = sorted(b / a for a, b in pairs)
    return Comparison(
        small=median(a for a, _ in pairs) / messages,
        large=median(b for _, b in pairs) / messages,
        ratio=median(ratios),
        spread=(ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]),
    )
