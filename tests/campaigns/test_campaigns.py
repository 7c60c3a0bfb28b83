"""The campaigns, in a short form."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.campaigns.flood import MEMORY_BOUND, flood
from tests.campaigns.fuzz import TARGETS, fuzz
from tests.campaigns.lossy import lossy
from tests.campaigns.member import SocketMember
from tests.campaigns.soak import _astray, soak

INPUTS: Final = 4_000
"""For each target; ``make fuzz`` tries a million."""


def test_nothing_is_lost_when_the_server_is_killed_under_load(tmp_path: Path) -> None:
    verdict, missing = soak(20, seed=1, folder=tmp_path, show=False)
    print(verdict)
    assert verdict.good, verdict
    assert verdict.acknowledged == verdict.said > 20
    assert missing == 0


@pytest.mark.parametrize(
    ("found", "astray"),
    [("a b c", 0), ("a b", 1), ("a c b", 1), ("a b b c", 1), ("a b d c", 1), ("b c", 0), ("", 2)],
)
def test_what_is_astray_in_the_journal_is_counted(found: str, astray: int) -> None:
    """*a* was not acknowledged, so it may be there or not."""
    member = SocketMember("m", 1)
    member.said, member.acknowledged = [b"a", b"b", b"c"], [b"b", b"c"]
    assert _astray(member, found.split()) == astray


def test_everybody_is_told_everything_once_over_a_bad_link(tmp_path: Path) -> None:
    link = lossy(40, seed=1, folder=tmp_path, patience=120)
    print(link)
    assert link.complete
    assert link.verdict.good, link.verdict
    assert link.moves == 2
    assert link.datagrams["lost"] > 20


@pytest.mark.parametrize("target", TARGETS)
def test_any_bytes_are_read_or_refused(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    outcome = fuzz(target, INPUTS, seed=1, folder=tmp_path)
    assert not outcome.log, outcome.log
    assert outcome.inputs == INPUTS


@pytest.mark.skipif(sys.platform != "linux", reason="the shield is a filter in Linux")
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_members_chat_on_in_a_flood(tmp_path: Path) -> None:
    """How soon they are answered is for ``make flood`` to say, on a machine that is quiet."""
    fared = flood(5, tmp_path)
    print(fared)
    assert not fared.never
    assert fared.connections <= 250
    assert fared.memory < MEMORY_BOUND
