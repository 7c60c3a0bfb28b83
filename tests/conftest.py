"""What all tests share."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

from tests.journal.making import Quick
from tests.processes import MEANT_TO_FAIL, Member, RunningServer, serving

# Speed is measured in bench/, on a quiet machine; here a slow example is no failure.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(  # one example is enough, and it need not be the smallest
    "meant to fail",
    settings.get_profile("default"),
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    derandomize=True,  # what finds a bug finds it each time
)
settings.load_profile("meant to fail" if MEANT_TO_FAIL else "default")

# Who is started in the background of a script ignores Ctrl-C, and so would all whom he starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

UNMEASURED = {
    "test_a_command_is_the_same_work_with_any_number_of_members",
    "test_a_message_that_nobody_fetches_costs_few_bytes",
    "test_a_seed_is_the_same_run_everywhere",
    "test_exactly_the_control_and_separator_characters_are_illegal_in_texts",
    "test_it_is_found_that_the_code",
    "test_to_leave_is_no_more_work_when_more_was_not_read",
    "test_whatever_happens_nothing_is_lost",
    "test_while_a_server_writes",
    "test_white_space_is_what_unicode_calls_so",
}
"""Tests that go over the same lines so often that to measure coverage took most of their time.
Other tests cover what they do. So it is with tests of random examples, by Hypothesis; what those
reach is another thing each time, besides."""

WHOLE = {"tests/test_bad_input.py", "tests/test_plugins.py"}
"""Modules that one worker runs from top to bottom, because their tests share a costly fixture."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Have workers take test by test, but whole modules where they must.

    ``--dist loadgroup`` would do, but pytest 9.2 and pytest-xdist 3.8 together ignore the groups.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module in WHOLE else nodeid

    return Scheduler(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the deliberate bugs, many of which have a test wait in vain, so that while one waits
    the others have something to do."""
    bugs = [item for item in items if item.nodeid.startswith("tests/test_deliberate_bugs.py")]
    others = [item for item in items if item not in set(bugs)]
    if bugs and others:
        share = -(-len(others) // len(bugs))
        items[:] = [
            item
            for number, bug in enumerate(bugs)
            for item in (bug, *others[number * share : (number + 1) * share])
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto`` make two workers a core: much of the time, a test waits for a process."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Have every sixth test measure the coverage of the processes that it starts. In all of them
    that would take more time than the tests, and show no more."""
    with pytest.MonkeyPatch.context() as patch:
        if crc32(item.nodeid.encode()) % 6:
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Do without coverage, which traces each line, where it costs too much."""
    tracer = sys.gettrace()
    measured = type(tracer).__module__.startswith("coverage")
    random = is_hypothesis_test(getattr(item, "obj", None))
    if not measured or not (random or item.name.partition("[")[0] in UNMEASURED):
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


Row: TypeAlias = Callable[[str, int, str], None]
"""Called with the title of a table, and number and text of a row, has that shown in the end."""


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Row:
    """What shows rows of tables."""
    return lambda title, number, text: record_property("row", [title, number, text])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the rows."""
    rows = sorted(
        tuple(what)
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, what in report.user_properties
        if name == "row"
    )
    for title, found in groupby(rows, key=lambda row: row[0]):
        terminalreporter.section(title)
        for *_, text in found:
            terminalreporter.line(text)


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for all that the tests start, so that they leave that of their user alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "USERPROFILE", "APPDATA"):
            patch.setenv(name, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def closed(request: pytest.FixtureRequest) -> Iterator[None]:
    """See that a test leaves no file open in its folder: what the product forgets to close is
    locked, or not stored yet."""
    needs = "tmp_path" in request.fixturenames
    folder = str(request.getfixturevalue("tmp_path")) if needs else None
    yield
    for storage in [*Quick.left_open]:
        storage.close()
    if folder and sys.platform == "linux":
        still_open = []
        for file in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile, as this folder is
                still_open.append(str(file.readlink()))
        assert not [name for name in still_open if name.startswith(folder)]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of this test's own, for all that it starts; return where sessions are kept in it.
    Else it could go on with a session that another test has left behind."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(name, str(folder))
    return folder / "groupchat" / "sessions"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server process of this test's own, listening by UDP and TCP on one free port, without
    limits."""
    with serving("--no-limits", "0") as running:
        yield running


@pytest.fixture
def limited_server() -> Iterator[RunningServer]:
    """The same with the default limits."""
    with serving("0") as running:
        yield running


@pytest.fixture
def watcher(server: RunningServer) -> Member:
    """A member who sees the others come and go."""
    member = server.tcp()
    assert member.ask(b"1 Watcher") == b""
    return member


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Restore what a command that runs in this process sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
