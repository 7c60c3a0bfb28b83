"""How the server stops: what has arrived is carried out, and who is a connection leaves."""

import pytest

from groupchat.core import Join, Leave
from groupchat.core.plain import NOT_STORED
from groupchat.core.sessions.replies import Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server.inbox import BATCH_REQUESTS
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, SlowJournal, World


def test_before_it_stops_all_that_has_arrived_is_carried_out(journal: SlowJournal) -> None:
    world, alice, bob = World(journal), Recorder("a"), Recorder("b")
    stopped: list[bool] = []
    world.ask(alice, b"1 Alice")
    world.server.receive(b"1 Bob", bob)
    world.server.stop(lambda: stopped.append(True))
    journal.written()
    world.turn()
    assert journal.rests == 0
    journal.written()
    assert (alice.replies, bob.replies) == ([b""], [b"Alice"])
    world.turn()
    assert journal.rests == 1
    assert not stopped
    world.server.receive(b"2 too late", alice)
    world.wait(5)
    journal.written()
    assert stopped == [True]
    assert len(journal.batches) == 2
    assert alice.replies == [b"", None]


def test_what_arrives_while_it_stops_is_not_carried_out_and_has_no_reply(
    journal: SlowJournal,
) -> None:
    """Else it would never stop, and who asked by datagram would miss what the reply tells."""
    world = World(journal)
    stream, datagram = Recorder("tcp a #1"), Recorder("udp b", datagram=65_507)
    assert world.server.come(stream).wanted
    for peer, name in ((stream, b"1 Alice"), (datagram, b"1 Bob")):
        world.ask(peer, name)
        journal.written()
    world.server.stop(lambda: None)
    world.turn()
    for _ in range(3):
        for peer in (stream, datagram):
            world.server.receive(b"2 too late", peer)
        world.turn()
    assert not world.server.come(Recorder("tcp c #2")).wanted
    assert (stream.replies, datagram.replies) == ([b""], [b"Alice"])
    journal.written()
    world.turn()
    world.server.receive(b"2 too late", stream)
    world.turn()
    assert (stream.replies, datagram.replies) == ([b"", *[None] * 4], [b"Alice"])
    assert [[type(r.commands[0]) for r in batch] for batch in journal.batches[2:]] == [[Leave]]


@pytest.mark.parametrize("error", [None, OSError("the disk is full")])
def test_who_is_a_connection_leaves_when_it_stops_or_if_that_is_not_stored_when_it_starts(
    journal: SlowJournal, error: OSError | None
) -> None:
    world = World(journal)
    stream, datagram = Recorder("tcp a #1"), Recorder("udp b", datagram=65_507)
    late, session = Recorder("tcp c #2"), Recorder("tcp d #3")
    assert all(world.server.come(peer).wanted for peer in (stream, late, session))
    opened = decode_reply(world.ask(session, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.server.receive(Ask(opened.token, 1, Mark(0), (b"1 Dora",)).encode(), session)
    world.server.receive(b"1 Alice", stream)
    world.ask(datagram, b"1 Bob")
    journal.written()
    world.server.receive(b"1 Cy", late)
    world.server.stop(lambda: None)
    world.turn()
    journal.written(error)
    assert late.replies == [NOT_STORED if error else b"Bob, Alice, Dora"]
    for peer in (stream, late, session):  # the listeners are closed
        world.server.gone(peer)
    world.turn()
    journal.written(error)
    assert journal.rests == 1
    assert len(journal.batches) == 2
    again = World(SlowJournal(journal.chat))
    if error:
        assert isinstance(again.journal, SlowJournal)
        again.journal.written()
    assert list(journal.chat.group) == ["Bob", "Dora"]
    told = "" if error else "Cy has joined\n"
    ends = ["Alice has left the group"] if error else ["Alice has left the group", "Cy has left"]
    reply = (again.ask(datagram, b"5") or b"").decode()
    assert reply.startswith(told + ends[0])
    assert ends[-1] in reply


def test_who_leaves_just_before_it_stops_leaves_once(journal: SlowJournal) -> None:
    world, stream = World(journal), Recorder("tcp a #1")
    world.server.receive(b"1 Alice", stream)
    world.server.receive(b"4", stream)
    world.server.stop(lambda: None)
    world.turn()
    assert [record.commands for record in journal.batches[0]] == [(Join("Alice"),), (Leave(),)]
    journal.written()
    assert stream.replies == [b"", b""]


def test_whoever_waits_for_news_when_it_stops_has_no_reply(journal: SlowJournal) -> None:
    """Or his connection could not be closed at once."""
    world, peer = World(journal), Recorder("tcp a #1")
    assert world.server.come(peer).wanted
    opened = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(peer, Ask(opened.token, 1, Mark(0), (b"1 Alice",)).encode())
    journal.written()
    world.ask(peer, Ask(opened.token, 2, Mark(1), wait=50).encode())
    assert len(peer.replies) == 2
    world.server.stop(lambda: None)
    world.turn()
    assert peer.replies[2:] == [None]
    world.wait(60)
    assert len(peer.replies) == 3


def test_it_stops_at_once_when_nothing_is_under_way(journal: SlowJournal) -> None:
    world = World(journal)
    stopped: list[bool] = []
    world.server.stop(lambda: stopped.append(True))
    world.turn()
    journal.written(OSError("the disk is full"))
    assert stopped == [True]


def test_what_waits_for_its_turn_when_it_stops_is_carried_out() -> None:
    world, alice, bob = World(), Recorder("tcp a #1"), Recorder("b")
    stopped: list[bool] = []
    assert world.server.come(alice).wanted
    world.ask(alice, b"1 Alice")
    world.ask(bob, b"1 Bob")
    for number in range(3 * BATCH_REQUESTS):
        world.server.receive(b"2 %d" % number, alice)
    world.turn()
    world.server.gone(alice)
    world.server.stop(lambda: stopped.append(True))
    while world.due:
        world.turn()
    assert stopped == [True]
    assert len(alice.replies) == 1 + 3 * BATCH_REQUESTS
    assert not world.journal.chat.group.members.keys() & {"tcp a #1"}
