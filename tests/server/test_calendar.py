"""A clock that jumps ahead lets go of nothing that would still be kept."""

import pytest

from groupchat.core.records import Drop
from groupchat.journal import MemoryJournal
from groupchat.journal.retention import Retention
from groupchat.server.calendar import DOUBT_MILLISECONDS, SLACK_MILLISECONDS
from tests.world import Recorder, SlowJournal, World

DAY = 86_400_000
DOUBT_SECONDS = DOUBT_MILLISECONDS // 1_000
BOB_HEARS = b"Alice: hello"
IT_IS_GONE = b"(1 older events are not kept on this server)"
AHEAD = (
    "the clock has jumped ahead by 3,456,000 s; "
    "nothing is let go of for that in the next 60 minutes"
)


@pytest.fixture
def world() -> World:
    """A server that keeps things for 30 days, and Bob, who has yet to read what Alice said."""
    world = World(MemoryJournal(Retention(milliseconds=30 * DAY)))
    world.ask(Recorder("a"), b"1 Alice")
    world.ask(Recorder("b"), b"1 Bob")
    world.ask(Recorder("a"), b"2 hello")
    world.wait(10)
    return world


def heard(world: World) -> bytes | None:
    return world.ask(Recorder("b"), b"5")


def test_a_clock_that_jumps_ahead_for_a_while_lets_go_of_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in (1, 60, DOUBT_SECONDS - 2):
        world.ahead = 40 * DAY
        world.wait(seconds)
        world.ahead = 0
        world.wait(60)
    assert caplog.messages.count(AHEAD) == 3
    assert heard(world) == BOB_HEARS


def test_a_clock_that_stays_ahead_is_believed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ahead = 40 * DAY
    world.wait(DOUBT_SECONDS + 2)
    assert caplog.messages.count(AHEAD) == 1
    assert heard(world) == IT_IS_GONE


def test_a_clock_that_jumps_again_is_doubted_anew(world: World) -> None:
    for days in (40, 50, 60):
        world.ahead = days * DAY
        world.wait(DOUBT_SECONDS - 2)
    assert heard(world) == BOB_HEARS


def test_meanwhile_what_is_too_old_goes_all_the_same(world: World) -> None:
    world.now += 30 * DAY  # all but
    world.ahead = 40 * DAY
    world.wait(20)
    assert heard(world) == IT_IS_GONE


def test_a_clock_that_is_put_right_little_by_little_is_believed() -> None:
    told: list[int] = []

    class Told(SlowJournal):
        def outdated(self, now: int) -> Drop | None:
            told.append(now)
            return None

    world = World(Told())
    for _ in range(3):
        world.ahead += SLACK_MILLISECONDS
        world.wait(1)
        assert told[-1] == world.time()
    world.ahead -= 40 * DAY
    world.wait(1)
    assert told[-1] == world.time()


def test_a_clock_that_is_ahead_when_the_server_starts_is_doubted_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a machine that asks others for the time only after it has started the server."""
    again = World(world.journal, now=world.now, ahead=40 * DAY)
    again.wait(60)
    again.ahead = DAY  # put right: for so long there was no server
    again.wait(DOUBT_SECONDS - 2)
    assert heard(again) == BOB_HEARS
    assert caplog.messages == []


def test_time_without_a_server_counts_in_the_end(world: World) -> None:
    again = World(world.journal, now=world.now, ahead=40 * DAY)
    again.wait(DOUBT_SECONDS + 2)
    assert heard(again) == IT_IS_GONE


def test_a_clock_behind_the_newest_message_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    World(world.journal, now=world.now - SLACK_MILLISECONDS)
    assert caplog.messages == []
    World(world.journal, now=world.now, ahead=-DAY)
    (told,) = caplog.messages
    assert told == (
        "the clock is 86,390 s behind the newest message; "
        "until it has caught up, what is said gets the time of that one"
    )
