"""The draft: a whole batch judged before the first of its commands is carried out."""

from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import (
    Command,
    Group,
    Join,
    Leave,
    Reason,
    Refused,
    Rename,
    Reply,
    Roster,
    Send,
    Update,
    encode,
)
from groupchat.core.group import Draft
from tests.core.strategies import commands

Request = tuple[int, Command]
requests = st.lists(st.tuples(st.integers(0, 4), commands), max_size=12)


def state(group: Group) -> object:
    """Return all that can be told apart of *group*."""
    members = [
        (sender, m.name, m.joined, m.untold, m.cursor.position, m.cursor.author)
        for sender, m in group.members.items()
    ]
    page = group.timeline.pages[-1].load()
    return members, list(group), bytes(page.lines), list(page.times), list(page.authors)


def shown(reply: Reply) -> tuple[type[Reply], bytes]:
    return type(reply), b"".join(encode(reply))


@given(requests, requests, st.none() | st.integers(0, 4), st.none() | st.integers(0, 60))
@example([], [(0, Join("Al")), (1, Join("AL")), (0, Leave()), (1, Join("AL"))], 1, None)
@example([(0, Join("A"))], [(0, Rename("B")), (1, Join("A")), (1, Rename("B"))], None, None)
@example([(0, Join("A"))], [(0, Leave()), (0, Send("x")), (0, Join("A")), (0, Update())], 1, 0)
def test_a_batch_is_judged_as_if_its_commands_were_carried_out_one_by_one(
    before: list[Request], batch: list[Request], capacity: int | None, budget: int | None
) -> None:
    one_by_one, together = Group(capacity=capacity), Group(capacity=capacity)
    for sender, command in before:
        for group in (one_by_one, together):
            group.apply(command, sender, time=1, budget=budget)
    unchanged = state(together)
    draft = Draft(together)
    verdicts = [draft.accept(command, sender) for sender, command in batch]
    assert state(together) == unchanged
    for time, ((sender, command), verdict) in enumerate(zip(batch, verdicts, strict=True), 2):
        expected = one_by_one.apply(command, sender, time=time, budget=budget)
        if isinstance(verdict, Refused):
            assert verdict == expected
            continue
        together.carry_out(verdict, sender, time)
        assert shown(together.reply(verdict, sender, budget)) == shown(expected)
        assert state(together) == state(one_by_one)
    assert state(together) == state(one_by_one)


def judged(group: Group, *batch: tuple[str, Command]) -> list[Command | Reason]:
    """Return what one draft for *group* says to a batch."""
    draft = Draft(group)
    verdicts = [draft.accept(command, sender) for sender, command in batch]
    return [v.reason if isinstance(v, Refused) else v for v in verdicts]


def test_what_is_accepted_is_as_the_group_will_keep_it() -> None:
    assert judged(
        Group(), ("a", Join("  Al   B ")), ("a", Rename("Ame\u0301lie")), ("a", Send(" x "))
    ) == [Join("Al B"), Rename("Am\u00e9lie"), Send(" x ")]


def test_a_name_can_go_from_hand_to_hand_within_a_batch() -> None:
    group = Group()
    group.apply(Join("Al"), "a")
    group.apply(Join("Bo"), "b")
    assert judged(
        group,
        ("b", Rename("al")),  # not yet
        ("a", Rename("Cy")),
        ("b", Rename("al")),
        ("a", Rename("BO")),
        ("c", Join("AL")),  # Bo has it now
        ("b", Leave()),
        ("c", Join("AL")),
    ) == [
        Reason.NAME_IN_USE,
        Rename("Cy"),
        Rename("al"),
        Rename("BO"),
        Reason.NAME_IN_USE,
        Leave(),
        Join("AL"),
    ]


def test_who_comes_or_goes_within_a_batch_is_in_or_out_for_the_rest_of_it() -> None:
    assert judged(
        Group(),
        ("a", Send("x")),
        ("a", Join("Al")),
        ("a", Join("Al")),
        ("a", Send("")),
        ("a", Update()),
        ("a", Leave()),
        ("a", Update()),
        ("a", Leave()),
    ) == [
        Reason.NOT_A_MEMBER,
        Join("Al"),
        Reason.ALREADY_A_MEMBER,
        Reason.ILLEGAL_TEXT,
        Update(),
        Leave(),
        Reason.NOT_A_MEMBER,
        Reason.NOT_A_MEMBER,
    ]


def test_a_full_group_takes_nobody_until_somebody_has_left() -> None:
    group = Group(capacity=2)
    group.apply(Join("Al"), "a")
    assert judged(
        group,
        ("b", Join("Bo")),
        ("c", Join("Cy")),
        ("c", Join("a:b")),
        ("c", Join("AL")),
        ("a", Leave()),
        ("c", Join("Cy")),
        ("a", Join("Al")),
        ("b", Leave()),
        ("c", Leave()),
        ("a", Join("Al")),
        ("b", Join("Bo")),
    ) == [
        Join("Bo"),
        Reason.GROUP_IS_FULL,
        Reason.ILLEGAL_NAME,
        Reason.NAME_IN_USE,
        Leave(),
        Join("Cy"),
        Reason.GROUP_IS_FULL,
        Leave(),
        Leave(),
        Join("Al"),
        Join("Bo"),
    ]
    assert group.apply(Join("Bo"), "b") == Roster(("Al",))
    assert group.apply(Join("Cy"), "c") == Refused(Reason.GROUP_IS_FULL)
