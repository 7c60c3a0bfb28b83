"""The benchmarks run. What they say is for people, on a quiet machine: nothing here is about
time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.echo import compiled
from bench.experiment import Skipped
from bench.memory import member_in_server, waiting_message_in_group, waiting_message_in_server
from bench.process import groupchat, started
from bench.restart import write_journal
from bench.udp import opened

linux = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's /proc")


@linux
def test_each_figure_is_printed_beside_its_target() -> None:
    quick = ["--quick", "--only", "update by UDP"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *quick], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["what", "target", "measured", "quartiles"]
    assert "at most 1.4x" in lines[3]
    assert lines[4].count(" us") == 2


def test_an_unknown_title_is_answered_with_those_that_there_are() -> None:
    unknown = [sys.executable, "-m", "bench", "--only", "tea"]
    done = subprocess.run(unknown, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Memory" in done.stderr


def test_a_message_that_nobody_fetches_costs_few_bytes() -> None:
    """Bytes that Python allocates are the same on every machine, unlike seconds."""
    assert waiting_message_in_group(100_000, 2) <= 200
    assert waiting_message_in_group(100_000, 1_000) <= 200


@linux
def test_a_server_grows_by_what_waits_and_by_whoever_joins() -> None:
    assert 64 < waiting_message_in_server(20_000, members=100) < 400
    assert member_in_server(3_000) > 0


@linux
@pytest.mark.parametrize("lines", ["once", "each"])
def test_a_server_of_the_seeds_kind_tells_what_ours_tells(lines: str) -> None:
    assert _told([sys.executable, "-m", "bench.seed", lines]) == _told(groupchat())


def _told(command: list[str | Path]) -> list[bytes]:
    """Return what a server replies in a conversation."""
    alice = ["1 Alice", "5", "5", "2 Hi", "3 Al", "5", "5", "5", "5"]
    bob = ["1 Bob", "2 Hi", "3 Robert", "2 ", "345ft", "", "4", "5", "1 Bob"]
    replies = []
    with started(command) as server, opened(server, 2) as clients:
        for requests in zip(alice, bob, strict=True):
            for client, request in zip(clients, requests, strict=True):
                client.send(request.encode())
                replies.append(client.recv(2_048))
    return replies


def test_without_a_compiler_it_is_said_which_package_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(Skipped, match="install the package gcc"), compiled():
        pass


@linux
@pytest.mark.parametrize("a_batch", [1, 64])
def test_a_server_starts_with_the_journal_that_is_made(tmp_path: Path, a_batch: int) -> None:
    path = tmp_path / "journal"
    write_journal(path, 300, a_batch)
    with started(groupchat(path)) as server:
        assert server.port
