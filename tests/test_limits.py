"""What the server puts up with: each limit with somebody who goes over it, and what it costs him,
and others nothing.
"""

import logging
from math import inf

import attrs
import pytest

from groupchat.core.pages import Page
from groupchat.core.peer import FROM_MEMBER, FROM_STRANGER, UNWANTED, Reception
from groupchat.core.plain import NOT_STORED, TOO_MANY, UNREADABLE
from groupchat.core.sessions.replies import Opened, Prove, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.server import COOKIE_MILLISECONDS
from groupchat.core.sessions.wire import Mark
from groupchat.journal.storage import Damaged
from groupchat.server import NO_LIMITS, Limits
from groupchat.server.buckets import SOURCES, Buckets
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, SlowJournal, World

REFUSED = b"Illegal request"
UDP = 65_507


def joined(world: World, name: str, datagram: int | None = None, source: str = "") -> Recorder:
    peer = Recorder(name, datagram, source or f"192.0.2.{len(name)}")
    assert world.ask(peer, b"1 " + name.encode()) is not None
    assert name in world.journal.chat.group
    return peer


# --- Token buckets ----------------------------------------------------------------------------


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


# --- Limits -----------------------------------------------------------------------------------


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


def test_a_connection_on_which_nobody_joins_is_closed() -> None:
    world = World(limits=Limits(silence=60))
    silent, asks, member, session = peers = [Recorder(f"tcp {n} #{n}") for n in range(4)]
    assert all(world.server.come(peer).wanted for peer in peers)
    world.ask(member, b"1 Member")
    opened = decode_reply(world.ask(session, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(session, Ask(opened.token, 1, Mark(0), (b"1 Session",)).encode())
    for number in range(59):
        world.wait(1)
        world.ask(asks, b"5", Open("main", NONCE).encode())
        if number % 20 == 0:
            other = decode_reply(asks.replies[-1] or b"", NONCE)
            assert isinstance(other, Opened)
            world.ask(asks, Ask(other.token, 1, Mark(0)).encode())
    assert not any(peer.closed for peer in peers)
    world.wait(2)
    assert [peer.closed for peer in peers] == [True, True, False, False]
    assert silent.replies == []


def test_a_connection_that_no_member_uses_any_more_is_closed_too() -> None:
    """Else all of them could be taken for ever, by whoever joins on each and leaves."""
    world = World(limits=Limits(silence=10, idle=30))
    leaves, elsewhere, sent_away, stays = peers = [Recorder(f"tcp {n} #{n}") for n in range(4)]
    assert all(world.server.come(peer).wanted for peer in peers)
    opened = decode_reply(world.ask(elsewhere, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(elsewhere, Ask(opened.token, 1, Mark(0), (b"1 Elsewhere",)).encode())
    for peer in (leaves, sent_away, stays):
        world.ask(peer, b"1 " + peer.sender[4:5].encode())
    world.wait(20)
    world.ask(leaves, b"4")
    world.ask(Recorder("tcp 5 #5"), Ask(opened.token, 2, Mark(0), (b"4",)).encode())
    world.ask(stays, b"5")
    world.wait(9)
    assert not any(peer.closed for peer in peers)
    world.wait(2)  # nothing was heard of one of them for so long that he is sent away
    assert [peer.closed for peer in peers] == [True, True, False, False]
    assert world.ask(sent_away, b"5") == REFUSED
    world.ask(stays, b"5")
    world.wait(10)
    assert [peer.closed for peer in peers] == [True, True, True, False]


def test_a_member_who_is_silent_for_long_leaves() -> None:
    world = World(limits=Limits(idle=100))
    alice, bob, cy = joined(world, "a", UDP), joined(world, "b"), joined(world, "c")
    world.wait(60)
    world.ask(bob, b"5")
    world.wait(39)
    assert world.ask(cy, b"5") == b""
    world.wait(2)
    assert world.ask(cy, b"5") == b"a has left the group"
    assert world.ask(alice, b"5") == REFUSED
    world.wait(60)
    assert world.ask(cy, b"5") == b"b has left the group"


def test_who_is_heard_when_he_is_about_to_be_sent_away_is_not_silent_any_more() -> None:
    journal = SlowJournal()
    world = World(journal, Limits(idle=10))
    alice, bob = Recorder("a", UDP), Recorder("b")
    for peer, name in ((alice, b"1 Alice"), (bob, b"1 Bob")):
        world.ask(peer, name)
        journal.written()
    world.wait(8)
    world.ask(bob, b"2 this takes long")
    world.wait(3)  # the time is up
    world.ask(alice, b"5")
    journal.written()
    world.wait(3)
    assert world.ask(alice, b"5") == b""
    assert len(journal.batches) == 3


def test_an_update_counts_as_a_sign_of_life_and_so_does_any_request() -> None:
    world = World(limits=Limits(idle=10))
    alice, bob = joined(world, "a"), joined(world, "b")
    for number in range(20):
        world.wait(5)
        world.ask(alice, b"5" if number % 2 else b"junk")
    assert world.ask(alice, b"2 hi") == b""
    assert world.ask(bob, b"5") == REFUSED


def test_who_was_a_member_before_a_restart_has_as_long_as_others() -> None:
    world = World(limits=Limits(idle=10))
    joined(world, "a", UDP)
    again = World(world.journal, Limits(idle=10), now=world.now + 10**6)
    alice = Recorder("a", UDP)
    again.wait(9)
    assert again.ask(alice, b"5") == b""
    again.wait(11)
    assert again.ask(alice, b"5") == REFUSED


def test_a_clock_that_is_wrong_for_a_while_silences_nobody() -> None:
    """It is set by a year, and back again, when a machine has found a network."""
    world = World(limits=Limits())
    far, near = joined(world, "a", UDP), joined(world, "b")
    for world.ahead in (365 * 86_400_000, 0, -86_400_000):
        for _ in range(300):
            world.ask(near, b"2 " + b"z" * 900)
            world.now += 200
            assert world.ask(far, b"5") not in (b"", None)


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


def test_an_unsent_reply_waits_in_so_many_bytes() -> None:
    assert World(limits=Limits(unsent=5)).server.unsent_bytes == 5


# --- Bytes to somebody who may not be there ---------------------------------------------------


def crowd(world: World, source: str) -> Recorder:
    """Return a plain member by datagrams for whom 100 lines of 91 bytes wait."""
    reader = joined(world, "reader", UDP, source)
    writer = joined(world, "writer")
    world.ask(writer, *[b"2 " + b"x" * 82] * 100)
    return reader


def received(peer: Recorder) -> int:
    return sum(len(reply or b"") for reply in peer.replies)


def test_whose_address_may_be_made_up_gets_no_more_than_so_many_bytes_a_second() -> None:
    """Those beyond three times what he sent."""
    world = World(limits=Limits(stray=100, requests=None))
    reader = crowd(world, "198.51.100.1")
    for _ in range(100):
        world.ask(reader, b"5")
    burst = received(reader)
    assert 800 < burst <= 800 + 1_024 + 3 * 100
    assert reader.replies[-1] == b""  # which is no longer than a request
    world.wait(100)
    for _ in range(100):
        world.ask(reader, b"5")
    assert burst < received(reader) <= 2 * (800 + 1_024 + 3 * 100)


def test_nothing_is_lost_by_that() -> None:
    world = World(limits=Limits(stray=1_000, requests=None))
    reader = crowd(world, "198.51.100.1")
    for _ in range(60):
        world.wait(1)
        world.ask(reader, b"5")
    lines = [line for reply in reader.replies if reply for line in reply.split(b"\n")]
    assert lines == [b"writer has joined", *[b"writer: " + b"x" * 82] * 100]


@pytest.mark.parametrize("request_", [b"@", b"6"])
def test_refusals_count_too_and_beyond_there_is_no_reply(request_: bytes) -> None:
    world = World(limits=Limits(stray=10, stranger_requests=None))
    stranger = Recorder("s", UDP, "198.51.100.1")
    for _ in range(50):
        world.ask(stranger, request_)
    assert stranger.replies == [REFUSED] * 7 + [None] * 43  # 12 bytes too many each


def test_those_who_ask_together_get_no_more_together() -> None:
    """One address can have many members, and all of them can ask in one turn."""
    world = World(limits=Limits(stray=100, requests=None, stranger_requests=None))
    readers = [joined(world, f"r{n}", UDP, "198.51.100.1") for n in range(60)]
    writer = joined(world, "writer")
    world.wait(60)
    for reader in readers:
        reader.replies.clear()
    for _ in range(20):
        world.ask(writer, b"2 " + b"y" * 3_000)
        for reader in readers:
            world.server.receive(b"2 x", reader)
        world.turn()
        world.wait(10)
    told = sum(map(received, readers))
    assert 15_000 < told <= 100 * (200 + 8) + 60 * 20 * 3 * 3 + 3_100  # the last is a debt


def test_what_was_reserved_and_not_needed_is_given_back() -> None:
    world = World(limits=Limits(stray=1_000, requests=None))
    reader = crowd(world, "198.51.100.1")
    for _ in range(50):
        world.ask(reader, b"2 x" * 1_300, b"junk")
    assert received(reader) >= 8_000


def test_to_be_told_that_it_was_too_much_counts_like_any_reply() -> None:
    world = World(limits=Limits(stray=10, requests=10))
    reader = joined(world, "reader", UDP, "198.51.100.1")
    told = 0
    for _ in range(200):
        world.now += 200
        told += sum(world.server.receive(b"5", reader).told for _ in range(4))
    assert told > 200
    assert 300 < received(reader) <= 10 * (40 + 8) + len(TOO_MANY)
    assert set(reader.replies) == {b"", TOO_MANY, None}


def test_what_was_not_stored_counts_too_and_no_empty_reply_stands_for_it() -> None:
    """That would say that it has been done."""
    journal = SlowJournal()
    world = World(journal, Limits(stray=10, requests=None))
    far, near = (Recorder(name, UDP, ip) for name, ip in (("f", "10.0.0.1"), ("n", "127.0.0.1")))
    for peer in (far, near):
        world.ask(peer, b"1 " + peer.sender.encode())
        journal.written()
        peer.replies.clear()
        for _ in range(50):
            world.ask(peer, b"2 x")
            journal.written(OSError("the disk is full"))
    assert far.replies == [NOT_STORED] * 4 + [None] * 46  # 26 bytes too many each
    assert near.replies == [NOT_STORED] * 50


def test_what_cannot_be_read_counts_too() -> None:
    world = World(limits=Limits(stray=20, requests=None))
    world.journal.chat.group.timeline._page_bytes = 40
    reader = crowd(world, "198.51.100.1")
    timeline = world.journal.chat.group.timeline
    timeline.shelve(timeline.closed(0), _unreadable)
    for _ in range(50):
        world.ask(reader, b"5")
    assert reader.replies.count(UNREADABLE) == 3
    assert received(reader) == 3 * len(UNREADABLE)


def _unreadable(first: int) -> Page:
    raise Damaged(f"page {first} is damaged")


@pytest.mark.parametrize("source", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_on_this_machine_itself_nobody_makes_up_an_address(source: str) -> None:
    world = World(limits=Limits(stray=100, requests=None))
    reader = crowd(world, source)
    for _ in range(20):
        world.ask(reader, b"5")
    assert received(reader) > 9_000


@pytest.mark.parametrize("source", ["fe80::1%eth0", "a radio", "", "10.0.0.1", "::12", "1.127.0.0"])
def test_anybody_else_may_have_made_his_up(source: str) -> None:
    world = World(limits=Limits(stray=100, requests=None))
    reader = crowd(world, source)
    for _ in range(20):
        world.ask(reader, b"5")
    assert received(reader) < 3_000


def test_on_a_connection_nobody_has_made_up_where_he_is() -> None:
    world = World(limits=Limits(stray=100, requests=None))
    reader = joined(world, "reader", None, "198.51.100.1")
    writer = joined(world, "writer")
    world.ask(writer, *[b"2 " + b"x" * 82] * 100)
    assert len(world.ask(reader, b"5") or b"") > 9_000
