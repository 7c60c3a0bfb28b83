"""How far a member has come: written down as one number, put back, and never moved back."""

import pytest

from groupchat.core import (
    Command,
    Group,
    Join,
    Joined,
    Leave,
    News,
    Refused,
    Removed,
    Rename,
    Reply,
    Roster,
    Said,
    Send,
    Update,
    encode,
)
from groupchat.core.group import Draft, Member
from groupchat.core.timeline import Timeline


def group_of(*names: str, page_bytes: int = 65_536) -> Group:
    """Return a group whose members are called *names* and are known by them as senders."""
    group = Group(Timeline(page_bytes))
    for name in names:
        assert isinstance(group.apply(Join(name), name), Roster)
    return group


def shown(reply: Reply) -> str:
    return b"".join(encode(reply)).decode()


def test_it_is_the_position_of_what_he_has_not_had() -> None:
    group = group_of("Al", "Bo")
    assert [group.standing("Al"), group.standing("Bo")] == [1, 2]
    group.apply(Send("hi"), "Bo")
    assert [group.standing("Al"), group.standing("Bo")] == [1, 3]
    group.apply(Update(), "Al")
    assert [group.standing("Al"), group.standing("Bo")] == [3, 3]


def test_while_he_is_told_who_is_here_it_is_how_far_that_has_come() -> None:
    group = group_of("Al", "Bo", "Cy")
    assert shown(group.apply(Join("Me"), "Me", budget=-1)) == ""
    standings = [group.standing("Me")]
    while isinstance(reply := group.apply(Update(), "Me", budget=0), Roster):
        standings.append(group.standing("Me"))
        assert len(reply.names) == 1
    assert standings == [-4, -3, -2, 4]
    assert group.standing("Me") == 4


def test_whether_there_is_anything_to_tell_him() -> None:
    group = group_of("Al", "Bo")
    assert [group.has_news("Al"), group.has_news("Bo")] == [True, False]
    group.apply(Update(), "Al")
    assert [group.has_news("Al"), group.has_news("Bo")] == [False, False]
    group.apply(Join("Me"), "Me", budget=-1)
    assert group.has_news("Me")  # who is here


@pytest.mark.parametrize("updates", range(6))
def test_a_member_who_is_put_where_another_stood_hears_the_same_from_there(updates: int) -> None:
    """Of the two groups, only one has carried out his updates."""
    one, other = group_of("Al", "Bo", "Cy"), group_of("Al", "Bo", "Cy")
    for group in (one, other):
        group.apply(Join("Me"), "Me", budget=0)
        for text in ("a", "b"):
            group.apply(Send(text), "Al")
    for _ in range(updates):
        one.apply(Update(), "Me", budget=0)
    other.stand("Me", one.standing("Me"))
    assert other.standing("Me") == one.standing("Me")
    for _ in range(6):
        reply = one.apply(Update(), "Me", budget=0)
        assert shown(other.apply(Update(), "Me", budget=0)) == shown(reply)


def test_nobody_goes_back() -> None:
    group = group_of("Al", "Bo", "Cy")
    group.apply(Send("hi"), "Al")
    group.stand("Bo", 3)
    for standing in (2, 0, -1, -2):
        group.stand("Bo", standing)
        assert group.standing("Bo") == 3
    group.apply(Join("Me"), "Me", budget=0)  # now Bo and Al are left to be told
    group.stand("Me", -4)
    assert group.standing("Me") == -3
    for standing in (3, 4):  # from before he came, and was told of anybody
        group.stand("Me", standing)
        assert group.standing("Me") == -3
    group.stand("Me", -2)
    assert shown(group.apply(Update(), "Me")) == "Al"


def test_nobody_goes_beyond_the_end() -> None:
    group = group_of("Al", "Bo")
    group.stand("Al", 3)
    assert group.standing("Al") == 1
    group.stand("Al", 2)
    assert group.standing("Al") == 2
    assert shown(group.apply(Update(), "Al")) == ""


def test_who_stands_past_his_join_has_been_told_who_was_there() -> None:
    group = group_of("Al", "Bo")
    group.apply(Join("Me"), "Me", budget=-1)
    group.stand("Me", 3)
    assert shown(group.apply(Update(), "Me")) == ""


def test_with_a_budget_below_zero_nobody_is_told_anything_and_it_waits() -> None:
    group = group_of("Al", "Bo")
    assert shown(group.apply(Join("Me"), "Me", budget=-1)) == ""
    group.apply(Send("hi"), "Al")
    for command in (Send("x"), Rename("Mo"), Update()):
        assert shown(group.apply(command, "Me", budget=-1)) == ""
    assert shown(group.apply(Update(), "Me")) == "Bo, Al"
    assert shown(group.apply(Update(), "Me")) == "Al: hi"
    assert isinstance(group.apply(Leave(), "Me", budget=-1), News)


