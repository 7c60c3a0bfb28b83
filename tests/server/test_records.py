"""What the server writes down, and that nobody is answered before: with a journal that takes
its time.
"""

import pytest

from groupchat.core import Join, Send
from groupchat.core.plain import NOT_STORED, REPLY_BYTES
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from tests.core.sessions.desk import NONCE
from tests.server.members import REFUSED
from tests.world import Recorder, SlowJournal, World


def test_nobody_is_answered_before_it_is_written_down(journal: SlowJournal) -> None:
    world, alice, bob = World(journal), Recorder("a"), Recorder("b")
    world.ask(alice, b"1 Alice")
    assert not alice.replies
    world.server.receive(b"1 Bob", bob)
    world.server.receive(b"2 Hi", bob)
    world.server.receive(b"5", alice)
    world.turn()
    assert len(journal.batches) == 1  # one at a time
    journal.written()
    assert alice.replies == [b""]
    world.turn()
    assert (alice.replies, bob.replies) == ([b""], [])
    journal.written()
    assert alice.replies == [b"", b"Bob has joined"]
    assert bob.replies == [b"Alice", b""]
    assert [[record.commands for record in batch] for batch in journal.batches] == [
        [(Join("Alice"),)],
        [(Join("Bob"),), (Send("Hi"),)],
    ]


def test_replies_come_in_the_order_of_the_requests_whatever_they_cost(
    journal: SlowJournal,
) -> None:
    """One client may have many under way."""
    world, alice = World(journal), Recorder("a")
    world.ask(alice, b"5", b"1 Alice", b"5", b"junk", b"2 hi", b"1 Al", b"5", b"4", b"5")
    journal.written()
    refused, none = REFUSED, b""
    assert alice.replies == [refused, none, none, refused, none, refused, none, none, refused]


def test_only_what_is_accepted_is_written_down(journal: SlowJournal) -> None:
    world, alice = World(journal), Recorder("a")
    world.ask(alice, b"5", b"2 hi", b"junk", b"@junk", b"4", b"1 a:b", b"1 ")
    assert alice.replies == [REFUSED] * 7
    assert not journal.batches
    world.ask(alice, b"1 Alice")
    journal.written()
    world.ask(alice, b"5")
    assert len(journal.batches) == 1
    assert alice.replies[-1] == b""


def test_what_cannot_be_written_down_has_not_happened_and_is_said_so(
    journal: SlowJournal, caplog: pytest.LogCaptureFixture
) -> None:
    world, alice, bob = World(journal), Recorder("a"), Recorder("b")
    world.ask(alice, b"1 Alice")
    journal.written()
    world.server.receive(b"2 lost", alice)
    world.server.receive(b"1 Bob", bob)
    world.server.receive(b"5", bob)
    world.server.receive(b"5", alice)
    world.server.receive(b"junk", alice)
    world.turn()
    journal.written(OSError("the disk is full"))
    assert alice.replies == [b"", NOT_STORED, b"", REFUSED]
    assert bob.replies == [NOT_STORED, REFUSED]
    assert "nothing was stored: the disk is full" in caplog.messages
    world.server.receive(b"1 Bob", bob)
    world.server.receive(b"2 kept", alice)
    world.turn()
    journal.written()
    assert bob.replies[-1] == b"Alice"
    assert world.ask(bob, b"5") == b"Alice: kept"


def test_in_the_log_time_never_goes_back(journal: SlowJournal) -> None:
    """Clocks are set back; also while no server runs."""
    world, alice = World(journal), Recorder("a")
    for ahead in (0, -995_000, 1):
        world.ahead = ahead
        world.ask(alice, b"1 Alice" if not journal.batches else b"2 hi")
        journal.written()
    assert [batch[0].time for batch in journal.batches] == [1_000_000, 1_000_000, 1_000_001]
    again = World(SlowJournal(journal.chat), now=5_000)
    again.ask(alice, b"2 hi")
    assert isinstance(again.journal, SlowJournal)
    assert again.journal.batches[0][0].time == 1_000_001


