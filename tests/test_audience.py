"""Who waits for news: requests that are held until there is some, and connections that follow."""

import pytest

from groupchat.core.sessions import server
from groupchat.core.sessions.messages import Answer, Ask, Mark, Open, Opened, Prove, decode_reply
from groupchat.server import Limits
from groupchat.server.audience import MAX_WAIT_SECONDS
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, World


class Listener:
    """A session in a world, at a peer."""

    def __init__(self, world: World, name: str, datagram: bool = False) -> None:
        self.world = world
        self.number = 0
        self.mark = Mark(0)
        kind, most = (("udp", 65_507), ("tcp", None))[not datagram]
        self.peer = Recorder(f"{kind} {name}", most)
        reply = self.asked(Open("main", NONCE))
        if isinstance(reply, Prove):
            reply = self.asked(Open("main", NONCE, reply.cookie))
        assert isinstance(reply, Opened)
        self.token = reply.token
        assert self.ask(b"1 " + name.encode()).results == ("done",)

    def asked(self, request: Open | Ask) -> object:
        key = request.nonce if isinstance(request, Open) else request.token
        return decode_reply(self.world.ask(self.peer, request.encode()) or b"", key)

    def next(self, *commands: bytes, wait: int = 0, follow: bool = False, who: bool = False) -> Ask:
        self.number += 1
        return Ask(self.token, self.number, self.mark, commands, wait, follow, 0 if who else None)

    def ask(self, *commands: bytes, **options: bool) -> Answer:
        """Ask, and take the answer that comes at once."""
        before = len(self.peer.replies)
        self.asked(self.next(*commands, **options))
        assert len(self.peer.replies) == before + 1
        return self.last()

    def waits(self, seconds: int = 20) -> None:
        """Ask for news, and wait for it."""
        before = len(self.peer.replies)
        self.asked(self.next(wait=seconds))
        assert len(self.peer.replies) == before

    def last(self) -> Answer:
        """Take the answer that came last."""
        answer = decode_reply(self.peer.replies[-1] or b"", self.token)
        assert isinstance(answer, Answer)
        self.mark = answer.stop
        return answer

    def pushes(self) -> list[bytes]:
        """Return the lines of each message that came unasked, without their stamps."""
        answers = [decode_reply(data, self.token) for data in self.peer.pushed]
        assert all(isinstance(answer, Answer) and not answer.number for answer in answers)
        return [lines(answer) for answer in answers]


def lines(answer: object) -> bytes:
    assert isinstance(answer, Answer)
    return b"|".join(line.split(b" ", 3)[3] for line in answer.body.split(b"\n")[:-1])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def bob(world: World) -> Recorder:
    """A plain member."""
    peer = Recorder("udp bob")
    world.ask(peer, b"1 Bob")
    return peer


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


def test_who_is_gone_waits_no_more(world: World, bob: Recorder) -> None:
    alice, zed = Listener(world, "Alice"), Listener(world, "Zed")
    for listener in (alice, zed):
        listener.asked(listener.next())
        listener.last()
        assert world.server.come(listener.peer)
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


# --- Following --------------------------------------------------------------------------------


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
    alice.peer.takes_more.pop()()
    assert alice.pushes()[1:] == [b"Bob: two|Bob: three"]
    alice.peer.takes_more.pop()()
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
    alice.peer.takes_more.pop()()
    assert len(alice.peer.pushed) == 2
    assert lines(answer).count(b"|") + alice.pushes()[1].count(b"|") + 2 == 100


def test_own_events_are_not_pushed_but_passed(
    world: World, bob: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = following(world, "Alice")
    assert alice.ask(b"2 own").results == ("done",)
    assert not alice.peer.pushed
    monkeypatch.setattr(server, "STREAM_REPLY_BYTES", 150)  # names leave no room for news
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
    alice.peer.takes_more.pop()()
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
    first.takes_more.pop()()
    assert (len(first.pushed), len(alice.peer.pushed)) == (1, 0)
    assert lines(alice.ask(follow=True)) == b"Bob: two"
    world.ask(bob, b"2 three")
    assert alice.pushes() == [b"Bob: three"]
    assert len(first.pushed) == 1


def test_who_is_gone_follows_no_more(world: World, bob: Recorder) -> None:
    alice = following(world, "Alice")
    assert world.server.come(alice.peer)
    world.ask(bob, b"2 one")
    world.server.gone(alice.peer)
    world.ask(bob, b"2 two")
    alice.peer.takes_more.pop()()
    assert len(alice.peer.pushed) == 1
    alice.peer = Recorder("tcp again")
    assert lines(alice.ask()) == b"Bob: one|Bob: two"  # he never acknowledged the first


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
        quick.peer.takes_more.pop()()
    assert len(quick.peer.pushed) == 3
    assert slow.pushes() == [b"Quick has joined"]
    slow.peer.takes_more.pop()()
    assert slow.pushes()[1:] == [b"Bob: x|Bob: x|Bob: x"]
