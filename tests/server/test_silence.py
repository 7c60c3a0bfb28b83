"""Silence: members who are not heard of for long, and connections that no member uses."""

from groupchat.core.sessions.replies import Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from tests.core.sessions.desk import NONCE
from tests.server.members import REFUSED, UDP, joined
from tests.world import Recorder, SlowJournal, World


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


def test_one_member_does_not_hold_many_connections() -> None:
    """Else one of them could take all there are."""
    world = World(limits=Limits(silence=10))
    peers = [Recorder(f"tcp {n} #{n}") for n in range(3)]
    assert all(world.server.come(peer).wanted for peer in peers)
    opened = decode_reply(world.ask(peers[0], Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(peers[0], Ask(opened.token, 1, Mark(0), (b"1 Alice",)).encode())
    for number, peer in enumerate(peers, 2):
        world.ask(peer, Ask(opened.token, number, Mark(0)).encode())
    world.wait(11)
    assert [peer.closed for peer in peers] == [True, True, False]
    world.server.gone(peers[2])
    back = Recorder("tcp 4 #4")
    assert world.server.come(back).wanted
    world.ask(back, Ask(opened.token, 9, Mark(0)).encode())
    world.wait(30)
    assert not back.closed


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