def test_a_record_says_how_far_its_sender_had_come_and_how_far_its_reply_takes_him(
    journal: SlowJournal,
) -> None:
    world = World(journal, Limits(reply=123, stray=None))
    stream, datagram = Recorder("a"), Recorder("b", datagram=65_507)
    for request in (b"1 Alice", b"2 hi"):
        for peer in (stream, datagram):
            world.ask(peer, request.replace(b"Alice", peer.sender.encode()))
            journal.written()
    records = [record for batch in journal.batches for record in batch]
    assert records == [
        Record(1_000_000, "a", 0, (Join("a"),), 123),
        Record(1_000_000, "b", 0, (Join("b"),), REPLY_BYTES),
        Record(1_000_000, "a", 1, (Send("hi"),), 123),
        Record(1_000_000, "b", 2, (Send("hi"),), REPLY_BYTES),
    ]


def test_who_was_connected_when_the_last_server_ended_has_left(journal: SlowJournal) -> None:
    world = World(journal)
    for sender in ("tcp 192.0.2.1:5 #3", "udp 192.0.2.1:5"):
        world.ask(Recorder(sender), f"1 {sender[:3]}".encode())
        journal.written()
    again = World(SlowJournal(journal.chat))
    assert isinstance(again.journal, SlowJournal)
    again.journal.written()
    udp = Recorder("udp 192.0.2.1:5")
    assert again.ask(udp, b"5") == b"tcp has left the group"


def test_who_comes_under_the_number_of_one_who_is_still_to_leave_is_not_taken_for_him(
    journal: SlowJournal,
) -> None:
    """Numbers of connections come again after a restart."""
    world = World(journal)
    world.ask(Recorder("tcp 192.0.2.1:5 #3"), b"1 Alice")
    journal.written()
    again = World(SlowJournal(journal.chat))
    assert isinstance(again.journal, SlowJournal)
    again.journal.written(OSError("the disk is full"))
    assert not again.server.come(Recorder("tcp 192.0.2.1:5 #3")).wanted
    assert again.server.come(Recorder("tcp 192.0.2.1:5 #4")).wanted
    again.wait(1)
    again.journal.written()
    assert again.server.come(Recorder("tcp 192.0.2.1:5 #3")).wanted


def test_what_is_too_old_is_let_go_of_as_the_log_says(journal: SlowJournal) -> None:
    world = World(journal)
    journal.old = [Drop(5)]
    world.wait(3)
    assert journal.batches == [[Record(1_001_000, SERVER, 0, (Drop(5),))]]
    journal.written()


def test_what_is_due_while_something_is_written_is_carried_out_right_after_it(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    world.ask(Recorder("a"), b"1 Alice")
    journal.old = [Drop(1)]
    world.wait(1)
    journal.written()
    world.turn()
    assert journal.batches[1:] == [[Record(1_001_000, SERVER, 0, (Drop(1),))]]
    journal.written()


def test_while_the_journal_is_slow_the_same_is_not_let_go_of_again_and_again(
    journal: SlowJournal,
) -> None:
    world = World(journal)
    world.ask(Recorder("a"), b"1 Alice")
    journal.old = [Drop(1), Drop(1), Drop(1)]
    for _ in range(3):
        world.wait(1)
    journal.written()
    world.turn()
    assert [record.commands for record in journal.batches[1]] == [(Drop(1),)]


def test_a_session_is_told_what_was_not_stored(journal: SlowJournal) -> None:
    world, bob = World(journal), Recorder("tcp b #1")
    opened = decode_reply(world.ask(bob, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(bob, Ask(opened.token, 1, Mark(0), (b"1 Bob", b"2 Hi", b"x")).encode())
    journal.written(OSError("the disk is full"))
    answer = decode_reply(bob.replies[-1] or b"", opened.token)
    assert isinstance(answer, Answer)
    assert answer.results == ("not-stored", "not-stored", "not-a-request")
