"""What does a request by UDP cost, side by side with an echo and with a server of the seed's kind?

Theory. Each server has 64 members who ask all at once, get their replies, and ask again
(:mod:`bench.udp`). A round is some hundred requests, and begins with nobody waiting for
anything: what is left of the last round has been fetched, unmeasured.

While all 64 write, 63 lines wait for each. His reply carries some of them, for being told is a
part of what a message costs; but ours has 1,024 bytes, as much as plain clients read, and so 13
lines; a server of the seed's kind tells all of it in one datagram, of which its own
clients lose the most. So it does more of the telling within the figure than we do. What each takes
to tell all 64 members everything is in the line below the figure: there, our members ask
five times and the seed's once.

How it was checked that the load generator does not decide the figures: see the numbers in
:data:`WINDOW`'s module.
"""

import contextlib
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.comparison import Comparison, Round
from bench.echo import compiled
from bench.experiment import Experiment, Figures, Skipped, Target
from bench.process import Process, groupchat, started
from bench.udp import TEXT, WINDOW, exchange, fetch, joined, opened

__all__ = ["EXPERIMENTS"]

MEMBERS: Final = 1_000
UPDATE_TURNS: Final = 32  # a round: so many requests of each client
MESSAGE_TURNS: Final = 8
MESSAGE: Final = f"2 {TEXT}".encode()
PYTHON_ECHO: Final = [sys.executable, "-m", "bench.echo"]
SEED: Final = [sys.executable, "-m", "bench.seed"]

Command = Sequence[str | Path]


class _Servers(contextlib.ExitStack):
    """The servers that are compared, and their clients."""

    def echo(self, command: Command, request: bytes, turns: int) -> Round:
        """Start an echo, and return rounds of *request*."""
        server = self.enter_context(started(command))
        clients = self.enter_context(opened(server, WINDOW))
        return _round(server, clients, request, turns)

    def updates(self, command: Command) -> Round:
        """Start a chat server, and return rounds of updates with nothing waiting."""
        server = self.enter_context(started(command))
        members = self.enter_context(joined(server, WINDOW))
        return _round(server, members, b"5", UPDATE_TURNS)

    def messages(self, command: Command, count: int = WINDOW) -> tuple[Round, Round]:
        """Start a chat server with *count* members.

        Returns:
            Rounds of messages; and the same with all that the writers are told of them.
        """
        server = self.enter_context(started(command))
        members = self.enter_context(joined(server, count))
        writers = members[:WINDOW]
        fetch(members)

        def catch_up() -> None:
            fetch(members)

        def tell() -> None:
            fetch(writers)

        short = _round(server, writers, MESSAGE, MESSAGE_TURNS, before=catch_up)
        full = _round(server, writers, MESSAGE, MESSAGE_TURNS, before=catch_up, after=tell)
        return short, full

    def journal(self) -> Path:
        """Return a path for a journal."""
        return Path(self.enter_context(tempfile.TemporaryDirectory())) / "journal"


def _round(
    server: Process,
    clients: Sequence[socket.socket],
    request: bytes,
    turns: int,
    before: Callable[[], object] = bool,
    after: Callable[[], object] = bool,
) -> Round:
    """Return rounds of *request*; *before* is not measured, *after* is."""

    def play() -> float:
        before()
        start = server.cpu_ns()
        for _ in range(turns):
            exchange(clients, request)
        after()
        return (server.cpu_ns() - start) / (turns * len(clients)) / 1_000

    return play


def _against_echo(repetitions: int) -> Mapping[str, Figures]:
    with _Servers() as servers:
        updates = {
            "echo": servers.echo(PYTHON_ECHO, b"5", UPDATE_TURNS),
            "update": servers.updates(groupchat()),
        }
        messages = {
            "echo": servers.echo(PYTHON_ECHO, MESSAGE, MESSAGE_TURNS),
            "memory": servers.messages(groupchat())[0],
            "durable": servers.messages(groupchat(servers.journal()))[0],
        }
        try:
            messages["floor"] = servers.echo([servers.enter_context(compiled())], MESSAGE, 8)
        except Skipped:
            pass
        idle = Comparison.of(updates, repetitions)
        busy = Comparison.of(messages, repetitions)
    return {
        "update": idle.ratio("update", "echo"),
        "memory": busy.ratio("memory", "echo"),
        "durable": busy.ratio("durable", "echo"),
        "floor": busy.ratio("durable", "floor"),
    }


def _against_seed(repetitions: int) -> Mapping[str, Figures]:
    with _Servers() as servers:
        rounds = {}
        for count in (WINDOW, MEMBERS):
            a = servers.messages(groupchat(servers.journal()), count)
            b = servers.messages(SEED, count)
            rounds |= {f"ours {count}": a[0], f"seed {count}": b[0]}
            if count == WINDOW:
                rounds |= {"ours full": a[1], "seed full": b[1]}
        found = Comparison.of(rounds, repetitions)
    for k in found.microseconds: print(k, found.show(k))
    return {str(count): found.ratio(f"seed {count}", f"ours {count}") for count in (WINDOW, MEMBERS)}


EXPERIMENTS: Final = [
    Experiment(
        "A request by UDP, against a bare echo on Python's asyncio",
        {
            "update": Target("an update with nothing waiting", 1.4),
            "memory": Target("a message from 64 senders, in memory", 2.2),
            "durable": Target("the same, durable", 2.6),
            "floor": Target("the same, against an echo in C", 99),
        },
        _against_echo,
        41,
    ),
    Experiment(
        "A durable message, against a server of the seed's kind in memory",
        {
            "64": Target("among 64 members, times as much", 5, least=True),
            "1000": Target("among 1,000 members, times as much", 30, least=True),
        },
        _against_seed,
        11,
    ),
]
