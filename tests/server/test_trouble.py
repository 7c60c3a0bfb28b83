"""A journal that cannot be written, or cannot be read: who hears of it, and what goes on."""

import logging

import pytest

from groupchat.core import Group, Leave
from groupchat.core.chat import Chat
from groupchat.core.pages import Page
from groupchat.core.plain import UNREADABLE
from groupchat.core.records import Drop, Record
from groupchat.core.sessions.replies import Answer, Opened, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.core.timeline import Timeline
from groupchat.journal import DurableJournal
from groupchat.journal.storage import Damaged
from groupchat.server import Limits
from groupchat.server.quiet import LOG_MILLISECONDS
from tests.core.sessions.desk import NONCE
from tests.journal.making import Kept
from tests.world import Recorder, Slow, SlowJournal, World

HINT = ". It may still be in the log: stop the server, and run 'groupchat journal check'"


class Damageable:
    """Old pages that cannot always be read."""

    def __init__(self, timeline: Timeline) -> None:
        self.damaged = True
        self.first_damaged = 0
        full = timeline.closed(0)
        self._pages = {place.first: place.load() for place in full}
        for place in full:
            place.shelve(self._bring)

    def _bring(self, first: int) -> Page:
        if self.damaged and first >= self.first_damaged:
            raise Damaged(f"the page {first} is damaged")
        return self._pages[first]


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO)
    world = World()
    world.journal.chat.group.timeline._page_bytes = 40
    return world


def session(world: World, name: str) -> tuple[Recorder, str]:
    """Return a member with a session on a connection, and its token."""
    peer = Recorder(f"tcp {name}")
    opened = decode_reply(world.ask(peer, Open("main", NONCE).encode()) or b"", NONCE)
    assert isinstance(opened, Opened)
    world.ask(peer, Ask(opened.token, 1, Mark(0), (b"1 " + name.encode(),)).encode())
    return peer, opened.token


def last(peer: Recorder, token: str) -> Answer:
    answer = decode_reply(peer.replies[-1] or b"", token)
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize("datagram", [65_507, None])
def test_who_has_missed_what_cannot_be_read_is_told_so_and_everybody_else_goes_on(
    world: World, caplog: pytest.LogCaptureFixture, datagram: int | None
) -> None:
    late, bob = Recorder("late", datagram), Recorder("bob", 65_507)
    world.ask(late, b"1 Late")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 4)
    pages = Damageable(world.journal.chat.group.timeline)
    world.server.receive(b"5", late)
    world.server.receive(b"2 go on", bob)
    world.turn()
    assert late.replies[-1] == UNREADABLE
    assert bob.replies[-1] == b""
    (line,) = [line for line in caplog.messages if "damaged" in line]
    assert line == "what late has missed cannot be read: the page 0 is damaged" + HINT
    pages.damaged = False
    if datagram:  # nothing has been lost by asking
        assert str(world.ask(late, b"5")).count("Bob: ") == 5


def test_what_can_be_read_before_it_is_told(world: World) -> None:
    late, bob = Recorder("late"), Recorder("bob")
    world.ask(late, b"1 Late")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 8)
    pages = Damageable(world.journal.chat.group.timeline)
    pages.damaged = False
    told: list[bytes] = []

    def reply(pieces: object) -> None:
        for piece in pieces:  # type: ignore[attr-defined]
            told.append(piece)
            pages.damaged = True

    late.reply = reply  # type: ignore[method-assign]
    world.ask(late, b"5")
    assert len(told) == 2
    assert told[0].endswith(b"x\n")
    assert told[1] == UNREADABLE


def test_a_session_is_told_that_it_is_unreadable_and_gets_it_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    peer, token = session(world, "Late")
    bob = Recorder("bob")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 4)
    pages = Damageable(world.journal.chat.group.timeline)
    world.ask(peer, Ask(token, 2, Mark(1), (b"2 hi",)).encode())
    assert last(peer, token) == Answer(2, ("done",), Mark(1), Mark(1), 1, unreadable=True)
    assert any("cannot be read" in line for line in caplog.messages)
    assert world.ask(bob, b"5") == b"Late: hi"
    pages.damaged = False
    world.ask(peer, Ask(token, 3, Mark(1)).encode())
    assert last(peer, token).body.count(b"Bob: x") == 4


def test_who_waits_is_told_when_his_time_is_up(world: World) -> None:
    peer, token = session(world, "Late")
    bob = Recorder("bob")
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 4)
    Damageable(world.journal.chat.group.timeline)
    count = len(peer.replies)
    world.ask(peer, Ask(token, 2, Mark(1), wait=20).encode())
    world.ask(bob, b"2 hi")
    assert len(peer.replies) == count
    world.wait(21)
    assert last(peer, token).unreadable


def test_who_follows_is_not_told_what_cannot_be_read_and_others_are(world: World) -> None:
    (late, late_token), (quick, quick_token) = session(world, "Late"), session(world, "Quick")
    bob = Recorder("bob")
    world.ask(quick, Ask(quick_token, 2, Mark(2), follow=True).encode())
    world.ask(late, Ask(late_token, 2, Mark(2), follow=True).encode())
    world.ask(bob, b"1 Bob")
    world.ask(bob, *[b"2 " + b"x" * 30] * 4)
    world.takes_more(quick)
    world.ask(bob, b"2 more")  # or he would be told what has just been made for the other
    pages = Damageable(world.journal.chat.group.timeline)
    world.takes_more(late)
    pushed = len(late.pushed)
    world.ask(bob, b"2 hi")
    assert len(late.pushed) == pushed
    world.takes_more(quick)
    assert b"Bob: hi" in quick.pushed[-1]
    pages.damaged = False
    world.ask(bob, b"2 ho")
    assert b"Bob: hi" in late.pushed[-1]


