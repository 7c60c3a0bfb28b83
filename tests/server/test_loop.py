"""The loop, with peers that only record: what is carried out when, and what is logged."""

import logging
from collections.abc import Iterable

import pytest

from groupchat.core.plain import REPLY_BYTES
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.server import Limits
from groupchat.server.quiet import LOG_MILLISECONDS
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, SlowJournal, World


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
    # They take turns, so what he said first is carried out after what she asked second.
    assert alice.replies == [b"", b"Bob has joined"]
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


# Plain requests and sessions.


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


# The log for people.


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
