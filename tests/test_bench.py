"""The benchmarks run. What they say is for people, on a quiet machine: nothing here is about
time."""

import json
import os
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bench import load
from bench.comparison import in_turn
from bench.echo import compiled
from bench.experiment import Figures, Point, Row, Skipped, Target
from bench.followers import Member, Start, group, serving
from bench.memory import member_in_server, waiting_message_in_group, waiting_message_in_server
from bench.nats import subject
from bench.ngircd import channel
from bench.plots import draw
from bench.process import free_port, groupchat, started, started_at
from bench.restart import write_journal
from bench.room import TEXT
from bench.table import markdown
from bench.udp import opened

STARTS: dict[str, Start] = {
    "groupchat in memory": partial(group, durable=False),
    "groupchat durable": partial(group, durable=True),
    "ngIRCd": channel,
    "NATS": subject,
}

compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
linux = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's /proc")


@linux
def test_each_figure_is_printed_and_written_beside_its_target(tmp_path: Path) -> None:
    quick = ["--quick", "--only", "update by UDP", "--to", str(tmp_path / "measured")]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *quick], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["what", "target", "measured", "quartiles"]
    assert "at most 1.4x" in lines[3]
    assert lines[4].count(" us") == 2
    assert "| at most 1.4x |" in (tmp_path / "measured" / "table.md").read_text()
    (row,) = json.loads((tmp_path / "measured" / "figures.json").read_text())["rows"]
    assert (row["bound"], len(row["each"])) == (1.4, 3)


def test_the_table_says_what_is_met_and_why_the_rest_is_not() -> None:
    rows = [
        Row(Target("fast", 2, "ms"), Figures([1.0])),
        Row(Target("slow", 2, "MB/s", least=True, finding="it rains"), Figures([1.0, 1.5])),
        Row(Target("unknown", 2), None, "no umbrella"),
    ]
    assert markdown({"Weather": rows}).split("\n") == [
        "**Weather**",
        "",
        "| | target | measured | quartiles |",
        "| --- | --- | --- | --- |",
        "| fast | at most 2 ms | **1 ms** | 1 ms to 1 ms |",
        "| slow | at least 2 MB/s | 1.25 MB/s | 1.12 MB/s to 1.38 MB/s |",
        "| unknown | at most 2x | skipped | no umbrella |",
        "",
        "Why not: it rains.",
        "",
    ]


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


@linux
@compiler
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_each_follower_gets_each_message_once(start: Start) -> None:
    """The load fails if one comes twice, or not at all."""
    try:
        with load.compiled() as writes, start(3) as room:
            before = room.server.cpu_ns()
            bursts = writes.run(room.writer, room.followers, room.request, 50, bursts=2)
            room.acknowledge(100)
            assert room.server.cpu_ns() > before
    except Skipped as why:
        pytest.skip(str(why))
    assert len(bursts.each_ns) == 2
    assert bursts.bytes_read >= 3 * 100 * len(TEXT)


@linux
@compiler
def test_the_load_fails_if_somebody_cannot_get_everything() -> None:
    with load.compiled() as writes, group(1, durable=False) as room:
        leaves = room.server.connect()
        leaves.shutdown(socket.SHUT_WR)
        with pytest.raises(RuntimeError, match="closed"):
            writes.run(room.writer, [*room.followers, leaves], room.request, 1)


@linux
@compiler
def test_a_member_who_comes_back_gets_his_backlog() -> None:
    with load.compiled() as writes, serving(durable=False) as server:
        away = Member(server, "away", follows=False)
        Member(server, "writer", follows=False).say(TEXT, 100)
        request = away.follow_again()
        fetched = writes.run(away.connection, [], request, 1, expected=100)
    assert fetched.bytes_read >= 100 * len(TEXT)


def test_what_is_compared_takes_turns() -> None:
    played: list[str] = []

    def play(name: str) -> int:
        played.append(name)
        return len(played)

    results = in_turn({name: partial(play, name) for name in "abc"}, 2)
    assert "".join(played) == "abcabccba"
    assert results == {"a": [4, 9], "b": [5, 8], "c": [6, 7]}


def test_plots_show_what_was_measured(tmp_path: Path) -> None:
    sizes = (8, 64, 1_000)
    lines = [
        Point("cost", what, y * size, size) for y, what in enumerate("abc", 1) for size in sizes
    ]
    bars = [
        Point(plot, what, y)
        for plot in ("fanout-cpu", "fanout-rate")
        for what, y in (("ngIRCd", 2.75), ("groupchat, in memory", 0.55))
    ]
    figures = Figures([1.0], points=[*lines, *bars, *bars])  # another experiment has them, too
    cost, fanout = draw([Row(Target("", 1), figures), Row(Target("", 1), None)], tmp_path)
    assert (cost.name, fanout.name) == ("cost.svg", "fanout.svg")
    assert [cost.read_text().count(f">{what}<") for what in "abc"] == [1, 1, 1]
    shown = fanout.read_text()
    assert [shown.count(f">{what}<") for what in ("ngIRCd", "2.75", "0.55")] == [1, 2, 2]


def test_without_what_draws_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Skipped, match="install matplotlib"):
        draw([], tmp_path)


def test_a_server_that_ends_instead_is_an_error() -> None:
    nothing = [sys.executable, "-c", ""]
    with pytest.raises(RuntimeError, match="did not start"), started(nothing):
        pass
    with pytest.raises(RuntimeError, match="does not listen"), started_at(free_port(), nothing):
        pass
