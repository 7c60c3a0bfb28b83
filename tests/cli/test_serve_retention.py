"""``groupchat serve --retain``: how long it keeps what was said."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from groupchat.cli import main
from groupchat.cli.retention import retention
from groupchat.journal.retention import Retention
from groupchat.journal.transcript import Transcript
from tests.processes import eventually, serving

SECOND, DAY = 1_000, 24 * 3_600 * 1_000


@pytest.mark.parametrize(
    ("value", "milliseconds", "size"),
    [
        ("90s", 90 * SECOND, None),
        ("5min", 300 * SECOND, None),
        ("12h", DAY // 2, None),
        ("30d", 30 * DAY, None),
        ("30D", 30 * DAY, None),
        ("5KB", None, 5_000),
        ("500MB", None, 500_000_000),
        ("500mb", None, 500_000_000),
        ("2GB", None, 2_000_000_000),
        ("1TB", None, 10**12),
        ("30d,500MB", 30 * DAY, 500_000_000),
        ("2GB, 12h", DAY // 2, 2_000_000_000),
        ("007d", 7 * DAY, None),
    ],
)
def test_what_to_keep_is_an_age_a_size_or_both(
    value: str, milliseconds: int | None, size: int | None
) -> None:
    assert retention(value) == Retention(milliseconds, size)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("", ""),
        ("30", "30"),
        ("d", "d"),
        ("30m", "30m"),  # minutes or months
        ("30x", "30x"),
        ("1.5GB", "1.5GB"),
        ("-1d", "-1d"),
        ("30 d", "30 d"),
        ("\u00b2d", "\u00b2d"),
        ("30d,", ""),
        ("30d,all", "all"),
        ("9999999999d", "9999999999d"),
    ],
)
def test_what_is_neither_is_one_clear_line(value: str, wrong: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--retain", value, "0"])
    assert done.exit_code == 2
    assert done.output.splitlines()[-1] == (
        "Error: Invalid value for '--retain': "
        f"{wrong!r} is neither an age (30d, 12h) nor a size (500MB)."
    )


def test_whoever_missed_what_is_not_kept_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "--retain", "1s", "0") as server:
        alice, bob, carol = server.udp(), server.udp(), server.tcp()
        alice.ask(b"1 Alice")
        bob.ask(b"1 Bob")
        carol.ask(b"1 Carol")
        alice.ask(b"2 old")
        alice.ask(b"2 older than a second soon")

        def has_gone() -> bool:
            with Transcript(path) as transcript:
                return transcript.let_go == 5

        eventually(has_gone)
        assert alice.ask(b"5") == b""  # she has missed nothing
        assert bob.ask(b"5") == b"(3 older events are not kept on this server)"
        assert carol.ask(b"5") == b"(2 older events are not kept on this server)"
        assert carol.ask(b"5") == b""
        carol.ask(b"2 new")
        assert alice.ask(b"5").splitlines()[-1] == b"Carol: new"
