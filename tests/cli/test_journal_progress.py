"""The bar that shows, on a terminal, how far something long has come."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from groupchat.cli import progress
from groupchat.cli.progress import Progress
from tests.cli.journals import break_row, rows_of
from tests.journal.making import journal, many
from tests.processes import DEADLINE

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

IMPATIENT = """
import sys
from groupchat.cli import main, progress
progress.PATIENCE_SECONDS = progress._SHOW_SECONDS = 0
main()
"""


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns, for people without patience."""
    found = Screen()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=found))  # pytest has its own
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(progress, "_SHOW_SECONDS", 0)
    monkeypatch.setenv("COLUMNS", "80")
    return found


def test_a_bar_grows_and_goes_away(screen: Screen) -> None:
    with Progress("Reading", 400) as bar:
        for amount in (0, 100, 99, 201, 50):
            bar.add(amount)
    assert screen.getvalue() == (
        "\rReading [------------------------]   0%\x1b[K"
        "\rReading [######------------------]  25%\x1b[K"
        "\rReading [############------------]  50%\x1b[K"
        "\rReading [########################] 100%\x1b[K"
        "\rReading [########################] 100%\x1b[K"
        "\r\x1b[K"
    )


def test_if_nobody_knows_how_much_there_is_it_has_no_bar(screen: Screen) -> None:
    with Progress("Reading", 0) as bar:
        bar.add(1_000)
    assert screen.getvalue() == "\rReading\x1b[K\r\x1b[K"


def test_it_fits_the_line(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with Progress("Reading", 100) as bar:
        bar.add(50)
    assert screen.getvalue() == "\rReading [##########\x1b[K\r\x1b[K"


def test_what_takes_no_time_shows_nothing(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 3_600)
    with Progress("Reading", 100) as bar:
        bar.add(50)
    assert screen.getvalue() == ""


def test_it_is_not_drawn_for_each_step(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SHOW_SECONDS", 3_600)
    with Progress("Reading", 100) as bar:
        for _ in range(50):
            bar.add(1)
    assert screen.getvalue().count("Reading") == 1


def test_it_can_be_hidden(screen: Screen) -> None:
    with Progress("Reading", 100, hidden=True) as bar:
        bar.add(50)
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize("stderr", [None, io.StringIO()], ids=["closed", "a file"])
def test_without_a_terminal_it_shows_nothing(
    stderr: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stderr))
    with Progress("Reading", 100) as bar:
        bar.add(50)
    assert stderr is None or stderr.getvalue() == ""


# Of the commands, on a pseudo-terminal.


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal that takes some steps to read."""
    path = tmp_path_factory.mktemp("long") / "chat.journal"
    one = journal(path)
    many(one, 4_200, size=50, a_batch=1)
    one.rest()
    one.journal.close()
    return path.read_bytes()


@pytest.fixture
def path(content: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "chat.journal"
    path.write_bytes(content)
    return path


def watch(*arguments: str | Path, stdout: int = subprocess.DEVNULL) -> tuple[int, str]:
    """Run ``groupchat`` with a terminal as its standard error; return the exit code, and what
    was shown there. With *stdout* -1, that is the terminal too."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout == -1 else stdout,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "200"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # how Linux tells that nobody has the other end open
        pass
    os.close(ours)
    return process.wait(DEADLINE), shown.decode()


def bars(shown: str, label: str) -> list[int]:
    """Check that *shown* is bars with this *label*, and then nothing; return their percents."""
    *drawn, last, rest = shown.split("\x1b[K")
    assert (last, rest) == ("\r", "")
    found = [re.fullmatch(rf"\r{re.escape(label)} \[(#*)(-*)\] +(\d+)%", line) for line in drawn]
    percents = []
    for match in found:
        assert match, shown
        assert len(match[1]) + len(match[2]) == 24
        percents.append(int(match[3]))
        assert abs(len(match[1]) - percents[-1] * 24 / 100) <= 1
    return percents


@pytest.mark.parametrize(
    ("command", "label"),
    [
        ("check", "Checking"),
        ("export", "Exporting"),
        ("replay", "Replaying"),
        ("compact", "Compacting"),
    ],
)
def test_each_command_shows_how_far_it_is(command: str, label: str, path: Path) -> None:
    code, shown = watch("journal", command, path)
    assert code == 0
    percents = bars(shown, f"{label} {path}")
    assert len(percents) >= 4
    assert percents == sorted(percents)
    assert percents[0] < percents[-1] <= 100


def test_a_search_for_a_member_is_a_bar_of_its_own(path: Path) -> None:
    code, shown = watch("journal", "replay", "--as", "Bob", path)
    assert code == 0
    first, second, rest = shown.split("\r\x1b[K")
    assert rest == ""
    assert bars(first + "\r\x1b[K", "Looking for Bob")
    assert bars(second + "\r\x1b[K", f"Replaying {path}")


def test_what_is_shown_there_itself_needs_no_bar(path: Path) -> None:
    code, shown = watch("journal", "export", path, stdout=-1)
    assert code == 0
    assert "Exporting" not in shown
    assert "\x1b" not in shown
    assert shown.count("\r\n") == 4_202


def test_the_bar_has_gone_before_what_is_wrong_is_said(path: Path) -> None:
    break_row(path, rows_of(path).batches[2_000])
    code, shown = watch("journal", "compact", path)
    assert code == 1
    drawn, _, error = shown.partition("\r\x1b[K")
    assert bars(drawn + "\r\x1b[K", f"Compacting {path}")
    assert error.startswith(f"Error: {path} is damaged: batch 2,001 is damaged or missing (1 ")


def test_a_server_that_reads_a_long_journal_shows_how_far_it_is(path: Path) -> None:
    code, shown = watch("serve", "--journal", path, "--host", "192.0.2.1", "0")
    assert code == 1  # no machine has that address, so it ends
    drawn, _, error = shown.partition("\r\x1b[K")
    assert bars(drawn + "\r\x1b[K", f"Reading {path}")
    assert error.startswith("Error: this machine does not have the address 192.0.2.1.")
