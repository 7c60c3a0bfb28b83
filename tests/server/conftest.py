"""What the tests of the server share."""

import pytest

from tests.world import Recorder, SlowJournal, World


@pytest.fixture
def world() -> World:
    """One without limits, whose journal takes no time."""
    return World()


@pytest.fixture
def journal() -> SlowJournal:
    """One that has written something down when the test says so."""
    return SlowJournal()


@pytest.fixture
def bob(world: World) -> Recorder:
    """A plain member."""
    peer = Recorder("udp bob")
    world.ask(peer, b"1 Bob")
    return peer
