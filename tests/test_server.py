"""The loop, with peers that only record: what is carried out when, and what is logged."""

import logging
from collections.abc import Iterable

import pytest

from groupchat.core import Join, Leave, Send
from groupchat.core.peer import FROM_STRANGER, UNWANTED
from groupchat.core.plain import NOT_STORED, REPLY_BYTES
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from groupchat.server.inbox import (
    BATCH_REQUESTS,
    CROWDED_BYTES,
    GATHERED_BYTES,
    GATHERED_REQUESTS,
    Inbox,
)
from groupchat.server.quiet import LOG_MILLISECONDS
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, SlowJournal, World

REFUSED = b"Illegal request"


class Broken(Recorder):
    """The peer of a transport that has a bug."""

    def reply(self, pieces: Iterable[bytes] | None) -> None:
        raise RuntimeError("a bug of the transport", pieces)


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO)
    return World()


def test_requests_are_gathered_and_carried_out_in_one_turn(world: World) -> None:
    alice, bob = Recorder("a"), Recorder("b")
    world.server.receive(b"1 Alice", alice)
    world.server.receive(b"1 Bob", bob)
    world.server.receive(b"2 Hi", bob)
    world.server.receive(b"5", alice)
    assert not alice.replies
    assert len(world.due) == 1
    world.turn()
    assert alice.replies == [b"", b"Bob has joined\nBob: Hi"]
    assert bob.replies == [b"Alice", b""]
    assert not world.due


def test_a_reply_by_datagram_is_as_long_as_the_first_clients_read(world: World) -> None:
    alice, bob = Recorder("a", datagram=65_507), Recorder("b")
    world.ask(alice, b"1 Alice")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 300] * 4)
    world.ask(alice, b"5", b"5", b"5")
    assert [len(reply or b"") for reply in alice.replies] == [0, 14 + 3 * 306, 305, 0]
    assert REPLY_BYTES == 1_024


def test_a_reply_on_a_connection_is_as_long_as_the_limits_say() -> None:
    world = World(limits=Limits(reply=50))
    alice, bob = Recorder("a"), Recorder("b")
    world.ask(alice, b"1 Alice")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 15] * 4)
    world.ask(alice, b"5", b"5", b"2 hi", b"5")
    assert [len(reply or b"") for reply in alice.replies[1:]] == [14 + 21, 20 + 21, 20, 0]


def test_whoever_is_gone_leaves_after_what_he_asked_and_gets_no_more_replies(world: World) -> None:
    alice, bob = Recorder("a"), Recorder("b")
    world.ask(alice, b"1 Alice")
    assert world.server.come(bob).wanted
    world.ask(bob, b"1 Bob")
    world.server.receive(b"2 last words", bob)
    world.server.gone(bob)
    world.turn()
    world.ask(alice, b"5")
    assert bob.replies == [b"Alice", b""]
    assert alice.replies[-1] == b"Bob has joined\nBob: last words\nBob has left the group"


