"""What the server puts up with: each limit with somebody who goes over it, and what it costs
him, and others nothing.
"""

import logging
from math import inf

import attrs
import pytest

from groupchat.core.peer import FROM_MEMBER, FROM_STRANGER, UNWANTED, Reception
from groupchat.core.plain import TOO_MANY
from groupchat.core.sessions.replies import Opened, Prove, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.server import COOKIE_MILLISECONDS
from groupchat.core.sessions.wire import Mark
from groupchat.server import NO_LIMITS, Limits
from groupchat.server.buckets import SOURCES, Buckets
from tests.core.sessions.desk import NONCE
from tests.server.members import REFUSED, UDP, joined
from tests.world import Recorder, World

# Token buckets.


def test_a_bucket_begins_full_and_fills_up_again() -> None:
    buckets = Buckets(rate=10)
    assert [buckets.take("a", 0) for _ in range(22)] == list(range(19, -3, -1))
    assert buckets.take("a", 100) == -2
    assert buckets.take("a", 1_000) == 6
    assert buckets.take("a", 10**9) == 19
    assert buckets.take("b", 0) == 19


def test_a_debt_is_no_greater_than_it_may_be() -> None:
    buckets, strict = Buckets(rate=10), Buckets(rate=10, debt=inf)
    for _ in range(1_000):
        buckets.take("a", 0)
        strict.take("a", 0)
    assert buckets.take("a", 2_100) == 0
    assert strict.take("a", 98_100) == 0


def test_a_bucket_is_taken_from_by_the_amount_that_is_used() -> None:
    buckets = Buckets(rate=10, burst=8.0, debt=8.0)
    assert buckets.take("a", 0, 0) == 80
    assert buckets.take("a", 0, 70) == 10
    assert buckets.take("a", 0, 70) == -60
    assert buckets.take("a", 0, 0) == -60
    assert buckets.take("a", 0, -100) == 40
    assert buckets.take("a", 0, -100) == 140
    assert buckets.take("a", 0, 0) == 80


def test_how_long_a_debt_takes() -> None:
    buckets = Buckets(rate=10)
    assert [buckets.wait(left) for left in (5, 0, -1, -20)] == [0, 0, 0.1, 2]
    assert Buckets(None).wait(-20) == 0


def test_without_a_rate_there_is_no_end() -> None:
    buckets = Buckets(None)
    assert {buckets.take("a", 0, 10**9) for _ in range(9)} == {0.0}


def test_of_too_many_sources_the_oldest_is_forgotten() -> None:
    buckets = Buckets(rate=10)
    for number in range(SOURCES):
        buckets.take(str(number), 0, 20)
    assert buckets.take("1", 0, 0) == 0
    assert buckets.take("one more", 0, 0) == 20
    assert buckets.take("1", 0, 0) == 0
    assert buckets.take("0", 0, 0) == 20


# Limits.


def test_every_limit_has_a_default_and_says_what_it_is() -> None:
    for limit in attrs.fields(Limits):
        assert isinstance(limit.default, int)
        assert limit.default > 0
        assert limit.metadata["help"].endswith(".")
        assert getattr(NO_LIMITS, limit.name) is None


def test_without_limits_there_are_none() -> None:
    world = World()
    peers = [Recorder(f"tcp {number}") for number in range(2_000)]
    assert all(world.server.come(peer).wanted for peer in peers)
    assert {world.server.receive(b"5", peers[0]) for _ in range(5_000)} == {FROM_STRANGER}
    while world.due:
        world.turn()
    assert peers[0].replies == [REFUSED] * 5_000
    world.wait(10_000)
    assert not any(peer.closed for peer in peers)
    assert world.server.unsent_bytes > 10**12


def test_a_full_group_takes_nobody() -> None:
    world = World(limits=Limits(members=2))
    joined(world, "a")
    second = joined(world, "b")
    assert world.ask(Recorder("c"), b"1 c") == REFUSED
    world.ask(second, b"4")
    joined(world, "c")


def test_so_many_connections_and_so_many_from_one_machine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world = World(limits=Limits(connections=4, connections_a_source=3))
    here = [Recorder(f"h{n}", source="198.51.100.1") for n in range(4)]
    there = [Recorder(f"t{n}", source="198.51.100.2") for n in range(3)]
    assert [world.server.come(peer).wanted for peer in here] == [True, True, True, False]
    assert [world.server.come(peer).wanted for peer in there] == [True, False, False]
    assert caplog.messages == ["no more connections for h3"]  # once a second
    world.server.gone(here[0])
    assert world.server.come(there[1]).wanted
    world.server.gone(here[1])
    world.server.gone(here[2])
    assert [world.server.come(peer).wanted for peer in (here[3], here[0])] == [True, True]
    assert not world.server.come(there[2]).wanted


