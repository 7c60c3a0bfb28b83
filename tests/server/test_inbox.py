"""What waits to be carried out: how much of it, and whose turn it is."""

import pytest

from groupchat.core.peer import FROM_STRANGER, UNWANTED
from groupchat.server.inbox import (
    BATCH_REQUESTS,
    CROWDED_BYTES,
    GATHERED_BYTES,
    GATHERED_REQUESTS,
    Inbox,
)
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
    batch = len(inbox.batch()) if waits else 0
    assert batch in (0, BATCH_REQUESTS)
    full = [inbox.is_full]
    for _ in range(batch):
        inbox.put(b"5", peer)
    full.append(inbox.is_full)
    inbox.put(b"5", peer)
    assert [*full, inbox.is_full] == [False, False, True]
    assert len(inbox.empty()) == GATHERED_REQUESTS
    assert not inbox


def test_bytes_that_wait_for_their_turn_count_as_waiting() -> None:
    inbox, peer = Inbox(), Recorder("a")
    request = b"x" * (GATHERED_BYTES // (2 * BATCH_REQUESTS))
    for _ in range(2 * BATCH_REQUESTS + 1):
        pause = inbox.put(request, peer)
    assert pause
    assert len(inbox.batch()) == BATCH_REQUESTS
    assert not inbox.put(request, peer)
    for _ in range(BATCH_REQUESTS):
        pause = inbox.put(request, peer)
    assert pause
