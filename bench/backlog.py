"""How fast a member gets what he has missed, over TCP, and how much memory that takes.

A real member has a session: ``groupchat connect`` comes back with what he has acknowledged, and
says that he follows, and the server sends all he has missed and goes on with what happens from
then on. Somebody with ``nc`` has no session. He is a member as long as his connection lasts, so
he has a backlog if he was silent, and fetches it with one ``5`` after the other. Both are
measured. Their bytes are counted as they come, with what each protocol puts around a message.

The server has the limits that it has by default, for it is they that bound its memory: a reply has
1 MiB at the most, and 64 KiB of it wait for the socket. But for one: the backlog was written by
somebody who asks more often than a member may.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from socket import socket
from statistics import median
from typing import Final

from attrs import frozen

from bench.experiment import Experiment, Figures, Target
from bench.followers import Member, join_plainly, serving
from bench.load import Load, compiled
from bench.process import Process
from bench.room import TEXT

__all__ = ["EXPERIMENTS"]

MESSAGES: Final = 1_000_000
REQUESTS: Final = 80  # that the plain member makes; each gets 1 MiB at the most, of 73 bytes each
REPETITIONS: Final = 3


@frozen
class _Fetch:
    """One backlog, fetched."""

    size: int
    """Bytes that came."""
    wall_ns: int
    cpu_ns: int
    """CPU time of the server."""


def _measure(durable: bool, repetitions: int) -> Mapping[str, Figures]:
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(compiled())
        server = stack.enter_context(serving(durable, "--max-requests", str(MESSAGES)))
        away = Member(server, "away", follows=False)
        away.connection.close()
        silent = [join_plainly(server, f"silent {number}") for number in range(repetitions)]
        Member(server, "writer", follows=False).say(TEXT, MESSAGES)
        # Plain first: the lines of sessions are made as they are asked for, and may be kept.
        figures: dict[str, Figures] = {}
        before = _settled(server)
        plain = [_fetched(server, load, member, b"5\n", REQUESTS) for member in silent]
        figures["plain rate"] = _rates(plain)
        figures["plain memory"] = Figures([(server.peak_bytes() - before) / 2**20])
        before = _settled(server)
        again = (away.follow_again() for _ in silent)
        sessions = [_fetched(server, load, away.connection, request, 1) for request in again]
        figures["session rate"] = _rates(sessions)
        figures["session memory"] = Figures([(server.peak_bytes() - before) / 2**20])
        return figures


def _settled(server: Process) -> int:
    """Return the memory that the server has in use, and have it note the peak from now on."""
    server.forget_peak()
    return server.resident_bytes()


def _fetched(server: Process, load: Load, member: socket, request: bytes, times: int) -> _Fetch:
    before = server.cpu_ns()
    bursts = load.run(member, [], request, times, expected=MESSAGES)
    return _Fetch(bursts.bytes_read, bursts.each_ns[0], server.cpu_ns() - before)


def _rates(fetches: list[_Fetch]) -> Figures:
    """Return the megabytes a second of each."""
    cpu = median(fetch.size * 1e3 / fetch.cpu_ns for fetch in fetches)
    size = fetches[0].size / MESSAGES
    return Figures(
        [fetch.size * 1e3 / fetch.wall_ns for fetch in fetches],
        f"{size:.0f} bytes a message of 64 bytes; {cpu:.0f} MB a second of CPU time",
    )


def _experiment(durable: bool) -> Experiment:
    return Experiment(
        f"A backlog of 1,000,000 messages over TCP, {'durable' if durable else 'in memory'}",
        {
            "session rate": Target(
                "a member who comes back",
                200,
                "MB/s",
                least=True,
                finding="a stamp in front of each line is made as it is read; if it were stored "
                "with the line, that would be saved",
            ),
            "session memory": Target("memory that this takes, at its peak", 64, "MiB"),
            "plain rate": Target(
                "a plain member who asks, with 5 after 5",
                200,
                "MB/s",
                least=True,
                finding="to fetch a page from SQLite takes 0.05 ms, its checksum 0.03, to take it "
                "apart 0.02; to have its 64 KiB at 200 MB/s, all must take 0.33",
            ),
            "plain memory": Target("memory that this takes, at its peak", 64, "MiB"),
        },
        partial(_measure, durable),
        REPETITIONS,
    )


EXPERIMENTS: Final = [_experiment(durable=False), _experiment(durable=True)]