def test_who_is_put_back_is_in_the_group_as_he_was() -> None:
    before = group_of("Al", "Bo", "Cy")
    before.apply(Send("hi"), "Cy")
    before.apply(Update(), "Bo")
    after = Group(before.timeline)
    for sender, member in before.members.items():
        after.admit(sender, Member(member.name, member.joined, member.cursor, member.untold))
    assert list(after) == list(before) == ["Cy", "Bo", "Al"]
    assert after.apply(Join("AL"), "x") == before.apply(Join("AL"), "x")
    assert after.is_taken("al")
    assert shown(after.apply(Update(), "Al")) == "Bo has joined\nCy has joined\nCy: hi"
    assert shown(after.apply(Update(), "Bo")) == ""
    after.apply(Leave(), "Bo")
    assert list(after) == ["Cy", "Al"]
    assert not after.is_taken("bo")


@pytest.mark.parametrize(
    ("budget", "rosters"),
    [(None, ["Di Cy Bo Al"]), (0, ["Di", "Cy", "Bo", "Al"]), (10, ["Di Cy Bo", "Al"])],
)
def test_the_roster_can_be_had_piece_by_piece(budget: int | None, rosters: list[str]) -> None:
    group = group_of("Al", "Bo", "Cy", "Di")
    had, before = [], group.timeline.end
    while before:
        members, before = group.roster(before, budget)
        had.append(" ".join(member.name for member in members))
    assert had == rosters
    assert group.roster(2, budget=99) == ([group.members["Bo"], group.members["Al"]], 0)
    assert group.roster(0) == ([], 0)


def test_what_no_draft_has_accepted_is_a_lookup_error() -> None:
    group = group_of("Al")
    with pytest.raises(LookupError, match="Al is a member already"):
        group.carry_out(Join("Zed"), "Al", 0)
    nobody_s: list[Command] = [Send("x"), Rename("Zed"), Leave(), Update()]
    for command in nobody_s:
        with pytest.raises(LookupError):
            group.carry_out(command, "x", 0)
    assert list(group) == ["Al"]
    assert group.timeline.end == 1


def test_names_that_become_the_same_with_a_newer_python_do_not_stop_a_replay() -> None:
    """They were different when the log took them; here, two that are the same stand for them."""
    group = Group()
    group.carry_out(Join("Alice"), 1, 0)
    group.carry_out(Join("ALICE"), 2, 0)
    group.carry_out(Rename("alice"), 2, 0)
    group.carry_out(Leave(), 1, 0)
    assert isinstance(Draft(group).accept(Join("aLICE"), 3), Refused)
    group.carry_out(Rename("Bob"), 2, 0)
    assert Draft(group).accept(Join("aLICE"), 3) == Join("aLICE")
    group.carry_out(Leave(), 2, 0)
    assert Draft(group).accept(Join("bob"), 3) == Join("bob")


def crowded(budget: int | None) -> list[str]:
    """Return what Al is told who has missed eight lines, of which five were dropped."""
    group = group_of("Al", "Bo", page_bytes=1)
    for text in "abcdefg":
        group.apply(Send(text), "Bo", time=5)
    group.timeline.drop(6, time=9)
    news = [shown(group.apply(Update(), "Al", budget=budget)) for _ in range(4)]
    assert shown(group.apply(Update(), "Al")) == ""
    return news


def test_who_was_away_when_old_events_were_dropped_is_told_how_many() -> None:
    group = group_of("Al", "Bo", page_bytes=1)
    for text in "abc":
        group.apply(Send(text), "Bo", time=5)
    group.timeline.drop(4, time=9)
    group.apply(Join("Cy"), "Cy", time=10)
    news = group.apply(Update(), "Al")
    assert isinstance(news, News)
    assert list(news) == [Removed(3, 9, 3), Said(4, 5, "Bo", "c"), Joined(5, 10, "Cy")]
    assert shown(group.apply(Update(), "Al")) == ""


NOTICE = "(5 older events are not kept on this server)"


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (None, [f"{NOTICE}\nBo: e\nBo: f\nBo: g", "", "", ""]),
        (len(NOTICE) + 12, [f"{NOTICE}\nBo: e\nBo: f", "Bo: g", "", ""]),
        (len(NOTICE) + 11, [f"{NOTICE}\nBo: e", "Bo: f\nBo: g", "", ""]),
        (len(NOTICE) + 6, [f"{NOTICE}\nBo: e", "Bo: f\nBo: g", "", ""]),
        (len(NOTICE) + 5, [NOTICE, "Bo: e\nBo: f\nBo: g", "", ""]),
        (0, [NOTICE, "Bo: e", "Bo: f", "Bo: g"]),
    ],
)
def test_that_notice_is_a_line_like_others_to_a_budget(budget: int | None, told: list[str]) -> None:
    assert crowded(budget) == told
