"""What requests cost a server, counted in operations of Python's virtual machine.

The number is the same on every machine with the same version of Python, so it shows what seconds
on a busy machine hide: that something has become a little dearer. What C code does by itself, such
as copying bytes, is not counted, and nor is what a transport does; that is measured in ``bench/``.

If a test here fails, something costs more than a tenth more, or less, than :data:`OPERATIONS` says.
If that is meant, write down the new number, and say why in the commit.
"""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest

from groupchat.core import decode
from tests.server.listener import Listener
from tests.world import Recorder, World

DATAGRAM: Final = 65_507
TEXT: Final = b"2 " + b"x" * 64
MEMBERS: Final = 64
FOLLOWERS: Final = 100

OPERATIONS: Final = {  # by the version of Python
    "3.11": {
        "an_update": 189,
        "a_message": 1_869,
        "a_message_in_a_session": 4_393,
        "a_delivery": 252,
    },
    "3.12": {
        "an_update": 180,
        "a_message": 1_691,
        "a_message_in_a_session": 3_894,
        "a_delivery": 240,
    },
    "3.13": {
        "an_update": 181,
        "a_message": 1_582,
        "a_message_in_a_session": 3_735,
        "a_delivery": 208,
    },
}


def operations_of(work: Callable[[], object]) -> int:
    """Return how many operations of groupchat's code *work* takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG001
        nonlocal count
        if event == "call":
            if not str(frame.f_globals.get("__name__")).startswith("groupchat."):
                return None
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    measured_by_others = sys.gettrace()  # coverage, say
    gc.disable()  # who has something called when garbage is collected would be measured, too
    try:
        sys.settrace(trace)
        decode(b"5")  # Python 3.12 counts operations from the next ``settrace`` on
        count = 0
        sys.settrace(trace)
        work()
    finally:
        sys.settrace(measured_by_others)
        gc.enable()
    return count


def plain_members(world: World) -> list[Recorder]:
    members = [
        Recorder(f"udp 127.0.0.1:{number}", DATAGRAM, "127.0.0.1") for number in range(MEMBERS)
    ]
    for number, member in enumerate(members):
        world.ask(member, b"1 member %d" % number)
    for member in members:
        while world.ask(member, b"5"):
            pass
    return members


def an_update() -> float:
    """With nothing waiting."""
    world = World()
    members = plain_members(world)
    return operations_of(lambda: [world.ask(member, b"5") for member in members]) / MEMBERS


def a_message() -> float:
    """From each of 64 plain members, who are told what they have missed."""
    world = World()
    members = plain_members(world)

    def work() -> None:
        for member in members:
            world.server.receive(TEXT, member)
        world.turn()

    work()
    return operations_of(work) / MEMBERS


def a_message_in_a_session() -> float:
    """By datagram, one in each request."""
    world = World()
    al, bo = Listener(world, "Al", datagram=True), Listener(world, "Bo", datagram=True)

    def work() -> None:
        for _ in range(10):
            al.ask(TEXT)
            bo.ask(TEXT)

    work()
    return operations_of(work) / 20


def a_delivery() -> float:
    """To one of 100 members who follow, when one message comes."""
    world = World()
    writer = plain_members(world)[0]
    followers = [Listener(world, f"follower {number}") for number in range(FOLLOWERS)]
    for follower in followers:
        follower.ask(follow=True)

    def work() -> None:
        world.ask(writer, TEXT)
        for follower in followers:
            world.takes_more(follower.peer)

    work()
    return operations_of(work) / FOLLOWERS


@pytest.mark.parametrize("work", [an_update, a_message, a_message_in_a_session, a_delivery])
def test_it_costs_what_it_did(work: Callable[[], float]) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version not in OPERATIONS:
        pytest.skip(f"nobody has counted with Python {version}")
    before, now = OPERATIONS[version][work.__name__], work()
    assert before / 1.1 < now < before * 1.1
