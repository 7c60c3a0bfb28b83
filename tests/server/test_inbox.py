"""What waits to be carried out: how much of it, and whose turn it is."""

import pytest
from attrs import evolve

from groupchat.core.peer import FROM_MEMBER, FROM_STRANGER, UNWANTED
from groupchat.server import NO_LIMITS, batch
from groupchat.server.inbox import (
    BATCH_REQUESTS,
    CROWDED_BYTES,
    CROWDED_REQUESTS,
    GATHERED_BYTES,
    GATHERED_REQUESTS,
    Inbox,
)
from tests.server.listener import Listener
from tests.server.members import REFUSED
from tests.world import Recorder, SlowJournal, World


def test_while_the_journal_is_slow_so_many_datagrams_wait_and_no_more(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    alice, stream = Recorder("a", datagram=65_507), Recorder("t")
    world.ask(alice, b"1 Alice")
    for _ in range(GATHERED_REQUESTS + 5):
        world.server.receive(b"5", alice)
    world.server.receive(b"5", stream)  # a connection loses nothing
    journal.written()
    while world.due:
        world.turn()
    assert len(alice.replies) == 1 + GATHERED_REQUESTS
    assert stream.replies == [REFUSED]


def test_while_the_journal_is_slow_and_many_wait_connections_are_read_slowly(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    alice, stream = Recorder("a", datagram=65_507), Recorder("t")
    world.ask(alice, b"1 Alice")
    for _ in range(GATHERED_REQUESTS - 1):
        world.server.receive(b"5", alice)
    assert world.server.receive(b"5", stream) == FROM_STRANGER
    assert world.server.receive(b"5", stream).pause == 1 / CROWDED_REQUESTS
    journal.written()
    world.turn()
    assert world.server.receive(b"5", stream) == FROM_STRANGER


def test_while_the_journal_is_slow_so_many_bytes_wait_and_connections_are_read_slowly(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    streams: list[Recorder] = []
    alice, datagram = Recorder("a"), Recorder("d", 65_507)
    world.ask(alice, b"1 Alice")
    line = b"2 " + b"x" * 64_000
    while len(streams) * len(line) < GATHERED_BYTES:
        streams.append(Recorder(f"tcp {len(streams)}"))
        assert world.server.receive(line, streams[-1]) == FROM_STRANGER
    assert world.server.receive(line, streams[0]).pause == len(line) / CROWDED_BYTES > 60
    assert world.server.receive(b"5", streams[1]).pause == 1 / CROWDED_BYTES  # it asks for little
    assert world.server.receive(b"5", datagram) == UNWANTED
    journal.written()
    world.turn()
    assert [len(peer.replies) for peer in streams] == [2, 2, *[1] * (len(streams) - 2)]
    assert world.server.receive(line, streams[0]) == FROM_STRANGER


def test_whoever_asks_much_does_not_keep_others_waiting() -> None:
    world = World()
    much, more, little = (Recorder(sender) for sender in ("much", "more", "little"))
    for peer, name in ((much, b"1 M"), (more, b"1 N"), (little, b"1 L")):
        world.ask(peer, name)
    for number in range(2 * BATCH_REQUESTS):
        world.server.receive(b"2 %d" % number, much)
    for _ in range(BATCH_REQUESTS):
        world.server.receive(b"5", more)
    world.server.receive(b"2 hi", little)
    world.turn()
    assert [len(peer.replies) for peer in (much, more, little)] == [257, 256, 2]
    world.server.receive(b"2 ho", little)
    world.turn()
    assert [len(peer.replies) for peer in (much, more, little)] == [512, 512, 3]
    while world.due:
        world.turn()
    assert [len(peer.replies) for peer in (much, more, little)] == [1_025, 513, 3]
    told = b"\n".join(filter(None, more.replies)).split(b"\n")
    hers = [line.partition(b": ")[2] for line in told if line.startswith(b"M: ")]
    assert hers == [b"%d" % number for number in range(len(hers))]
    assert len(hers) > BATCH_REQUESTS // 2


@pytest.mark.parametrize("waits", [False, True])
def test_what_waits_for_its_turn_counts_as_waiting(waits: bool) -> None:
    inbox, peer = Inbox(), Recorder("a", datagram=65_507)
    for _ in range(GATHERED_REQUESTS - 1):
        inbox.put(b"5", peer)
    batch = len(list(inbox.batch())) if waits else 0
    assert batch in (0, BATCH_REQUESTS)
    room = [inbox.has_room(peer, known=True)]
    for _ in range(batch):
        inbox.put(b"5", peer)
    room.append(inbox.has_room(peer, known=True))
    inbox.put(b"5", peer)
    assert [*room, inbox.has_room(peer, known=True)] == [True, True, False]
    assert len(list(inbox.everything())) == GATHERED_REQUESTS
    assert not inbox


def test_a_member_who_has_nothing_waiting_is_heard_though_others_have_filled_it(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    alice, bob, stranger = (Recorder(name, datagram=65_507) for name in ("a", "b", "s"))
    for peer, name in ((alice, b"1 Alice"), (bob, b"1 Bob")):
        world.ask(peer, name)
        journal.written()
    world.ask(alice, b"2 hi")  # the journal is slow
    for _ in range(GATHERED_REQUESTS):
        world.server.receive(b"5", alice)
    assert world.server.receive(b"5", alice) == UNWANTED
    assert world.server.receive(b"5", stranger) == UNWANTED
    assert world.server.receive(b"2 ho", bob).wanted
    assert world.server.receive(b"5", bob) == UNWANTED
    journal.written()
    world.turn()
    journal.written()
    assert bob.replies[-1] == b"Alice: hi"


def test_who_has_no_news_is_told_so_at_once(journal: SlowJournal) -> None:
    world = World(journal)
    alice, bob = Recorder("a", datagram=65_507), Recorder("b", datagram=65_507)
    for peer, name in ((alice, b"1 Alice"), (bob, b"1 Bob")):
        world.ask(peer, name)
        journal.written()
    assert world.ask(alice, b"5") == b"Bob has joined"
    world.ask(alice, b"2 hi")  # the journal is slow
    for end in (b"", b"\n", b"\r\n"):
        count = len(bob.replies)
        assert world.server.receive(b"5" + end, bob) == FROM_MEMBER
        assert bob.replies[count:] == [b""]


@pytest.mark.parametrize("written", [False, True], ids=["not yet judged", "being written"])
def test_but_not_before_what_he_asked_before(journal: SlowJournal, written: bool) -> None:
    world = World(journal)
    bob = Recorder("b", datagram=65_507)
    world.ask(bob, b"1 Bob")
    journal.written()
    world.server.receive(b"2 ho", bob)
    if written:
        world.turn()
    count = len(bob.replies)
    world.ask(bob, b"5")
    assert bob.replies[count:] == []
    journal.written()
    world.turn()
    assert bob.replies[count:] == [b"", b""]


def test_bytes_that_wait_for_their_turn_count_as_waiting() -> None:
    inbox, peer, other = Inbox(), Recorder("a"), Recorder("b", datagram=65_507)
    request = b"x" * (GATHERED_BYTES // (2 * BATCH_REQUESTS))
    for _ in range(2 * BATCH_REQUESTS + 1):
        pause = inbox.put(request, peer)
    assert pause
    assert not inbox.has_room(other, known=True)
    assert len(list(inbox.batch())) == BATCH_REQUESTS
    assert inbox.has_room(other, known=True)
    assert not inbox.put(request, peer)
    for _ in range(BATCH_REQUESTS):
        pause = inbox.put(request, peer)
    assert pause


def settle(world: World) -> None:
    while world.due:
        world.turn()


# Those who are far behind. What they are told is long, and may have to be read from the disk.


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with pages of two lines, and replies of three. A batch has four plain ones to those
    who are far from the end, thirteen to such sessions by a connection, and 32 by datagram."""
    monkeypatch.setattr(batch, "BATCH_PAGES", 64)
    world = World(limits=evolve(NO_LIMITS, reply=3 * len(b"Bob: x\n")))
    world.server._group.timeline._page_bytes = 2 * len(b"Bob: x\n")
    return world


def says(world: World, bob: Recorder, lines: int) -> None:
    world.ask(bob, *[b"2 x"] * lines)
    settle(world)


def test_of_those_who_are_far_behind_so_many_are_answered_at_a_time(small: World) -> None:
    late, bob = Recorder("tcp late"), Recorder("tcp bob")
    for peer, name in ((late, b"1 Late"), (bob, b"1 Bob")):
        small.ask(peer, name)
    says(small, bob, 100)
    small.ask(late, b"5")
    before = len(late.replies)
    for _ in range(10):
        small.server.receive(b"5", late)
    small.turn()
    assert len(late.replies) - before == 4
    settle(small)
    assert late.replies[before:] == [b"Bob: x\nBob: x\nBob: x"] * 10


@pytest.mark.parametrize("request_", [b"junk", b"4"])
def test_who_is_far_behind_and_is_not_told_it_keeps_nobody_waiting(
    small: World, request_: bytes
) -> None:
    late, bob = Recorder("tcp late"), Recorder("tcp bob")
    for peer, name in ((late, b"1 Late"), (bob, b"1 Bob")):
        small.ask(peer, name)
    says(small, bob, 100)
    before = len(late.replies), len(bob.replies)
    for _ in range(10):
        small.server.receive(request_, late)
        small.server.receive(b"2 x", bob)
    small.turn()
    assert (len(late.replies), len(bob.replies)) == (before[0] + 10, before[1] + 10)


def test_a_session_that_is_far_behind_and_asks_much_at_once_is_answered_once(small: World) -> None:
    late, bob = Listener(small, "Late"), Recorder("tcp bob")
    small.ask(bob, b"1 Bob")
    says(small, bob, 100)
    before = len(late.peer.replies)
    for _ in range(10):
        small.server.receive(late.next().encode(), late.peer)
    small.turn()
    answers = late.peer.replies[before:]
    assert [answer is None for answer in answers] == [True] * 9 + [False]


def test_a_request_of_who_is_far_behind_that_comes_many_times_is_not_answered_at_once(
    small: World,
) -> None:
    late, bob = Listener(small, "Late"), Recorder("tcp bob")
    small.ask(bob, b"1 Bob")
    says(small, bob, 100)
    request = late.next(b"2 hi").encode()
    peers = [Recorder(f"tcp {number}") for number in range(20)]
    for peer in peers:
        small.server.receive(request, peer)
    small.turn()
    assert sum(bool(peer.replies) for peer in peers) == 13
    settle(small)
    assert all(peer.replies[0] for peer in peers)


def test_sessions_that_are_far_behind_are_answered_by_datagram_so_many_at_a_time(
    small: World,
) -> None:
    late = [Listener(small, f"late {number}", datagram=True) for number in range(50)]
    bob = Recorder("tcp bob")
    small.ask(bob, b"1 Bob")
    says(small, bob, 100)
    for one in late:
        small.server.receive(one.next().encode(), one.peer)
        one.peer.replies.clear()
    small.turn()
    assert sum(bool(one.peer.replies) for one in late) == 32
    settle(small)
    assert all(one.peer.replies for one in late)


def test_what_those_ask_who_are_far_behind_is_answered_when_a_server_stops(small: World) -> None:
    late, bob = Recorder("tcp late"), Recorder("tcp bob")
    for peer, name in ((late, b"1 Late"), (bob, b"1 Bob")):
        small.ask(peer, name)
    says(small, bob, 100)
    before = len(late.replies)
    for _ in range(10):
        small.server.receive(b"5", late)
    small.server.stop(lambda: None)
    small.turn()
    assert len(late.replies) - before == 10
