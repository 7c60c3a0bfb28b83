"""Who is here, and how far everybody has come (S6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core import MAX_NAME_CHARACTERS
from groupchat.core.sessions import answers
from groupchat.core.sessions.replies import Answer, Who
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import Desk, Visitor, al


def test_who_is_here_is_everybody_else_the_newest_first() -> None:
    visitor = al()
    visitor.desk.plain("Bo", "hi")
    visitor.desk.plain("Cy")
    answer = visitor.ask(who=0)
    assert (answer.who, answer.names) == (Who(0, 2), ("Cy", "Bo"))
    assert answer.body.count(b"\n") == 3
    assert visitor.ask().names == ()
    assert visitor.ask(who=1) == Answer(4, (), Mark(4), Mark(4), 4, Who(0, 0))
    assert Visitor(visitor.desk, "udp z").open().joined("Di").ask(who=0).names == ("Cy", "Bo", "Al")


def crowd(visitor: Visitor, count: int) -> list[str]:
    """Have so many join whose names are as long as can be, and return these."""
    names = [f"{number:03}".ljust(MAX_NAME_CHARACTERS, "\u20ac") for number in range(count)]
    for name in names:
        visitor.desk.plain(name)
    return names


def names_in_answers(visitor: Visitor) -> tuple[list[tuple[str, ...]], list[bytes]]:
    """Return the names of one answer after the other, to the last, and their news."""
    names: list[tuple[str, ...]] = []
    news: list[bytes] = []
    before = 0
    while before or not names:
        answer = visitor.ask(who=before)
        assert answer.who is not None
        assert answer.who.count == len(answer.names)
        names.append(answer.names)
        news.append(answer.body)
        before = answer.who.before
    return names, news


@pytest.mark.parametrize("datagram", [1_200, 65_507, None])
def test_a_long_list_comes_in_several_answers(datagram: int | None) -> None:
    visitor = al(datagram=datagram)
    everybody = crowd(visitor, 30)
    names, news = names_in_answers(visitor)
    assert [name for some in names for name in some] == everybody[::-1]
    assert len(names) == (3 if datagram else 1)
    if datagram:
        assert news[0] == b""  # names first, where both do not fit


def test_even_on_a_stream_so_many_names_are_looked_at_for_one_answer_and_no_more() -> None:
    visitor = al(datagram=None)
    everybody = crowd(visitor, 400)
    names, news = names_in_answers(visitor)
    assert [name for some in names for name in some] == everybody[::-1]
    assert [len(some) for some in names] == [178, 178, 44]
    assert news[0].count(b"\n") == 400


def test_on_a_stream_a_line_is_whole_whatever_names_stand_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "STREAM_REPLY_BYTES", 500)
    visitor = al(datagram=None)
    visitor.desk.plain("Bo", "x" * 4_000)
    visitor.ask()
    answer = visitor.ask(who=0)
    assert (answer.names, answer.begin, answer.stop) == (("Bo",), Mark(2), Mark(3))
    assert len(answer.body) == 4_017


def test_while_names_fill_the_datagrams_no_news_is_lost() -> None:
    visitor = al(page_bytes=1)
    for number in range(60):
        visitor.desk.plain(f"{number:032}")
    visitor.desk.drop(20)
    names_in_answers(visitor)
    assert visitor.read_all()[0].endswith(b"x (19 older events are not kept on this server)")
    assert visitor.told[1:] == visitor.desk.lines()


@given(
    st.integers(0, 45), st.integers(1, 32), st.integers(0, 40), st.integers(1, 16), st.booleans()
)
def test_no_answer_is_longer_than_a_datagram(
    members: int, letters: int, texts: int, commands: int, dropped: bool
) -> None:
    """Whatever it has to tell at once; the desk looks at that."""
    visitor = al(page_bytes=1)
    visitor.desk.keep()
    for number in range(members):
        visitor.desk.plain(f"{number:03}".ljust(letters, "x"))
    visitor.desk.plain("Bo", *["x" * 10] * texts)
    if dropped:
        visitor.desk.drop(texts // 2)
    answer = visitor.ask(*[b"1 Al"] * commands, who=0, seen=True, tries=99)
    assert answer.results == ("already-a-member",) * commands
    assert answer.names
    names_in_answers(visitor)
    assert visitor.read_all()[-1] == visitor.desk.lines()[-1]


def test_how_far_everybody_else_has_come() -> None:
    desk = Desk()
    one, other = Visitor(desk).open().joined("Al"), Visitor(desk, "udp b").open().joined("Bo")
    assert one.ask(b"2 hi", seen=True).seen == 2
    assert one.ask().seen is None
    other.ask()
    assert one.ask(seen=True).seen == 2  # told, but not acknowledged
    other.ask()
    assert one.ask(seen=True).seen == 3
    other.ask(b"4")
    assert one.ask(seen=True).seen == 4  # nobody else is left