def test_a_follower_is_not_told_again_and_again_that_something_cannot_be_read(
    world: World,
) -> None:
    """Some of it can be, so there is news, and yet it cannot be told."""
    peer, token = session(world, "Late")
    world.ask(peer, Ask(token, 2, Mark(1), follow=True).encode())
    slow = Slow("tcp slow")
    bob = Recorder("bob")
    world.ask(slow, Ask(token, 3, Mark(1), follow=True).encode())
    slow.read()
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 4)
    pages = Damageable(world.journal.chat.group.timeline)
    pages.first_damaged = 3
    for _ in range(2):  # once whenever something happens
        slow.read()
        world.turn()
        assert not slow.unread
        world.ask(bob, b"2 hi")
    assert not any(b"Bob" in message for message in slow.pushed)
    pages.damaged = False
    slow.read()
    assert slow.pushed[-1].count(b"Bob: hi") == 2


def test_an_answer_that_cannot_be_made_when_it_is_read_says_so(world: World) -> None:
    _, token = session(world, "Late")
    slow, bob = Slow("tcp slow"), Recorder("bob")
    world.ask(slow, Ask(token, 2, Mark(1), (b"2 hi",)).encode())
    world.ask(bob, b"1 Bob", *[b"2 " + b"x" * 30] * 4)
    Damageable(world.journal.chat.group.timeline)
    slow.read()
    assert last(slow, token) == Answer(2, ("done",), Mark(1), Mark(1), 1, unreadable=True)


def test_trouble_is_logged_once_a_second_and_its_end_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    journal = SlowJournal()
    world, alice = World(journal), Recorder("a")
    full = OSError("the disk is full")
    for error in (full, full, full, None, None):
        world.ask(alice, b"1 Alice", b"2 hi")
        journal.written(error)
    world.now += LOG_MILLISECONDS
    world.ask(alice, b"2 ho")
    journal.written(full)
    assert caplog.messages == [
        "nothing was stored: the disk is full",
        "the journal works again",
        "Alice joined (a); members: 1",
        "refused a: already a member",
        "nothing was stored: the disk is full; 2 more before",
    ]


def test_trouble_is_not_lost_among_refusals(caplog: pytest.LogCaptureFixture) -> None:
    journal = SlowJournal()
    world, alice = World(journal), Recorder("a")
    world.ask(alice, *[b"junk"] * 50, b"1 Alice")
    journal.written(OSError("the disk is full"))
    assert "nothing was stored: the disk is full" in caplog.messages


def test_who_has_gone_leaves_as_soon_as_that_can_be_written_down() -> None:
    journal = SlowJournal()
    world, alice, bob = World(journal), Recorder("tcp a #1"), Recorder("b")
    world.server.come(alice)
    world.server.receive(b"1 Alice", alice)
    world.server.receive(b"1 Bob", bob)
    world.turn()
    journal.written()
    world.server.gone(alice)
    world.turn()
    for _ in range(3):
        journal.written(OSError("the disk is full"))
        world.wait(1)
    journal.written()
    assert world.ask(bob, b"5") == b"Alice has left the group"
    world.wait(5)
    records = [record for batch in journal.batches for record in batch]
    assert [record.commands for record in records[2:]] == [(Leave(),)] * 4


@pytest.mark.parametrize("kind", [Damaged, OSError])
def test_what_is_too_old_cannot_be_found_but_the_clock_goes_on(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SlowJournal):
        ticks = 0

        def outdated(self, now: int) -> Drop | None:
            self.ticks += 1
            assert now > 1_000_000
            raise kind(f"batch {self.ticks} is damaged")

    journal = Broken()
    world = World(journal, Limits(idle=3))
    world.ask(Recorder("a"), b"1 Alice")
    journal.written()
    world.wait(4)
    assert journal.ticks == 4
    lines = [line for line in caplog.messages if "damaged" in line]
    assert lines[0] == "what server has missed cannot be read: batch 1 is damaged" + HINT
    assert journal.batches[-1] == [Record(1_003_000, "a", 1, (Leave(),))]


@pytest.mark.parametrize("sender", ["pipe 1\t#2", "pipe\n#1", "pipe \udcff", "pipe\x1e"])
@pytest.mark.parametrize("datagram", [None, 512])
def test_who_cannot_be_written_down_costs_nobody_else_his_batch(
    sender: str, datagram: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Transports can be anybody's."""
    storage = Kept()
    world = World(DurableJournal(storage))
    alice, odd = Recorder("a"), Recorder(sender, datagram)
    assert not world.server.come(odd).wanted
    assert not world.server.receive(b"1 Eve", odd).wanted
    assert world.ask(alice, b"1 Alice") == b""
    assert world.ask(alice, b"2 hello") == b""
    assert [row.number for row in storage.batches(0)] == [1, 2]
    assert caplog.messages.count(f"not a sender, so it is not heard: {sender!r}") == 1


def test_a_chat_that_is_not_new_can_be_served() -> None:
    """As a journal brings it."""
    chat = Chat(Group(Timeline(page_bytes=40)))
    world = World(SlowJournal(chat))
    assert world.ask(Recorder("a"), b"5") == b"Illegal request"
