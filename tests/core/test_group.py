"""The group: who may do what, and what follows from it."""

from typing import cast

import pytest

from groupchat.core import (
    Command,
    Event,
    Group,
    Join,
    Joined,
    Leave,
    Left,
    News,
    Reason,
    Refused,
    Rename,
    Renamed,
    Reply,
    Roster,
    Said,
    Send,
    Update,
    encode,
)


def group_of(*names: str) -> Group:
    """Return a group whose members are called *names* and are known by them as senders."""
    group = Group()
    for name in names:
        assert isinstance(group.apply(Join(name), name), Roster)
    return group


def lines(reply: Reply) -> list[str]:
    """Return the reply as the plain protocol has it, line by line."""
    text = b"".join(encode(reply)).decode()
    return text.split("\n") if text else []


def events(reply: Reply) -> list[Event]:
    """Return the events of a reply that must be news."""
    assert isinstance(reply, News)
    return list(reply)


def test_the_roster_names_the_others_newest_first() -> None:
    group = Group()
    assert group.apply(Join("Alice"), 1) == Roster()
    assert group.apply(Join("Bob"), 2) == Roster(("Alice",))
    assert group.apply(Join(" Charlie  B "), 3) == Roster(("Bob", "Alice"))
    assert group.apply(Join("Dora"), 4) == Roster(("Charlie B", "Bob", "Alice"))


def test_who_renames_keeps_his_place_in_the_roster_and_who_returns_is_new() -> None:
    group = group_of("Alice", "Bob", "Charlie")
    group.apply(Rename("Al"), "Alice")
    group.apply(Leave(), "Bob")
    group.apply(Join("Bob"), "Bob")
    assert group.apply(Join("Dora"), "Dora") == Roster(("Bob", "Charlie", "Al"))
    assert list(group) == ["Dora", "Bob", "Charlie", "Al"]


def test_a_member_sees_what_happens_after_his_join_but_not_what_he_does() -> None:
    group = Group()
    group.apply(Join("Alice"), 1, time=10)
    group.apply(Join("Bob"), 2, time=20)
    assert events(group.apply(Send("Hi"), 2, time=30)) == []
    group.apply(Rename("Bo"), 2, time=40)
    group.apply(Leave(), 2, time=50)
    assert events(group.apply(Update(), 1, time=60)) == [
        Joined(1, 20, "Bob"),
        Said(2, 30, "Bob", "Hi"),
        Renamed(3, 40, "Bob", "Bo"),
        Left(4, 50, "Bo"),
    ]
    assert events(group.apply(Update(), 1)) == []


@pytest.mark.parametrize("command", [Send("x"), Rename("Al"), Update()])
def test_a_command_is_answered_with_what_came_before_it(command: Command) -> None:
    group = group_of("Alice", "Bob")
    group.apply(Send("one"), "Bob")
    assert lines(group.apply(command, "Alice")) == ["Bob has joined", "Bob: one"]
    assert lines(group.apply(Update(), "Alice")) == []


def test_leaving_is_answered_with_nothing() -> None:
    group = group_of("Alice", "Bob")
    group.apply(Send("what she has not read"), "Bob")
    assert events(group.apply(Leave(), "Alice")) == []
    assert "Alice" not in group
    assert lines(group.apply(Update(), "Bob")) == ["Alice has left the group"]


def test_a_group_tells_who_is_in_it() -> None:
    group = group_of("Alice", "Bob")
    assert len(group) == 2
    assert "Alice" in group
    assert "Zoe" not in group
    assert group.name("Bob") == "Bob"
    assert group.name("Zoe") is None
    group.apply(Rename("Bo"), "Bob")
    assert group.name("Bob") == "Bo"


@pytest.mark.parametrize("command", [Send("x"), Send(""), Rename("x"), Leave(), Update()])
def test_who_is_no_member_is_refused(command: Command) -> None:
    assert Group().apply(command, 1) == Refused(Reason.NOT_A_MEMBER)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Join("Zoe"), Reason.ALREADY_A_MEMBER),
        (Send(""), Reason.ILLEGAL_TEXT),
        (Send("a\nb"), Reason.ILLEGAL_TEXT),
        (Send("x" * 4_001), Reason.ILLEGAL_TEXT),
        (Rename(""), Reason.ILLEGAL_NAME),
        (Rename("a:b"), Reason.ILLEGAL_NAME),
        (Rename("Bob"), Reason.NAME_IN_USE),
        (Rename("\uff22\uff2f\uff22"), Reason.NAME_IN_USE),
        (Rename("ALICE"), Reason.NAME_IN_USE),
    ],
)
def test_what_is_not_legal_for_a_member_is_refused_and_changes_nothing(
    command: Command, reason: Reason
) -> None:
    group = group_of("Alice", "Bob")
    group.apply(Send("before"), "Bob")
    assert group.apply(command, "Alice") == Refused(reason)
    assert list(group) == ["Bob", "Alice"]
    assert lines(group.apply(Update(), "Alice")) == ["Bob has joined", "Bob: before"]
    assert lines(group.apply(Update(), "Bob")) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", Reason.ILLEGAL_NAME), ("has joined", Reason.ILLEGAL_NAME), ("bOB", Reason.NAME_IN_USE)],
)
def test_who_joins_under_an_impossible_name_is_refused_and_changes_nothing(
    name: str, reason: Reason
) -> None:
    group = group_of("Alice", "Bob")
    assert group.apply(Join(name), "Zoe") == Refused(reason)
    assert "Zoe" not in group
    assert len(group) == 2
    assert lines(group.apply(Update(), "Bob")) == []


