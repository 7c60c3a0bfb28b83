"""Readers who are slow: an answer, or a push, is made when it is read."""

import pytest

from groupchat.core.sessions.replies import Answer, decode_reply
from groupchat.core.sessions.wire import Mark
from tests.server.listener import Listener, lines
from tests.world import Recorder, Slow, World


def slow(listener: Listener) -> Slow:
    """Have *listener* go on by a connection that it is slow to read from."""
    peer = Slow("tcp slow")
    listener.peer = peer
    return peer


def follows(listener: Listener) -> Slow:
    """The same, and have *listener* follow by it, who has read what there was."""
    peer = slow(listener)
    listener.asked(listener.next(follow=True))
    peer.read()
    listener.last()
    return peer


def test_an_answer_is_made_when_it_is_read(world: World, bob: Recorder) -> None:
    """Else one who asks and reads nothing could have the server keep any number of them."""
    alice = Listener(world, "Alice")
    peer = slow(alice)
    alice.asked(alice.next(b"2 own"))
    world.ask(bob, b"2 one", b"2 two")
    assert not peer.replies
    peer.read()
    answer = alice.last()
    assert (answer.results, lines(answer)) == (("done",), b"Bob: one|Bob: two")
    assert answer.stop == Mark(5)


def test_what_came_of_a_request_stays_what_it_was_and_who_has_left_is_told_no_news(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    peer = slow(alice)
    alice.asked(alice.next(b"2 own", follow=True))
    elsewhere = Recorder("udp elsewhere")
    world.ask(elsewhere, alice.next(b"4").encode())
    world.ask(bob, b"2 one")
    peer.read()
    world.turn()
    assert decode_reply(peer.replies[-1] or b"", alice.token) == Answer(
        2, ("done",), Mark(2), Mark(2), 2, outside=True
    )
    assert not peer.pushed


def test_while_an_answer_is_not_read_nothing_is_pushed_and_then_the_rest_is(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    peer = slow(alice)
    alice.asked(alice.next(follow=True))
    world.ask(bob, *[b"2 " + b"x" * 4_000] * 100)
    assert len(peer.unread) == 1
    peer.read()
    told = lines(alice.last()).count(b"|") + 1
    assert not peer.unread
    world.turn()
    assert len(peer.unread) == 1
    world.ask(bob, b"2 last")
    peer.read()
    assert told + alice.pushes()[0].count(b"|") + 1 == 101
    assert alice.pushes()[0].endswith(b"|Bob: last")


def test_a_push_is_made_when_it_is_read_and_an_answer_after_it_does_not_repeat_it(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    peer = slow(alice)
    alice.asked(alice.next(follow=True))
    peer.read()
    mark = alice.last().stop
    for text in (b"2 one", b"2 two"):
        world.ask(bob, text)
        assert len(peer.unread) == 1
    alice.asked(alice.next(b"5"))
    world.ask(bob, b"2 three")
    peer.read()
    assert alice.pushes() == [b"Bob: one|Bob: two|Bob: three"]
    answer = alice.last()
    assert (answer.begin, lines(answer)) == (Mark(mark.position + 3), b"")


def test_who_has_left_when_a_push_is_read_is_told_nothing(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    peer = slow(alice)
    alice.asked(alice.next(follow=True))
    peer.read()
    world.ask(bob, b"2 one")
    world.ask(Recorder("udp elsewhere"), alice.next(b"4").encode())
    peer.read()
    world.ask(bob, b"2 two")
    peer.read()
    assert not peer.pushed


def test_who_has_come_farther_by_another_way_is_told_there_alone(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    peer = follows(alice)
    world.ask(bob, b"2 one")
    alice.peer = Recorder("tcp elsewhere")
    assert lines(alice.ask()) == b"Bob: one"
    peer.read()
    assert not peer.pushed


@pytest.mark.parametrize("ahead", [1, 2])
def test_who_has_come_farther_takes_nothing_from_those_who_have_not(
    world: World, bob: Recorder, ahead: int
) -> None:
    """What all are told who stand at one place is made once; but not for one who stands there by a
    connection alone, and has acknowledged more than he was told by it."""
    alice, carol = Listener(world, "Alice"), Listener(world, "Carol")
    peers = [follows(alice), follows(carol)]
    for text in (b"2 one", b"2 two"):
        world.ask(bob, text)
    alice.mark = Mark(carol.mark.position + ahead)
    alice.asked(alice.next(b"5"))
    world.ask(bob, b"2 three")
    for peer in peers:
        peer.read()
    assert carol.pushes() == [b"Bob: one|Bob: two|Bob: three"]


def test_what_waits_to_be_read_when_a_server_stops_is_made_all_the_same_and_nothing_more(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    peer = follows(alice)
    world.server.receive(b"2 last", bob)
    world.server.stop(lambda: None)
    world.turn()
    peer.read()
    assert alice.pushes() == [b"Bob: last"]
    world.takes_more(peer)
    assert not peer.unread
