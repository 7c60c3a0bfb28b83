"""Events as lines, and lines as events."""

import pytest
from hypothesis import given

from groupchat.core import (
    MAX_NAME_CHARACTERS,
    Event,
    Joined,
    Left,
    Removed,
    Renamed,
    Said,
    parse,
    render,
    tidy_name,
)
from tests.core.strategies import events


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Joined(0, 0, "Bob"), b"Bob has joined"),
        (Said(1, 2, "Bob", "Hi Alice"), b"Bob: Hi Alice"),
        (Renamed(3, 4, "Charlie", "Chari"), b"Charlie changed his name to Chari"),
        (Left(5, 6, "Chari"), b"Chari has left the group"),
        (Said(7, 8, "Zo\u00eb", "\t:)"), "Zo\u00eb: \t:)".encode()),
        (Removed(9, 10, 1_234), b"(1234 older events are not kept on this server)"),
    ],
)
def test_an_event_looks_like_this(event: Event, line: bytes) -> None:
    assert render(event) == line
    assert parse(line, event.position, event.time) == event


@pytest.mark.parametrize(
    "event",
    [
        Said(0, 0, "Bob", "Carol has joined"),
        Said(0, 0, "Bob", "Carol: I resign"),
        Said(0, 0, "Bob", " : "),
        Said(0, 0, "Bob", "Al changed his name to Bo"),
        Renamed(0, 0, "A changed his name", "to B"),
        Renamed(0, 0, "to", "to"),
        Joined(0, 0, "Bob has"),
        Left(0, 0, "Bob has left the"),
        Joined(0, 0, "has left the"),
        Said(0, 0, "Bob", "(5 older events are not kept on this server)"),
    ],
)
def test_what_looks_like_another_event_is_not_taken_for_it(event: Event) -> None:
    assert parse(render(event), 0, 0) == event


@given(events)
def test_every_line_parses_back_to_exactly_one_event(event: Event) -> None:
    line = render(event)
    assert b"\n" not in line
    assert parse(line, event.position, event.time) == event


def test_the_server_s_own_line_is_longer_than_any_name() -> None:
    """So it is no name, and no line about a member is like it."""
    line = render(Removed(0, 0, 1)).decode()
    assert len(line) > MAX_NAME_CHARACTERS
    assert tidy_name(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Bob",
        b"Bob, Alice",
        b"has joined",
        b"Bob has leapt",
        b"(x older events are not kept on this server)",
        b"( older events are not kept on this server)",
        b" (5 older events are not kept on this server)",
        b"(5 older events are not kept on this server) ",
        b"\xff",
    ],
)
def test_a_line_of_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"no event has the line|codec can't decode"):
        parse(line, 0, 0)
