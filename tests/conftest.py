"""What all tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import RunningServer, serving

# Speed is measured in bench/, on a quiet machine; here a slow example is no failure.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("default")


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for all that the tests start, so that they leave that of their user alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "USERPROFILE", "APPDATA"):
            patch.setenv(name, str(folder))
        yield folder


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server process of this test's own, listening by UDP and TCP on one free port."""
    with serving() as running:
        yield running


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Restore what a command that runs in this process sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
