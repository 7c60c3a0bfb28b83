"""The log as a conversation, also where some of it is missing."""

import pytest

from groupchat.core import Command, Join, Leave, News, Rename, Send, Update
from groupchat.core.events import Joined, Left, Renamed, Said
from groupchat.core.pages import NOBODY
from groupchat.core.records import SERVER, Drop, Record
from groupchat.journal.history import Entry, Happened, History, kind_of
from groupchat.journal.rows import State
from tests.journal.making import Keeper, conversation


def tell(history: History, sender: str, *commands: Command | Drop, number: int = 0) -> list[Entry]:
    return list(history.tell(Record(7, sender, 0, commands, None, number)))


def test_each_command_but_an_update_is_an_event() -> None:
    history = History(None)
    assert tell(history, "a", Join("Alice")) == [Entry(Joined(0, 7, "Alice"), "a", 0)]
    assert tell(history, "b", Join("Bob")) == [Entry(Joined(1, 7, "Bob"), "b", 1)]
    assert tell(history, "a", Send("Hi"), Update(), Rename("Al"), Send("it's me")) == [
        Entry(Said(2, 7, "Alice", "Hi"), "a", 0),
        Entry(Renamed(3, 7, "Alice", "Al"), "a", 0),
        Entry(Said(4, 7, "Al", "it's me"), "a", 0),
    ]
    assert tell(history, SERVER, Drop(3)) == []
    assert tell(history, "a", Leave()) == [Entry(Left(5, 7, "Al"), "a", 0)]
    assert history.position == 6
    assert history.members == {"b": ("Bob", 1)}


def test_who_left_and_came_again_is_another_member() -> None:
    history = History(None)
    tell(history, "a", Join("Alice"), Leave())
    (joined, said) = tell(history, "a", Join("Alice"), Send("again"))
    assert (joined.member, said.member) == (2, 2)


def test_it_agrees_with_the_group() -> None:
    """Its events are those of the state machine that the same records drive."""
    one = Keeper()
    conversation(one)
    history = History(None)
    entries = [entry for record in one.records for entry in history.tell(record)]
    group = one.chat.group
    assert [entry.event for entry in entries] == list(News(group.timeline.excerpt(0)))
    assert history.members == {
        str(sender): (member.name, member.joined) for sender, member in group.members.items()
    }
    assert history.numbers == {who: last.number for who, last in one.chat.sessions.items()}
    authors = [author for page in group.timeline.pages for author in page.load().authors]
    assert [entry.author for entry in entries] == authors


def test_it_goes_on_from_a_base() -> None:
    one = Keeper()
    conversation(one)
    history = History(State(12, 0, 15, one.chat.snapshot()))
    assert history.position == 16
    assert history.members == {
        "udp 1": ("Alice", 0),
        "session c": ("Carol", 5),
        "tcp 3 #1": ("Dora", 14),
    }
    assert history.numbers == {"session c": 2}
    assert tell(history, "udp 1", Send("more")) == [Entry(Said(16, 7, "Alice", "more"), "udp 1", 0)]


def test_the_newest_number_of_a_session_counts() -> None:
    history = History(None)
    tell(history, "c", Join("Carol"), number=1)
    tell(history, "c", Send("Hi"), number=4)
    tell(history, "b", Join("Bob"))
    assert history.numbers == {"c": 4}


# Where records are missing.


def test_somebody_whose_name_is_missing_is_shown_by_his_sender() -> None:
    history = History(None)
    (said,) = tell(history, "udp 1", Send("Hi"))
    assert said == Entry(Said(0, 7, "<udp 1>", "Hi"), "udp 1", None, known=False)
    assert said.author == NOBODY
    (left,) = tell(history, "udp 1", Leave())
    assert left == Entry(Left(1, 7, "<udp 1>"), "udp 1", None, known=False)
    assert history.members == {}


def test_a_new_name_tells_who_he_is_from_then_on() -> None:
    history = History(None)
    (renamed, said) = tell(history, "udp 1", Rename("Alice"), Send("Hi"))
    assert renamed == Entry(Renamed(0, 7, "<udp 1>", "Alice"), "udp 1", None, known=False)
    assert said == Entry(Said(1, 7, "Alice", "Hi"), "udp 1", 0)
    assert history.members == {"udp 1": ("Alice", 0)}


@pytest.mark.parametrize(
    ("event", "own"),
    [
        (Said(3, 7, "Alice", "Hi"), 1),
        (Renamed(3, 7, "Alice", "Al"), 1),
        (Joined(3, 7, "Alice"), NOBODY),
        (Left(3, 7, "Alice"), NOBODY),
    ],
)
def test_whose_own_event_it_is(event: Happened, own: int) -> None:
    """To have come and to be gone are nobody's own: who does either is not there to be told."""
    assert Entry(event, "udp 1", 1).author == own
    assert Entry(event, "udp 1", None).author == NOBODY


def test_kinds() -> None:
    events: list[Happened] = [
        Joined(0, 0, "a"),
        Said(0, 0, "a", "b"),
        Renamed(0, 0, "a", "b"),
        Left(0, 0, "a"),
    ]
    assert bytes(map(kind_of, events)) == b"jsrl"
