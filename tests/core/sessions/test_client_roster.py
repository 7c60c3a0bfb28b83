"""Who is here, and what everybody has seen, as a client asks for it."""

import pytest

from groupchat.core.sessions.happenings import Result, Seen, WhoIsHere
from groupchat.core.sessions.listing import MAX_NAMES
from groupchat.core.sessions.replies import Who
from tests.core.sessions.chatter import Chatter, answer, asked, lines, opened
from tests.core.sessions.desk import Desk


def test_who_is_here_is_told_newest_first() -> None:
    desk = Desk()
    for name in ("Bob", "Carol"):
        desk.plain(name)
    chatter = Chatter(desk)
    chatter.client.ask_who()
    assert chatter.ask(b"1 Alice")[1:] == [
        Result(b"1 Alice", "done"),
        WhoIsHere(("Carol", "Bob")),
    ]
    chatter.client.ask_who()
    chatter.client.ask_who()  # once is enough
    assert chatter.pump() == [WhoIsHere(("Carol", "Bob"))]


def test_a_long_list_of_names_is_fetched_in_pieces() -> None:
    desk = Desk()
    for number in range(200):
        desk.plain(f"member number {number}")
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    chatter.client.ask_who()
    (who,) = chatter.pump()
    assert who == WhoIsHere(tuple(f"member number {n}" for n in reversed(range(200))))
    assert len([ask for ask in chatter.asked() if ask.who is not None]) > 2


@pytest.mark.parametrize("before", [9, 10], ids=["again", "backwards"])
def test_a_server_that_tells_names_for_ever_is_not_listened_to(before: int) -> None:
    client = opened()
    client.ask_who()
    assert client.receive(answer(asked(client), who=Who(9, 1), names=("Bob",)), 0) == []
    ask = asked(client)
    assert ask.who == 9
    endless = answer(ask, who=Who(before, 1), names=("Carol",))
    assert client.receive(endless, 0) == [WhoIsHere(("Bob", "Carol"))]


def test_of_those_who_are_here_the_very_first_is_asked_for_too() -> None:
    client = opened()
    client.ask_who()
    assert client.receive(answer(asked(client), who=Who(1, 1), names=("Bob",)), 0) == []
    last = answer(asked(client), who=Who(0, 1), names=("Al",))
    assert client.receive(last, 0) == [WhoIsHere(("Bob", "Al"))]


def test_there_is_a_bound_to_the_names_that_are_kept() -> None:
    client = opened()
    client.ask_who()
    names = tuple(f"{number}" for number in range(MAX_NAMES + 1))
    most = answer(asked(client), who=Who(9, MAX_NAMES), names=names[:MAX_NAMES])
    assert client.receive(most, 0) == []
    one_more = answer(asked(client), who=Who(5, 1), names=names[MAX_NAMES:])
    assert client.receive(one_more, 0) == [WhoIsHere(names)]


def test_an_answer_without_names_to_a_request_made_before_tells_nobody() -> None:
    """What is asked for while a request is under way is answered by the next one."""
    client = opened()
    client.submit(b"5")
    ask = asked(client)
    client.ask_who()
    client.ask_seen()
    assert client.receive(answer(ask, "done"), 0) == [Result(b"5", "done")]
    ask = asked(client)
    assert (ask.who, ask.seen) == (0, True)


def test_whether_all_has_been_seen() -> None:
    desk = Desk()
    chatter = Chatter(desk)
    chatter.ask(b"1 Alice")
    assert chatter.client.said == 0
    other = Chatter(desk)
    other.address = "udp b"
    other.ask(b"1 Bob")
    chatter.ask(b"2 hi", b"3 Zoe")
    assert chatter.client.said == 4

    def seen() -> int:
        chatter.client.ask_seen()
        ((seen,),) = [[h for h in chatter.pump() if isinstance(h, Seen)]]
        assert seen.member
        return seen.position

    assert seen() < chatter.client.said
    assert lines(other.ask(b"5"))[-2:] == [b"Alice: hi", b"Alice changed his name to Zoe"]
    assert seen() < chatter.client.said  # he has it, and we do not know yet
    other.client.acknowledge()
    other.pump()
    assert seen() == chatter.client.said


def test_who_is_not_in_the_group_is_told_that() -> None:
    chatter = Chatter(Desk())
    chatter.client.ask_who()
    chatter.client.ask_seen()
    assert chatter.pump()[1:] == [Seen(0, member=False), WhoIsHere((), member=False)]
    assert chatter.client.idle
