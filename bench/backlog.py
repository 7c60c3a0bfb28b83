"""How fast a member gets what he has missed, over TCP, and how much memory that takes.

A real member has a session: ``groupchat connect`` comes back with what he has acknowledged, and
says that he follows, and the server sends all he has missed and goes on with what happens from
then on. Somebody with ``nc`` has no session. He is a member as long as his connection lasts, so
he has a backlog if he was silent; his ``5`` is answered by all of it, since there is no limit to
a reply here. Both are measured, and their bytes are counted as they come, with what each protocol
puts around a message.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.experiment import Experiment, Figures, Target
from bench.followers import Follower, Group, groupchat, join_plainly
from bench.load import Bursts, compiled

__all__ = ["EXPERIMENTS"]

MESSAGES: Final = 50_000
REPETITIONS: Final = 5


def _measure(durable: bool, repetitions: int) -> Mapping[str, Figures]:
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(compiled())
        server = stack.enter_context(groupchat(durable))
        away = Follower(server, "away")
        away.connection.close()
        silent = [join_plainly(server, f"silent {number}") for number in range(repetitions)]
        writer = join_plainly(server, "writer")
        # Nobody follows, so it is by its answers, each an empty line, that we know it is done.
        load.run(writer, [], Group.request, MESSAGES, marker="\n")
        before = server.resident_bytes()
        figures: dict[str, Figures] = {}

        server.forget_peak()
        sessions = [
            load.run(away.connection, [], again, 1, expected=MESSAGES)
            for again in (away.follow_again() for _ in range(repetitions))
        ]
        figures["session rate"] = _rates(sessions)
        figures["session memory"] = Figures([(server.peak_bytes() - before) / 2**20])

        server.forget_peak()
        plain = [load.run(member, [], b"5\n", 1, expected=MESSAGES) for member in silent]
        figures["plain rate"] = _rates(plain)
        figures["plain memory"] = Figures([(server.peak_bytes() - before) / 2**20])
        return figures


def _rates(fetches: list[Bursts]) -> Figures:
    """Return the megabytes a second of each."""
    size = fetches[0].bytes_read / MESSAGES
    return Figures(
        [fetch.bytes_read * 1e3 / fetch.each_ns[0] for fetch in fetches],
        f"{size:.0f} bytes a message of 64 bytes",
    )


def _experiment(durable: bool) -> Experiment:
    return Experiment(
        f"A backlog of 1,000,000 messages over TCP, {'durable' if durable else 'in memory'}",
        {
            "session rate": Target("a member who comes back", 200, "MB/s", least=True),
            "session memory": Target("memory that this takes, at its peak", 64, "MiB"),
            "plain rate": Target("a plain member's 5", 200, "MB/s", least=True),
            "plain memory": Target("memory that this takes, at its peak", 64, "MiB"),
        },
        partial(_measure, durable),
        REPETITIONS,
    )


EXPERIMENTS: Final = [_experiment(durable=False), _experiment(durable=True)]
