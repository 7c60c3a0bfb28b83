"""Bytes to somebody who may not be there, for by datagrams an address may be made up."""

import pytest

from groupchat.core.pages import Page
from groupchat.core.plain import NOT_STORED, TOO_MANY, UNREADABLE
from groupchat.journal.storage import Damaged
from groupchat.server import Limits
from tests.server.members import REFUSED, UDP, joined
from tests.world import Recorder, SlowJournal, World


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
    for place in timeline.closed(0):
        place.shelve(_unreadable)
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


def test_a_clock_that_is_wrong_for_a_while_silences_nobody() -> None:
    """It is set by a year, and back again, when a machine has found a network."""
    world = World(limits=Limits())
    far, near = joined(world, "a", UDP), joined(world, "b")
    for world.ahead in (365 * 86_400_000, 0, -86_400_000):
        for _ in range(300):
            world.ask(near, b"2 " + b"z" * 900)
            world.now += 200
            assert world.ask(far, b"5") not in (b"", None)
