"""Who follows: connections that are told unasked, one message at a time."""

from collections.abc import Callable, Iterable

import pytest

from groupchat.core.sessions import answers
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from tests.core.sessions.desk import NONCE
from tests.server.listener import Listener, lines
from tests.world import Recorder, World


def following(world: World, name: str) -> Listener:
    listener = Listener(world, name)
    listener.ask(follow=True)
    return listener


def test_who_follows_is_told_unasked_one_message_at_a_time(world: World, bob: Recorder) -> None:
    alice = following(world, "Alice")
    assert not alice.peer.pushed
    world.ask(bob, b"2 one")
    assert alice.pushes() == [b"Bob: one"]
    world.ask(bob, b"2 two")
    world.ask(bob, b"2 three")
    assert len(alice.peer.pushed) == 1  # he has not taken the first
    world.takes_more(alice.peer)
    assert alice.pushes()[1:] == [b"Bob: two|Bob: three"]
    world.takes_more(alice.peer)
    assert len(alice.peer.pushed) == 2
    world.ask(bob, b"2 four")
    assert alice.pushes()[2:] == [b"Bob: four"]


def test_what_there_was_before_he_followed_is_in_the_answer(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    world.ask(bob, b"2 one")
    assert lines(alice.ask(follow=True)) == b"Bob: one"
    assert not alice.peer.pushed


def test_what_does_not_fit_the_answer_follows_it_at_once(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    world.ask(bob, *[b"2 " + b"x" * 4_000] * 100)
    answer = alice.ask(follow=True)
    assert answer.stop < Mark(answer.end)
    world.turn()
    assert len(alice.peer.pushed) == 1
    told = lines(answer).count(b"|") + alice.pushes()[0].count(b"|") + 2
    assert told == 100


def test_while_one_message_is_under_way_also_an_answer_is_followed_by_no_other(
    world: World, bob: Recorder
) -> None:
    alice = following(world, "Alice")
    world.ask(bob, b"2 one")
    world.ask(bob, *[b"2 " + b"x" * 4_000] * 100)
    answer = alice.ask(b"5")
    assert answer.stop < Mark(answer.end)
    assert len(alice.peer.pushed) == 1
    world.takes_more(alice.peer)
    assert len(alice.peer.pushed) == 2
    assert lines(answer).count(b"|") + alice.pushes()[1].count(b"|") + 2 == 100


def test_own_events_are_not_pushed_but_passed(
    world: World, bob: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = following(world, "Alice")
    assert alice.ask(b"2 own").results == ("done",)
    assert not alice.peer.pushed
    monkeypatch.setattr(answers, "STREAM_REPLY_BYTES", 150)  # names leave no room for news
    answer = alice.ask(b"2 own", who=True)
    assert (answer.names, answer.stop) == (("Bob",), alice.mark)
    assert answer.stop < Mark(answer.end)
    assert not alice.peer.pushed
    world.ask(bob, b"2 one")
    assert alice.pushes() == [b"Bob: one"]


def test_an_answer_does_not_repeat_what_is_on_its_way(world: World, bob: Recorder) -> None:
    """What was pushed arrives before it: they come by one connection."""
    alice = following(world, "Alice")
    world.ask(bob, b"2 one")
    assert alice.mark == Mark(2)
    answer = alice.ask(b"2 own")
    assert (answer.begin, answer.stop, lines(answer)) == (Mark(3), Mark(4), b"")


def test_while_he_takes_nothing_an_answer_goes_ahead_and_pushing_goes_on_after_it(
    world: World, bob: Recorder
) -> None:
    alice = following(world, "Alice")
    world.ask(bob, b"2 one")
    world.ask(bob, b"2 two")
    assert lines(alice.ask(b"5")) == b"Bob: two"
    world.ask(bob, b"2 three")
    assert len(alice.peer.pushed) == 1
    world.takes_more(alice.peer)
    assert alice.pushes() == [b"Bob: one", b"Bob: three"]


def test_who_follows_and_waits_is_told_once(world: World, bob: Recorder) -> None:
    alice = following(world, "Alice")
    alice.waits()
    world.ask(bob, b"2 one")
    assert lines(alice.last()) == b"Bob: one"
    world.ask(bob, b"2 two")
    assert alice.pushes() == [b"Bob: two"]


def test_who_waits_by_another_way_than_he_follows_is_followed_no_more(
    world: World, bob: Recorder
) -> None:
    alice = following(world, "Alice")
    first, alice.peer = alice.peer, Recorder("tcp elsewhere")
    alice.waits()
    world.ask(bob, b"2 one")
    assert lines(alice.last()) == b"Bob: one"
    world.ask(bob, b"2 two")
    assert not first.pushed
    assert not alice.peer.pushed


def test_who_asks_by_another_way_is_followed_no_more_by_the_first(
    world: World, bob: Recorder
) -> None:
    alice = following(world, "Alice")
    world.ask(bob, b"2 one")
    first, alice.peer = alice.peer, Recorder("tcp elsewhere")
    assert lines(alice.ask()) == b"Bob: one"  # for nobody knows whether it arrived
    world.ask(bob, b"2 two")
    world.takes_more(first)
    assert (len(first.pushed), len(alice.peer.pushed)) == (1, 0)
    assert lines(alice.ask(follow=True)) == b"Bob: two"
    world.ask(bob, b"2 three")
    assert alice.pushes() == [b"Bob: three"]
    assert len(first.pushed) == 1


def test_a_late_copy_by_an_older_connection_does_not_end_following(
    world: World, bob: Recorder
) -> None:
    """That one has been given up, and so nobody would notice."""
    alice = Listener(world, "Alice")
    first = alice.redials()
    request = alice.next(b"2 hi", follow=True)
    alice.asked(request)
    world.ask(first, request.encode())
    world.ask(bob, b"2 one")
    assert (alice.pushes(), first.pushed) == ([b"Bob: one"], [])
    answer = decode_reply(first.replies[-1] or b"", alice.token)
    assert isinstance(answer, Answer)
    assert answer.results == ("done",)
    stray = Recorder("udp elsewhere", 65_507)
    world.ask(stray, request.encode())
    world.ask(bob, b"2 two")
    assert (len(alice.peer.pushed), first.pushed, stray.pushed) == (1, [], [])
    world.takes_more(alice.peer)
    assert alice.pushes() == [b"Bob: one", b"Bob: two"]
    world.server.gone(alice.peer)
    world.ask(first, request.encode())  # then it is the way that he has
    world.ask(bob, b"2 three")
    assert len(first.pushed) == 1


def test_a_late_copy_does_not_end_the_connection_that_follows() -> None:
    world = World(limits=Limits(silence=5))
    alice = Listener(world, "Alice")
    first = alice.redials()
    request = alice.next(follow=True)
    alice.asked(request)
    world.ask(first, request.encode())
    world.server.gone(first)
    world.wait(20)
    assert not alice.peer.closed


def test_a_late_copy_of_a_request_that_waited_does_not_end_following(
    world: World, bob: Recorder
) -> None:
    alice = Listener(world, "Alice")
    first = alice.redials()
    alice.ask(follow=True)
    request = alice.next(wait=20, follow=True)
    alice.asked(request)
    world.ask(alice.peer, b"5")  # overtakes it
    world.ask(first, request.encode())
    world.ask(bob, b"2 one")
    assert (alice.pushes(), first.pushed) == ([b"Bob: one"], [])


def test_by_a_newer_connection_a_repeat_moves_him_there(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    first = alice.redials()
    request = alice.next(follow=True)
    world.ask(first, request.encode())
    alice.asked(request)
    world.ask(bob, b"2 one")
    assert (alice.pushes(), first.pushed) == ([b"Bob: one"], [])


def test_who_is_gone_follows_no_more(world: World, bob: Recorder) -> None:
    alice = following(world, "Alice")
    assert world.server.come(alice.peer).wanted
    world.ask(bob, b"2 one")
    world.server.gone(alice.peer)
    world.ask(bob, b"2 two")
    world.takes_more(alice.peer)
    assert len(alice.peer.pushed) == 1
    alice.peer = Recorder("tcp again")
    assert lines(alice.ask()) == b"Bob: one|Bob: two"  # he never acknowledged the first


def test_only_members_follow_and_no_longer_than_they_are_members(
    world: World, bob: Recorder
) -> None:
    """Sessions cost nothing to open; each follower costs something whenever anybody speaks."""
    peer = Recorder("tcp many")
    for _ in range(5):
        opened = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
        assert isinstance(opened, Opened)
        token = opened.token
        world.ask(peer, Ask(token, 1, Mark(0), follow=True).encode())
    world.ask(peer, Ask(token, 2, Mark(0), (b"1 Late",)).encode())
    world.ask(bob, b"2 one")
    assert not peer.pushed  # he was none when he asked for it
    alice, zed = following(world, "Alice"), following(world, "Zed")
    alice.ask(b"4")
    alice.ask(b"1 Alice again")
    world.ask(bob, b"2 two")
    assert (alice.pushes(), zed.pushes()[-1:]) == (
        [b"Zed has joined"],
        [b"Alice has left the group"],
    )


def test_who_is_sent_away_follows_no_more() -> None:
    world = World(limits=Limits(idle=30))
    alice = following(world, "Alice")
    world.wait(31)
    alice.ask(b"1 Alice")
    bob = Recorder("tcp bob")
    world.ask(bob, b"1 Bob", b"2 one")
    assert not alice.peer.pushed


def test_one_connection_has_one_follower(world: World, bob: Recorder) -> None:
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    zed.peer = alice.peer
    alice.ask(follow=True)
    alice.ask(follow=True)
    assert zed.ask(follow=True).number
    world.ask(bob, b"2 one")
    assert zed.pushes() == [b"Bob: one"]
    world.takes_more(alice.peer)
    assert len(alice.peer.pushed) == 1


def test_by_datagrams_nobody_follows(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice", datagram=True)
    alice.ask(follow=True)
    world.ask(bob, b"2 one")
    assert not alice.peer.pushed


def test_of_those_who_follow_one_who_is_slow_keeps_nobody_waiting(
    world: World, bob: Recorder
) -> None:
    slow, quick = following(world, "Slow"), following(world, "Quick")
    for _ in range(3):
        world.ask(bob, b"2 x")
        world.takes_more(quick.peer)
    assert len(quick.peer.pushed) == 3
    assert slow.pushes() == [b"Quick has joined"]
    world.takes_more(slow.peer)
    assert slow.pushes()[1:] == [b"Bob: x|Bob: x|Bob: x"]


class Breaking(Recorder):
    """A connection by which nothing more can be sent."""

    broken = False

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        if self.broken:
            raise RuntimeError("a bug")
        super().reply(pieces)

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        if self.broken:
            raise RuntimeError("a bug")
        super().push(pieces, sent)

    def close(self) -> None:
        super().close()
        if self.broken:
            raise RuntimeError("another bug")


def breaking(world: World) -> tuple[Listener, Breaking]:
    """Return one who follows by a connection that works as yet, and that connection."""
    alice = Listener(world, "Alice")
    alice.peer = peer = Breaking("tcp broken")
    alice.ask(follow=True)
    return alice, peer


def test_a_connection_that_breaks_keeps_nobody_else_from_being_told(
    world: World, bob: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    alice, broken = breaking(world)
    zed = following(world, "Zed")
    world.takes_more(broken)
    broken.broken = True
    world.ask(bob, b"2 one")
    assert zed.pushes() == [b"Bob: one"]
    assert [text for text in caplog.messages if text.startswith("could not tell session")]
    assert broken.closed
    assert [text for text in caplog.messages if text.startswith("could not close the connection")]
    broken.broken = False
    alice.peer = Recorder("tcp again")
    assert lines(alice.ask(follow=True)) == b"Zed has joined|Bob: one"
    world.ask(bob, b"2 two")
    assert alice.pushes() == [b"Bob: two"]


def test_a_connection_that_breaks_does_not_keep_a_server_from_stopping(
    world: World, bob: Recorder
) -> None:
    _, broken = breaking(world)
    broken.broken = True
    world.server.receive(b"2 last", bob)
    stopped: list[bool] = []
    world.server.stop(lambda: stopped.append(True))
    world.turn()
    assert stopped


def test_a_wait_that_cannot_be_answered_ends_the_connection_and_keeps_nobody_else_waiting(
    world: World, bob: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    alice, broken = breaking(world)
    zed = following(world, "Zed")
    world.takes_more(broken)
    alice.mark = Mark(3)
    alice.waits()
    broken.broken = True
    world.ask(bob, b"2 one")
    assert zed.pushes() == [b"Bob: one"]
    assert [text for text in caplog.messages if text.startswith("could not answer session")]
    assert broken.closed


def test_an_answer_that_cannot_be_given_ends_the_connection_of_who_follows(world: World) -> None:
    alice, broken = breaking(world)
    broken.broken = True
    world.ask(broken, alice.next(b"5").encode())
    assert broken.closed


def test_an_answer_that_cannot_be_given_ends_no_connection_of_who_follows_not(
    world: World,
) -> None:
    """As with every other reply: the next one may be fine."""
    alice = Listener(world, "Alice")
    broken = alice.peer = Breaking("tcp broken")
    broken.broken = True
    world.ask(broken, alice.next(b"5").encode())
    assert not broken.closed


class Late(Recorder):
    """A connection that says only later that it has sent something, be it nothing."""

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        self.pushed.append(b"".join(pieces))
        self.takes_more.append(sent)


def test_what_happens_while_nothing_is_under_way_to_him_is_told_when_that_is_sent(
    world: World, bob: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Listener(world, "Alice")
    alice.peer = Late("tcp late")
    alice.ask(follow=True)
    monkeypatch.setattr(answers, "STREAM_REPLY_BYTES", 150)  # names leave no room for news
    alice.ask(b"2 own", who=True)
    world.turn()
    assert alice.peer.pushed == [b""]
    world.ask(bob, b"2 one")
    assert alice.peer.pushed == [b""]
    world.takes_more(alice.peer)
    assert lines(decode_reply(alice.peer.pushed[-1], alice.token)) == b"Bob: one"


class Forgetful(Recorder):
    """A connection that drops what is pushed, unread, and says that it is sent."""

    pushes = 0

    def push(self, pieces: Iterable[bytes], sent: Callable[[], None]) -> None:
        del pieces
        self.pushes += 1
        sent()


def test_what_is_dropped_unread_is_not_pushed_again_and_again(world: World, bob: Recorder) -> None:
    alice = Listener(world, "Alice")
    peer = alice.peer = Forgetful("tcp forgetful")
    alice.ask(follow=True)
    world.ask(bob, b"2 one")
    for _ in range(10):
        world.turn()
    assert peer.pushes == 1
