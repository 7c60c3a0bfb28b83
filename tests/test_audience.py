"""Who waits for news: requests that are held until there is some, and connections that follow."""

import pytest

from groupchat.core.sessions import answers
from groupchat.core.sessions.replies import Answer, Opened, Prove, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from groupchat.server.audience import MAX_WAIT_SECONDS
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, Slow, SlowJournal, World


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


# --- Readers who are slow ----------------------------------------------------------------------


def slow(listener: Listener) -> Slow:
    """Have *listener* go on by a connection that it is slow to read from."""
    peer = Slow("tcp slow")
    listener.peer = peer
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
    mark = alice.last().stop
    world.ask(bob, b"2 one")
    world.ask(Recorder("udp elsewhere"), alice.next(b"4").encode())
    peer.read()
    assert decode_reply(peer.pushed[0], alice.token) == Answer(0, (), mark, mark, mark.position)
    peer.takes_more.pop()()
    world.ask(bob, b"2 two")
    assert len(peer.pushed) == 1


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
    alice.peer.takes_more.pop()()
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
    assert world.server.come(alice.peer).wanted
    world.ask(bob, b"2 one")
    world.server.gone(alice.peer)
    world.ask(bob, b"2 two")
    alice.peer.takes_more.pop()()
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
    alice.peer.takes_more.pop()()
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
        quick.peer.takes_more.pop()()
    assert len(quick.peer.pushed) == 3
    assert slow.pushes() == [b"Quick has joined"]
    slow.peer.takes_more.pop()()
    assert slow.pushes()[1:] == [b"Bob: x|Bob: x|Bob: x"]
