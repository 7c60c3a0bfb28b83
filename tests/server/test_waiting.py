"""Who waits for news: requests that are held until there is some, and what overtakes them."""

import pytest

from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from groupchat.server.audience import MAX_WAIT_SECONDS
from tests.core.sessions.desk import NONCE
from tests.server.listener import Listener, lines
from tests.world import Recorder, SlowJournal, World


@pytest.mark.parametrize("datagram", [True, False])
def test_a_request_that_waits_is_answered_when_there_is_news(
    world: World, bob: Recorder, datagram: bool
) -> None:
    alice = Listener(world, "Alice", datagram)
    alice.waits()
    world.wait(5)
    assert alice.last().results == ("done",)  # nothing new so far
    world.ask(bob, b"2 Hi")
    assert lines(alice.last()) == b"Bob: Hi"
    count = len(alice.peer.replies)
    world.ask(bob, b"2 Ho")
    world.wait(100)
    assert len(alice.peer.replies) == count  # one answer to one request


def test_it_is_answered_at_once_when_there_is_news_already(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    world.ask(bob, b"2 Hi")
    assert alice.asked(alice.next(wait=20)) == alice.last()
    assert lines(alice.last()) == b"Bob: Hi"


@pytest.mark.parametrize(("asked", "waited"), [(1, 1), (20, 20), (60, 60), (10**9, 60)])
def test_when_its_time_is_up_the_answer_is_that_there_is_none(
    world: World, asked: int, waited: int
) -> None:
    assert MAX_WAIT_SECONDS == 60
    alice = Listener(world, "Alice")
    before = len(alice.peer.replies)
    alice.waits(asked)
    world.wait(waited - 0.001)
    assert len(alice.peer.replies) == before
    world.wait(0.001)
    assert len(alice.peer.replies) == before + 1
    assert alice.last() == Answer(2, (), Mark(1), Mark(1), 1)


def test_own_events_wake_nobody(world: World) -> None:
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    zed.asked(zed.next())
    zed.last()
    zed.waits()
    elsewhere = Recorder("tcp zed too")
    world.ask(elsewhere, zed.next(b"2 from the other window").encode())
    assert zed.peer.replies[-1] is None  # overtaken
    zed.mark = Mark(3)
    zed.waits()
    alice.asked(alice.next(b"5"))
    assert len(zed.peer.replies) == 4


def test_what_asks_for_more_than_news_does_not_wait(world: World) -> None:
    alice = Listener(world, "Alice")
    for request in (
        alice.next(b"5", wait=20),
        alice.next(wait=20, who=True),
        Ask(alice.token, 90, alice.mark, wait=20, seen=True),
    ):
        assert alice.asked(request) == alice.last()
        assert alice.last().number == request.number


def test_the_next_request_overtakes_one_that_waits_which_gets_no_reply(world: World) -> None:
    alice = Listener(world, "Alice")
    alice.waits()
    alice.asked(alice.next(b"2 Hi"))
    assert alice.peer.replies[-2] is None
    assert alice.last().results == ("done",)
    count = len(alice.peer.replies)
    world.wait(30)
    assert len(alice.peer.replies) == count


def test_a_repeat_of_one_that_waits_takes_its_place(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice", datagram=True)
    alice.waits()
    alice.asked(Ask(alice.token, alice.number, alice.mark, wait=20, tries=2))
    assert alice.peer.replies[-1] is None
    world.ask(bob, b"2 Hi")
    assert alice.last().tries == 2
    assert lines(alice.last()) == b"Bob: Hi"
    assert len(alice.peer.replies) == 5


def test_a_late_copy_by_an_older_connection_does_not_take_its_place(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    first = alice.redials()
    request = alice.next(wait=20)
    alice.asked(request)
    world.ask(first, request.encode())
    assert (len(first.replies), alice.peer.replies) == (3, [])  # and is answered at once
    world.ask(bob, b"2 Hi")
    assert lines(alice.last()) == b"Bob: Hi"


def test_who_is_gone_waits_no_more(world: World, bob: Recorder) -> None:
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    for listener in (alice, zed):
        listener.asked(listener.next())
        listener.last()
        assert world.server.come(listener.peer).wanted
        listener.waits()
    counts = [len(listener.peer.replies) for listener in (alice, zed)]
    world.server.gone(alice.peer)
    world.ask(bob, b"2 Hi")
    world.wait(30)
    assert [len(alice.peer.replies), len(zed.peer.replies)] == [counts[0], counts[1] + 1]


def test_who_is_sent_away_while_he_waits_hears_so_when_he_asks_something() -> None:
    world = World(limits=Limits(idle=30))
    alice = Listener(world, "Alice")
    alice.waits(50)
    world.wait(45)
    assert not world.journal.chat.group.members
    assert alice.last().results == ("done",)  # as yet, nothing new
    world.wait(10)
    assert alice.last() == Answer(2, (), Mark(1), Mark(1), 1, outside=True)
    assert alice.ask(b"2 Hi").results == ("not-a-member",)


def test_on_one_connection_whatever_is_asked_next_overtakes_what_waits(
    world: World, bob: Recorder
) -> None:
    """Replies come in the order of the requests, whosever they are."""
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    zed.peer = alice.peer
    alice.asked(alice.next())
    alice.last()
    for request in (b"nonsense", zed.next(b"5").encode(), b"@nonsense"):
        alice.waits()
        count = len(alice.peer.replies)
        world.ask(alice.peer, request)
        assert len(alice.peer.replies) == count + 2
        assert alice.peer.replies[-2] is None
    alice.waits()
    zed.asked(zed.next(wait=20))
    assert alice.peer.replies[-1] is None  # one waits on one connection
    count = len(alice.peer.replies)
    world.ask(bob, b"2 Hi")
    world.wait(30)
    assert len(alice.peer.replies) == count + 1
    assert zed.last().number == zed.number


def test_who_asks_and_is_gone_before_he_is_answered_leaves_nothing_behind(world: World) -> None:
    alice = Listener(world, "Alice")
    assert world.server.come(alice.peer).wanted
    alice.peer.replies.clear()
    for request in (alice.next(follow=True), alice.next(wait=50)):
        world.server.receive(request.encode(), alice.peer)
    world.server.gone(alice.peer)
    world.turn()
    count = len(alice.peer.replies)
    bob = Recorder("tcp bob")
    world.ask(bob, b"1 Bob", b"2 Hi")
    world.wait(60)
    assert (len(alice.peer.replies), alice.peer.pushed) == (count, [])


def test_of_what_one_session_asks_on_one_connection_at_once_the_last_is_answered(
    world: World,
) -> None:
    """All of it is carried out. A client waits for the answer before it asks for more."""
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    alice.peer.replies.clear()
    zed.peer = alice.peer
    for who, command in ((alice, b"2 a"), (zed, b"2 b"), (alice, b"2 c"), (alice, b"2 d")):
        world.server.receive(who.next(command).encode(), alice.peer)
    world.turn()
    answers = [
        reply and (decode_reply(reply, alice.token) or decode_reply(reply, zed.token))
        for reply in alice.peer.replies
    ]
    assert [answer and answer.number for answer in answers] == [None, 2, None, 4]  # type: ignore[union-attr]
    assert lines(zed.ask(b"5")) == b"Alice: a|Alice: c|Alice: d"


def test_a_repeat_by_another_connection_is_answered_there() -> None:
    """The first may have ended with the answer on its way."""
    journal = SlowJournal()
    world = World(journal)
    first, second = Recorder("tcp a #1"), Recorder("tcp a #2")
    opened = decode_reply(world.ask(first, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    request = Ask(opened.token, 1, Mark(0), (b"1 Alice",))
    world.server.receive(request.encode(), first)
    world.server.receive(request.encode(), second)
    world.server.receive(b"5", second)
    world.turn()
    assert [len(batch) for batch in journal.batches] == [1]
    journal.written()
    assert decode_reply(second.replies[0] or b"", opened.token) == Answer(
        1, ("done",), Mark(1), Mark(1), 1
    )
    assert second.replies == [first.replies[-1], b"Illegal request"]
