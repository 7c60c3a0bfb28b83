"""The loop, with peers that only record: what is carried out when, and what is logged."""

import logging
from collections.abc import Callable, Iterable

import pytest

from groupchat.core import Group
from groupchat.server import REFUSAL_LOG_INTERVAL, Server


class Recorder:
    """A peer that keeps its replies."""

    def __init__(self, sender: str, budget: int | None = None) -> None:
        self.sender = sender
        self.budget = budget
        self.replies: list[bytes] = []

    def reply(self, pieces: Iterable[bytes]) -> None:
        self.replies.append(b"".join(pieces))


class Broken(Recorder):
    """The peer of a transport that has a bug."""

    def reply(self, pieces: Iterable[bytes]) -> None:
        raise RuntimeError("a bug of the transport", pieces)


class Loop:
    """A clock that is set by hand, and turns that are taken by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.due: list[Callable[[], None]] = []
        self.server = Server(Group(), lambda: self.now, self.due.append)

    def turn(self) -> None:
        due = self.due[:]
        self.due.clear()
        for call in due:
            call()

    def ask(self, peer: Recorder, *requests: bytes) -> None:
        for request in requests:
            self.server.receive(request, peer)
        self.turn()


@pytest.fixture
def loop(caplog: pytest.LogCaptureFixture) -> Loop:
    caplog.set_level(logging.INFO)
    return Loop()


def test_requests_are_gathered_and_carried_out_in_one_turn(loop: Loop) -> None:
    alice, bob = Recorder("a"), Recorder("b")
    loop.server.receive(b"1 Alice", alice)
    loop.server.receive(b"1 Bob", bob)
    loop.server.receive(b"2 Hi", bob)
    loop.server.receive(b"5", alice)
    assert not alice.replies
    assert len(loop.due) == 1
    loop.turn()
    assert alice.replies == [b"", b"Bob has joined\nBob: Hi"]
    assert bob.replies == [b"Alice", b""]
    assert not loop.due


def test_the_peer_says_how_long_its_replies_may_be(loop: Loop) -> None:
    alice, bob = Recorder("a", budget=10), Recorder("b")
    loop.ask(alice, b"1 Alice")
    loop.ask(bob, b"1 Bob", b"2 one", b"2 two")
    loop.ask(alice, b"5", b"5", b"5", b"5")
    assert alice.replies == [b"", b"Bob has joined", b"Bob: one", b"Bob: two", b""]


def test_whoever_is_gone_leaves_after_what_he_asked_and_gets_no_more_replies(loop: Loop) -> None:
    alice, bob = Recorder("a"), Recorder("b")
    loop.ask(alice, b"1 Alice")
    loop.ask(bob, b"1 Bob")
    loop.server.receive(b"2 last words", bob)
    loop.server.gone(bob)
    loop.turn()
    loop.ask(alice, b"5")
    assert bob.replies == [b"Alice", b""]
    assert alice.replies[-1] == b"Bob has joined\nBob: last words\nBob has left the group"


def test_who_is_gone_without_being_a_member_is_no_news(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Recorder("s")
    loop.server.gone(stranger)
    loop.turn()
    assert not stranger.replies
    assert not caplog.messages


def test_what_is_asked_while_a_turn_runs_waits_for_the_next(loop: Loop) -> None:
    class Eager(Recorder):
        def reply(self, pieces: Iterable[bytes]) -> None:
            super().reply(pieces)
            if len(self.replies) == 1:
                loop.server.receive(b"5", self)

    alice = Eager("a")
    loop.ask(alice, b"1 Alice")
    assert alice.replies == [b""]
    loop.turn()
    assert alice.replies == [b"", b""]


def test_a_broken_transport_costs_nobody_else_his_reply(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Broken("bad"), Recorder("good")
    loop.server.receive(b"1 Alice", bad)
    loop.server.receive(b"1 Bob", good)
    loop.turn()
    assert good.replies == [b"Alice"]
    assert "could not reply to bad" in caplog.messages


def test_joins_renames_and_leaves_are_logged_and_texts_are_not(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.ask(Recorder("udp 127.0.0.1:5"), b"1 Alice", b"2 secret", b"3 Al", b"5", b"4")
    assert caplog.messages == [
        "Alice joined (udp 127.0.0.1:5); members: 1",
        "Alice is now called Al",
        "Al left; members: 0",
    ]


def test_refusals_are_logged_with_their_reason_once_a_second_and_counted(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Recorder("s")
    loop.ask(peer, b"6", b"2 secret")
    loop.now += REFUSAL_LOG_INTERVAL - 1
    loop.ask(peer, b"\xff")
    loop.now += 1
    loop.ask(peer, b"5")
    loop.now += REFUSAL_LOG_INTERVAL
    loop.ask(peer, b"1 a:b")
    assert caplog.messages == [
        "refused s: not a request",
        "refused s: not a member; 2 more before",
        "refused s: not a legal name",
    ]
    assert peer.replies == [b"Illegal request"] * 5