def test_connections_are_counted_with_what_strangers_ask_on_them() -> None:
    """Else a new one for each request would be the way to ask as fast as one can connect."""
    world = World(limits=Limits(stranger_requests=5))
    peers = [Recorder(f"tcp {number} #{number}") for number in range(7)]
    pauses = []
    for peer in peers:
        pauses.append(world.server.come(peer).pause)
        pauses.append(world.server.receive(b"junk", peer).pause)
        world.server.gone(peer)
    assert pauses == pytest.approx([0.0] * 10 + [0.2, 0.4, 0.6, 0.8])
    assert world.server.come(Recorder("tcp 8 #8", source="198.51.100.1")).pause == 0


def test_who_makes_connections_without_end_is_refused() -> None:
    """To have them wait is no bound: each could be gone, and the next be there, before its turn."""
    world = World(limits=Limits(stranger_requests=5))
    wanted = []
    for number in range(40):
        peer = Recorder(f"tcp {number} #{number}")
        wanted.append(world.server.come(peer).wanted)
        if wanted[-1]:
            world.server.gone(peer)
    assert wanted == [True] * 29 + [False] * 11
    other = Recorder("tcp 40 #40", source="198.51.100.1")
    assert world.server.come(other).wanted
    world.now += 600
    again = [world.server.come(Recorder(f"tcp {n} #{n}")).wanted for n in range(41, 44)]
    assert again == [True, True, False]


@pytest.mark.parametrize("member", [False, True])
def test_many_commands_in_one_request_are_counted_as_many(member: bool) -> None:
    world = World(limits=Limits(requests=20, stranger_requests=20))
    peer = Recorder("tcp 1 #1")
    opened = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    if member:
        world.ask(peer, Ask(opened.token, 1, Mark(0), (b"1 Alice",)).encode())
    request = Ask(opened.token, 2, Mark(0), (b"5",) * 30).encode()
    pauses = [world.server.receive(request, peer).pause for _ in range(2)]
    assert pauses == pytest.approx([0, 1.0 if member else 1.05])


def test_a_member_on_a_connection_who_asks_too_much_is_read_more_slowly_and_loses_nothing() -> None:
    world = World(limits=Limits(requests=10))
    alice, bob = joined(world, "a"), joined(world, "b")
    received = [world.server.receive(b"5", alice) for _ in range(22)]
    slower = [Reception(known=True, wanted=True, pause=pause) for pause in (0.1, 0.2)]
    assert received == [FROM_MEMBER] * 20 + slower
    assert world.server.receive(b"5", bob) == FROM_MEMBER
    world.turn()
    assert len(alice.replies) == 23
    assert TOO_MANY not in alice.replies


def test_a_member_by_datagrams_who_asks_too_much_is_told_so_but_not_for_ever() -> None:
    world = World(limits=Limits(requests=10, stray=None))
    alice, bob = joined(world, "a", UDP), joined(world, "b", UDP)
    received = [world.server.receive(b"2 x", alice) for _ in range(100)]
    too_many = Reception(known=False, wanted=False, told=True)
    assert received == [FROM_MEMBER] * 20 + [too_many] * 19 + [UNWANTED] * 61
    world.turn()
    assert alice.replies.count(TOO_MANY) == 19
    assert alice.replies.count(b"") == 1 + 19
    assert alice.replies.count(b"b has joined") == 1
    assert len(alice.replies) == 1 + 20 + 19
    assert str(world.ask(bob, b"5")).count("a: x") == 20
    world.wait(3)
    assert world.ask(alice, b"5") == b""


def test_a_session_that_asks_too_much_by_datagrams_gets_no_answer_and_asks_again() -> None:
    """It repeats what is not answered; what is no message of its would tell it nothing."""
    world = World(limits=Limits(requests=10))
    peer = Recorder("tcp a", source="192.0.2.1")
    opened = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(peer, Ask(opened.token, 1, Mark(0), (b"1 a",)).encode())
    far = Recorder("udp a", UDP)
    for number in range(2, 60):
        world.server.receive(Ask(opened.token, number, Mark(0)).encode(), far)
    world.turn()
    assert len(far.replies) == 20  # to prove its address
    assert TOO_MANY not in far.replies


