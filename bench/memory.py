"""What does a message cost while somebody has not fetched it, and what does a member?

Theory. A message is kept once, for however many wait for it. So it is measured with few members and
with many: in the core, where Python tells how much it has allocated, and in a server's
process, where the kernel tells what that has come to.
"""

import tracemalloc
from collections.abc import Mapping
from typing import Final

from bench.experiment import Experiment, Figures, Target
from bench.process import groupchat, started
from bench.udp import TEXT, WINDOW, exchange, idle_members, joined
from groupchat.core import Group, Join, Send

__all__ = ["EXPERIMENTS", "waiting_message_in_group"]

MESSAGES: Final = 100_000
MEMBERS: Final = 100_000
FEW: Final = 2
MANY: Final = 1_000


def _measure(_repetitions: int) -> Mapping[str, Figures]:
    return {
        "core 2": Figures([waiting_message_in_group(MESSAGES, FEW)]),
        "core 1000": Figures([waiting_message_in_group(MESSAGES, MANY)]),
        "server": Figures([waiting_message_in_server(MESSAGES, MANY)]),
        "member": Figures([member_in_server(MEMBERS)]),
    }


def waiting_message_in_group(messages: int, members: int = FEW) -> float:
    """Return the bytes that Python allocates for each of *messages* that nobody fetches."""
    group = Group()
    for number in range(members):
        group.apply(Join(f"member {number}"), number)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(messages):
        group.apply(Send(TEXT), 0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / messages


def waiting_message_in_server(messages: int, members: int) -> float:
    """Return the bytes by which a server process grows for each of *messages* not fetched."""
    with started(groupchat()) as server:
        idle_members(server, members - WINDOW)
        with joined(server, WINDOW) as writers:
            before = server.resident_bytes()
            for _ in range(messages // WINDOW):
                exchange(writers, f"2 {TEXT}".encode())
            return (server.resident_bytes() - before) / (messages // WINDOW * WINDOW)


def member_in_server(members: int) -> float:
    """Return the bytes by which a server process grows for each of *members* that joins."""
    with started(groupchat()) as server:
        idle_members(server, 1)
        before = server.resident_bytes()
        idle_members(server, members)
        return (server.resident_bytes() - before) / members


EXPERIMENTS: Final = [
    Experiment(
        "Memory",
        {
            "core 2": Target("a message waiting for 1 of 2 members, the core alone", 200, "bytes"),
            "core 1000": Target("a message waiting for 999 of 1,000, the same", 200, "bytes"),
            "server": Target("a message waiting for all of 1,000, in a server", 200, "bytes"),
            "member": Target("an idle member of 100,000, in a server", 1_024, "bytes"),
        },
        _measure,
        1,
    )
]