def test_a_name_is_free_again_when_its_owner_has_left_or_taken_another() -> None:
    group = group_of("Alice", "Bob", "Charlie")
    group.apply(Leave(), "Alice")
    assert lines(group.apply(Rename("ALICE"), "Bob"))[-1] == "Alice has left the group"
    assert group.apply(Rename("alice"), "Charlie") == Refused(Reason.NAME_IN_USE)
    assert isinstance(group.apply(Rename("bob"), "Charlie"), News)


def test_a_budget_leaves_the_rest_for_the_next_command() -> None:
    group = group_of("Alice", "Bob")
    for text in "abcdef":
        group.apply(Send(text), "Bob")
    assert lines(group.apply(Update(), "Alice", budget=21)) == ["Bob has joined", "Bob: a"]
    assert lines(group.apply(Send("x"), "Alice", budget=14)) == ["Bob: b", "Bob: c"]
    assert lines(group.apply(Rename("y"), "Alice", budget=0)) == ["Bob: d"]
    assert lines(group.apply(Update(), "Alice")) == ["Bob: e", "Bob: f"]
    assert lines(group.apply(Update(), "Bob")) == ["Alice: x", "Alice changed his name to y"]


def test_a_join_is_answered_within_the_budget_and_the_roster_goes_on_later() -> None:
    group = group_of("Al", "Bo", "Cy", "Di", "Ed")
    assert group.apply(Join("Me"), "Me", budget=10) == Roster(("Ed", "Di", "Cy"))
    group.apply(Join("Fay"), "Fay")
    group.apply(Leave(), "Bo")
    assert group.apply(Send("hi"), "Me", budget=10) == Roster(("Al",))
    assert lines(group.apply(Update(), "Me", budget=100)) == [
        "Fay has joined",
        "Bo has left the group",
    ]


@pytest.mark.parametrize(
    ("budget", "counts"),
    [
        (0, [1, 1, 1, 1]),
        (2, [1, 1, 1, 1]),
        (5, [1, 1, 1, 1]),
        (6, [2, 2]),
        (9, [2, 2]),
        (10, [3, 1]),
        (13, [3, 1]),
        (14, [4]),
        (None, [4]),
    ],
)
def test_a_roster_is_cut_between_names(budget: int | None, counts: list[int]) -> None:
    group = group_of("Al", "Bo", "Cy", "Di")
    group.apply(Leave(), "Al")
    group.apply(Join("\u00e9"), "Al")  # two bytes, too
    told = []
    reply = group.apply(Join("Me"), "Me", budget=budget)
    while isinstance(reply, Roster):
        told.append(reply.names)
        reply = group.apply(Update(), "Me", budget=budget)
    assert [len(names) for names in told] == counts
    assert [name for names in told for name in names] == ["\u00e9", "Di", "Cy", "Bo"]
    assert events(reply) == []


def test_when_the_rest_of_the_roster_has_left_news_come_at_once() -> None:
    group = group_of("Al", "Bo", "Cy")
    assert group.apply(Join("Me"), "Me", budget=0) == Roster(("Cy",))
    group.apply(Leave(), "Al")
    group.apply(Leave(), "Bo")
    assert lines(group.apply(Update(), "Me")) == ["Al has left the group", "Bo has left the group"]


def test_a_long_absence_is_kept_for_the_absent_alone() -> None:
    """What nobody waits for any more is forgotten; the rest is read in full, once."""
    group = group_of("Alice", "Bob")
    for count in range(5_000):
        group.apply(Send(f"{count:060}"), "Bob")
    news = events(group.apply(Update(), "Alice"))
    assert [event.position for event in news] == list(range(1, 5_002))
    assert events(group.apply(Update(), "Alice")) == []
    assert group.timeline.start > 4_000


def test_without_a_time_events_are_of_the_year_1970() -> None:
    group = group_of("Alice", "Bob")
    assert events(group.apply(Update(), "Alice")) == [Joined(1, 0, "Bob")]


def test_it_is_the_same_group_whoever_the_senders_are() -> None:
    """Senders are told apart by equality alone."""
    group = Group()
    group.apply(Join("Alice"), ("udp", "::1", 5))
    group.apply(Join("Bob"), b"token")
    group.apply(Send("hi"), b"token")
    assert lines(group.apply(Update(), ("udp", "::1", 5))) == ["Bob has joined", "Bob: hi"]


def test_what_is_no_command_at_all_is_a_mistake_of_the_program() -> None:
    with pytest.raises(AssertionError, match="'5'"):
        group_of("Alice").apply(cast("Command", "5"), "Alice")
