"""What does a message cost while somebody has not fetched it, and what does a member?"""

import tracemalloc
from collections.abc import Mapping
from typing import Final

from bench.experiment import Experiment, Figures, Target
from bench.process import running
from groupchat.core import Group, Join, Send

__all__ = ["EXPERIMENTS"]

MESSAGES: Final = 100_000
MEMBERS: Final = 100_000
TEXT: Final = "x" * 64


def _measure(_repetitions: int) -> Mapping[str, Figures]:
    return {
        "core": Figures([waiting_message_in_group(MESSAGES)]),
        "server": Figures([waiting_message_in_server(MESSAGES)]),
        "member": Figures([member_in_server(MEMBERS)]),
    }


def waiting_message_in_group(messages: int) -> float:
    """Return the bytes that Python allocates for each of *messages* that nobody fetches."""
    group = Group()
    for name in ("Alice", "Bob"):
        group.apply(Join(name), name)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(messages):
        group.apply(Send(TEXT), "Bob")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / messages


def waiting_message_in_server(messages: int) -> float:
    """Return the bytes by which a server process grows for each of *messages* not fetched."""
    request = f"2 {TEXT}".encode()
    with running() as server, server.join("Alice"), server.join("Bob") as bob:
        before = server.resident_bytes()
        for _ in range(messages):
            bob.send(request)
            bob.recv(65_536)
        return (server.resident_bytes() - before) / messages


def member_in_server(members: int) -> float:
    """Return the bytes by which a server process grows for each of *members* that joins."""
    with running() as server:
        server.join("the first").close()
        before = server.resident_bytes()
        for number in range(members):
            server.join(f"member {number}").close()
        return (server.resident_bytes() - before) / members


EXPERIMENTS: Final = [
    Experiment(
        "Memory",
        {
            "core": Target("a message that waits, of 100,000, the core alone", 200, "bytes"),
            "server": Target("the same in a server's process", 200, "bytes"),
            "member": Target("an idle member, of 100,000, in a server's process", 1_024, "bytes"),
        },
        _measure,
        1,
    )
]