def test_who_is_gone_without_being_a_member_is_no_news(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Recorder("s")
    assert world.server.come(stranger).wanted
    world.server.gone(stranger)
    world.turn()
    assert not stranger.replies
    assert not caplog.messages


def test_what_is_asked_while_a_turn_runs_waits_for_the_next(world: World) -> None:
    class Eager(Recorder):
        def reply(self, pieces: Iterable[bytes] | None) -> None:
            super().reply(pieces)
            if len(self.replies) == 1:
                world.server.receive(b"5", self)

    alice = Eager("a")
    world.ask(alice, b"1 Alice")
    assert alice.replies == [b""]
    world.turn()
    assert alice.replies == [b"", b""]


def test_a_broken_transport_costs_nobody_else_his_reply(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Broken("bad"), Recorder("good")
    world.server.receive(b"1 Alice", bad)
    world.server.receive(b"1 Bob", good)
    world.turn()
    assert good.replies == [b"Alice"]
    assert "could not answer bad" in caplog.messages


def test_a_request_that_breaks_something_has_no_reply_and_is_said_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection may have so many requests without an answer, and no more."""

    class Unwelcome(Recorder):
        def welcome(self) -> None:
            raise RuntimeError("a bug")

    peer = Unwelcome("a")
    world.ask(peer, b"1 Alice", b"5")
    assert peer.replies == [None, b""]
    assert "could not carry out what a asked" in caplog.messages


# --- The journal ------------------------------------------------------------------------------


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


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
    assert alice.replies == [b"", b"Bob has joined\nBob: Hi"]
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


@pytest.mark.parametrize("waits", [False, True])
def test_what_waits_for_its_turn_counts_as_waiting(waits: bool) -> None:
    inbox, peer = Inbox(), Recorder("a", datagram=65_507)
    for _ in range(GATHERED_REQUESTS - 1):
        inbox.put(b"5", peer)
    batch = len(inbox.batch()) if waits else 0
    assert batch in (0, BATCH_REQUESTS)
    assert not inbox.is_full
    for _ in range(batch):
        inbox.put(b"5", peer)
    assert not inbox.is_full
    inbox.put(b"5", peer)
    assert inbox.is_full
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


def test_plain_requests_and_sessions_are_one_batch(journal: SlowJournal) -> None:
    world, alice, bob = World(journal), Recorder("a"), Recorder("tcp b #1")
    opened = decode_reply(world.ask(bob, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.server.receive(b"1 Alice", alice)
    world.server.receive(Ask(opened.token, 1, Mark(0), (b"1 Bob", b"2 Hi")).encode(), bob)
    world.server.receive(b"5", alice)
    world.turn()
    assert [len(batch) for batch in journal.batches] == [2]
    journal.written()
    assert alice.replies == [b"", b"Bob has joined\nBob: Hi"]
    answer = decode_reply(bob.replies[-1] or b"", opened.token)
    assert answer == Answer(1, ("done", "done"), Mark(3), Mark(3), 3)


def test_a_peer_is_welcomed_when_it_has_become_a_member(journal: SlowJournal) -> None:
    world, plain, session = World(journal), Recorder("a"), Recorder("tcp b #1")
    opened = decode_reply(world.ask(session, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    for number, error in enumerate([OSError("the disk is full"), None], 1):
        world.server.receive(b"1 Alice", plain)
        world.ask(session, Ask(opened.token, number, Mark(0), (b"1 Bob", b"2 Hi")).encode())
        assert (plain.welcomed, session.welcomed) == (0, 0)
        journal.written(error)
    assert (plain.welcomed, session.welcomed) == (1, 1)
    world.ask(plain, b"2 hi", b"1 Zed", b"4")
    journal.written()
    assert plain.welcomed == 1


def test_a_session_is_told_what_was_not_stored(journal: SlowJournal) -> None:
    world, bob = World(journal), Recorder("tcp b #1")
    opened = decode_reply(world.ask(bob, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(bob, Ask(opened.token, 1, Mark(0), (b"1 Bob", b"2 Hi", b"x")).encode())
    journal.written(OSError("the disk is full"))
    answer = decode_reply(bob.replies[-1] or b"", opened.token)
    assert isinstance(answer, Answer)
    assert answer.results == ("not-stored", "not-stored", "not-a-request")


# --- The log for people -----------------------------------------------------------------------


def test_joins_renames_and_leaves_are_logged_and_texts_are_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ask(Recorder("udp 127.0.0.1:5"), b"1 Alice", b"2 secret", b"3 Al", b"5", b"4")
    assert caplog.messages == [
        "Alice joined (udp 127.0.0.1:5); members: 1",
        "Alice is now called Al",
        "Al left; members: 0",
    ]


def test_refusals_are_logged_with_their_reason_once_a_second_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Recorder("s")
    world.ask(peer, b"6", b"2 secret")
    world.now += LOG_MILLISECONDS - 1
    world.ask(peer, b"\xff")
    world.now += 1
    world.ask(peer, b"5")
    world.now += LOG_MILLISECONDS
    world.ask(peer, b"1 a:b")
    assert caplog.messages == [
        "refused s: not a request",
        "refused s: not a member; 2 more before",
        "refused s: not a legal name",
    ]
    assert peer.replies == [b"Illegal request"] * 5
