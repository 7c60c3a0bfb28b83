"""What a command costs, counted in lines of Python carried out rather than in seconds: that
number is the same on every machine.
"""

import gc
import sys
from types import FrameType
from typing import Any

import pytest

from groupchat.core import Command, Group, Join, Leave, Send, Update


def lines_of(group: Group, command: Command, sender: int) -> int:
    """Return how many lines of the core *command* takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401, ARG001
        nonlocal count
        count += event == "line"
        return trace

    measured_by_others = sys.gettrace()  # coverage, say
    gc.disable()  # who has something called when garbage is collected would be measured, too
    sys.settrace(trace)
    try:
        group.apply(command, sender, budget=1_024)
    finally:
        sys.settrace(measured_by_others)
        gc.enable()
    return count


def crowd(members: int) -> Group:
    """Return a group of *members*, in which three messages wait for everybody."""
    group = Group()
    for number in range(members):
        group.apply(Join(f"member {number}"), number)
    for text in ("one", "two", "three"):
        group.apply(Update(), 1)
        group.apply(Send(text), 0)
    return group


@pytest.mark.parametrize("command", [Send("x" * 64), Update()], ids=["send", "update"])
def test_a_command_is_the_same_work_with_any_number_of_members(command: Command) -> None:
    few, many = crowd(10), crowd(3_000)
    assert lines_of(few, command, 1) == lines_of(many, command, 1) > 10


def test_an_update_is_no_more_work_when_more_waits_than_fits() -> None:
    some, many = crowd(10), crowd(10)
    for group, messages in ((some, 2_000), (many, 20_000)):
        for number in range(messages):
            group.apply(Send(f"{number:060}"), 0)
    assert lines_of(some, Update(), 1) == lines_of(many, Update(), 1) > 10


def test_to_leave_is_no_more_work_when_more_was_not_read() -> None:
    """Who went away long ago is the last of all, and the next one may be far ahead of him."""
    some, many = Group(), Group()
    for group, messages in ((some, 200), (many, 900)):  # less than a page
        for number in range(10):
            group.apply(Join(f"member {number}"), number)
        for number in range(messages):
            group.apply(Send(f"{number:03}"), 0)
        for number in range(2, 10):
            group.apply(Update(), number)
    assert lines_of(some, Leave(), 1) == lines_of(many, Leave(), 1) > 10