def test_strangers_are_counted_by_their_machine_and_by_datagrams_ignored() -> None:
    world = World(limits=Limits(stranger_requests=5, stray=None))
    one, same = (Recorder(name, UDP, "198.51.100.1") for name in ("one", "same"))
    other = Recorder("other", UDP, "198.51.100.2")
    for peer in (one, same, other):
        world.ask(peer, *[b"5"] * 8)
    assert [len(peer.replies) for peer in (one, same, other)] == [8, 2, 8]
    assert world.ask(one, b"1 One") == REFUSED  # nobody heard that
    assert len(one.replies) == 8
    world.wait(2)
    assert world.ask(one, b"1 One") == b""


def test_all_strangers_together_are_counted_too() -> None:
    """For addresses can be made up."""
    world = World(limits=Limits(stranger_requests=5, stray=None))
    peers = [Recorder(f"p{number}", UDP, f"198.51.100.{number}") for number in range(250)]
    member = joined(world, "a")
    here = Recorder("here", UDP, "127.0.0.1")
    for peer in peers:
        world.ask(peer, b"5")
    assert sum(len(peer.replies) for peer in peers) == 20  # four seconds' worth
    assert world.ask(here, b"5") == REFUSED  # for nobody makes up an address of this machine
    world.now += 10_000
    for peer in peers:
        world.ask(peer, b"5")
    assert sum(len(peer.replies) for peer in peers) == 40
    assert world.ask(member, b"5") == b""


@pytest.mark.parametrize("rate", [55, 500])
def test_however_many_strangers_come_as_many_as_may_are_heard(rate: int) -> None:
    """Else a flood, or many who begin at once and try again, would keep all newcomers out."""
    world = World(limits=Limits(stranger_requests=50, stray=None))
    heard = 0
    for number in range(20 * rate):
        peer = Recorder(f"p{number}", UDP, f"10.1.{number >> 8}.{number & 255}")
        heard += world.server.receive(b"5", peer).wanted
        if number % 10 == 0:
            world.turn()
        world.now = 1_000_000 + 1_000 * number // rate
    assert 20 * 50 <= heard <= 20 * 50 + 200  # four seconds' worth more


def test_one_who_asks_too_fast_by_datagrams_is_heard_as_often_as_he_may_be() -> None:
    world = World(limits=Limits(stranger_requests=5, stray=None))
    peer = Recorder("one", UDP, "198.51.100.1")
    for _ in range(200):
        world.ask(peer, b"5")
        world.now += 50
    assert 50 <= len(peer.replies) <= 60


def test_strangers_on_connections_are_read_more_slowly() -> None:
    world = World(limits=Limits(stranger_requests=5))
    peer = Recorder("tcp a #1")
    received = [world.server.receive(b"junk", peer) for _ in range(12)]
    slower = [Reception(known=False, wanted=True, pause=pause) for pause in (0.2, 0.4)]
    assert received == [FROM_STRANGER] * 10 + slower
    world.turn()
    assert peer.replies == [REFUSED] * 12


def test_a_member_is_not_counted_with_the_strangers_of_his_machine() -> None:
    world = World(limits=Limits(stranger_requests=5, stray=None))
    member = joined(world, "a", UDP, "198.51.100.1")
    stranger = Recorder("s", UDP, "198.51.100.1")
    world.ask(stranger, *[b"5"] * 50)
    assert len(stranger.replies) < 10
    assert world.ask(member, b"2 hi") == b""


def test_an_unsent_reply_waits_in_so_many_bytes() -> None:
    assert World(limits=Limits(unsent=5)).server.unsent_bytes == 5


def test_a_cookie_is_as_old_as_it_is_whatever_the_clock_says() -> None:
    world, peer = World(limits=Limits()), Recorder("udp c", UDP)
    prove = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(prove, Prove)
    world.ahead = 365 * 86_400_000
    opened = decode_reply(world.ask(peer, Open("main", NONCE, prove.cookie).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ahead = 0
    world.now += 2 * COOKIE_MILLISECONDS
    again = decode_reply(world.ask(peer, Open("main", NONCE, prove.cookie).encode()) or b"", NONCE)
    assert isinstance(again, Prove)
