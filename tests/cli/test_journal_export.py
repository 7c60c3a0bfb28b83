"""``groupchat journal export`` and ``replay``: what was said, to read and to process."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, cast

import pytest
from click.testing import CliRunner

from groupchat.cli import main
from groupchat.core import Join, Rename, Send
from groupchat.journal.files import lock
from groupchat.journal.history import Entry
from groupchat.journal.retention import Retention
from groupchat.journal.transcript import Hole, LetGo, Transcript
from tests.cli.journals import TOLD, ask, break_row, lengthened, made, rows_of
from tests.cli.scripted import Terminal
from tests.journal.making import batch, fingerprint, journal, many, put_into_the_file
from tests.processes import DEADLINE, Member, RunningServer, run, serving

POSIX = pytest.mark.skipif(os.name != "posix", reason="descriptors and pipes are Unix's")
LOST = (
    "Lost: batch 5 is damaged or missing (1 record), after 2025-11-22T22:00:03.000Z and before "
    "2025-11-22T22:00:04.000Z.\n"
    "Who joined or was renamed in what is missing may have a wrong name above.\n"
)


@pytest.fixture
def damaged(path: Path) -> Path:
    """A journal without what Carol said."""
    break_row(path, rows_of(path).batches[4])
    return path


# Whole ones.


@pytest.mark.parametrize("options", [[], ["--format", "text"]])
def test_as_text_with_times(path: Path, options: list[str]) -> None:
    before = fingerprint(path)
    done = ask("export", *options, path)
    assert (done.code, done.err) == (0, "")
    seconds = [0, 0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 9, 10]
    assert done.out == "".join(
        f"2025-11-22T22:00:{second:02}.000Z  {line}\n"
        for second, line in zip(seconds, TOLD.splitlines(), strict=True)
    )
    assert fingerprint(path) == before


def test_as_json_an_object_on_a_line(path: Path) -> None:
    done = ask("export", "--format", "json", path)
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["position"] for event in events] == list(range(16))
    assert events[2:5] == [
        {
            "position": 2,
            "time": "2025-11-22T22:00:01.000Z",
            "kind": "said",
            "name": "Alice",
            "text": "Hello \u2744",
            "sender": "udp 1",
        },
        {
            "position": 3,
            "time": "2025-11-22T22:00:02.000Z",
            "kind": "renamed",
            "name": "Bob",
            "new": "Robert",
            "sender": "udp 2",
        },
        {
            "position": 4,
            "time": "2025-11-22T22:00:02.000Z",
            "kind": "said",
            "name": "Robert",
            "text": "It's me",
            "sender": "udp 2",
        },
    ]


def test_replay_is_the_conversation(path: Path) -> None:
    done = ask("replay", path)
    assert (done.code, done.out, done.err) == (0, TOLD, "")


@pytest.mark.parametrize("name", ["Robert", "bob"])
def test_replay_as_a_member(path: Path, name: str) -> None:
    told = TOLD.splitlines(keepends=True)
    done = ask("replay", "--as", name, path)
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join([told[2], *told[5:13]])


def test_replay_as_nobody(path: Path) -> None:
    done = ask("replay", "--as", "Eve", path)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: nobody in {path} was ever called 'Eve'.\n"


def test_an_empty_journal_is_no_output(tmp_path: Path) -> None:
    path = tmp_path / "empty.journal"
    journal(path).journal.close()
    for command in (["export"], ["export", "--format", "json"], ["replay"]):
        done = ask(*command, path)
        assert (done.code, done.out, done.err) == (0, "", "")


def test_another_format_is_refused(path: Path) -> None:
    done = ask("export", "--format", "xml", path)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("'xml' is not one of 'text', 'json'.\n")


def test_what_is_not_kept_any_more_is_told_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    one = journal(path, Retention(milliseconds=60_000))
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")), ("udp 1", Send("old")))
    batch(one, ("udp 2", Rename("Rob")))
    one.now += 200_000
    batch(one, ("udp 1", Send("new")))
    while one.tick():
        pass
    one.journal.close()
    for command in (["replay"], ["replay", "--as", "Rob"]):
        done = ask(*command, path)
        assert (done.code, done.out) == (0, "Alice: new\n")
        assert done.err == "(4 older events are not kept on this server)\n"


def test_what_is_not_kept_any_more_can_be_a_single_event(tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    one = journal(path, Retention(milliseconds=60_000))
    batch(one, ("udp 1", Join("Alice")))
    one.now += 200_000
    batch(one, ("udp 1", Send("new")))
    while one.tick():
        pass
    one.journal.close()
    done = ask("replay", path)
    assert (done.code, done.out) == (0, "Alice: new\n")
    assert done.err == "(1 older event is not kept on this server)\n"


def test_what_a_server_lets_go_of_meanwhile_is_told_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.journal"
    one = journal(path, Retention(milliseconds=60_000))
    many(one, 2_000, size=300, a_batch=1)
    put_into_the_file(one)

    class Slow(Transcript):
        """Before its first event, all that was said is let go of."""

        def __iter__(self) -> Iterator[Entry | Hole | LetGo]:
            one.now += 200_000
            while one.tick():
                pass
            batch(one, ("udp 2", Send("new")))
            put_into_the_file(one)
            return super().__iter__()

    monkeypatch.setattr("groupchat.cli.journal.Transcript", Slow)
    with closing(lock(path)):
        done = CliRunner().invoke(main, ["journal", "replay", str(path)])
    one.journal.close()
    assert (done.exit_code, done.stdout) == (0, "Bob: new\n")
    assert done.stderr == "(2002 older events are not kept on this server)\n"


# What the server told is what replay tells.


class Listener:
    """A member, and all that he was told."""

    def __init__(self, member: Member, name: str) -> None:
        self._member = member
        self.told: list[str] = []
        self.ask(f"1 {name}")

    def ask(self, request: str) -> list[str]:
        """Return what he is told by the answer."""
        lines = self._member.ask(request.encode()).decode().splitlines()
        if request.startswith("1"):
            return []  # names
        self.told += lines
        return lines


def by_session(server: RunningServer, *requests: str) -> list[str]:
    """Go on with the session of ``groupchat connect``, and return what it prints."""
    stdin = "".join(f"{request}\n" for request in requests).encode()
    done = run("connect", "127.0.0.1", str(server.port), stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


def test_a_member_is_told_the_same_as_by_the_server(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice = Listener(server.udp(), "Alice")
        bob = Listener(server.tcp(), "Bob")
        carol = by_session(server, "1 Carol", "2 Hi all")[1:]  # the first line is names
        bob.ask("2 Hi Carol")
        alice.ask("5")
        alice.ask("2 Gr\u00fc\u00dfe")
        bob.ask("3 Robert")
        carol += by_session(server, "5", "3 Caroline", "2 and now?")
        bob.ask("5")  # what waits when he leaves, he would not be told
        as_robert = list(bob.told)
        bob.ask("4")
        alice.ask("2 who is here?")
        bob.ask("1 Bob")
        for number in range(40):  # more than one reply of UDP
            bob.ask(f"2 {number} " + "x" * 90)
        carol += by_session(server, "5", "4")
        bob.ask("5")
        while alice.ask("5"):
            pass
        beside = {name: ask("replay", "--as", name, path) for name in ("Alice", "Robert")}
        everything = ask("replay", path).out.splitlines()
        server.stop()
    assert len(everything) == 53
    assert everything[3:7] == [
        "Carol: Hi all",
        "Bob: Hi Carol",
        "Alice: Gr\u00fc\u00dfe",
        "Bob changed his name to Robert",
    ]
    for name, told in (
        ("alice", [*alice.told, "Bob has left the group"]),  # with the server's connections
        ("Bob", bob.told),
        ("Carol", carol),
    ):
        done = ask("replay", "--as", name, path)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines() == told
    assert beside["Alice"].out.splitlines() == alice.told
    # He was Robert before he left; who came again is Bob, and another member.
    assert beside["Robert"].out.splitlines() == as_robert


# Damaged ones: what can be read is printed, and what is missing is told.


def test_what_is_left_of_a_damaged_journal_is_exported(damaged: Path) -> None:
    before = fingerprint(damaged)
    left = "".join(line for line in TOLD.splitlines(keepends=True) if line[:7] != "Carol: ")
    done = ask("export", damaged)
    assert (done.code, done.err) == (1, LOST)
    assert re.sub("(?m)^.{24}  ", "", done.out) == left
    done = ask("export", "--format", "json", damaged)
    assert (done.code, done.err) == (1, LOST)
    positions = [json.loads(line)["position"] for line in done.out.splitlines()]
    assert positions == [0, 1, 2, 3, 4, 5, *range(8, 16)]
    done = ask("replay", damaged)
    assert (done.code, done.out, done.err) == (1, left, LOST)
    assert fingerprint(damaged) == before


def test_so_it_is_as_a_member_saw_it(damaged: Path) -> None:
    done = ask("replay", "--as", "Dora", damaged)
    assert (done.code, done.out, done.err) == (1, "Alice: the end\n", LOST)


def test_of_many_holes_the_first_are_told(tmp_path: Path) -> None:
    path = lengthened(tmp_path / "chat.journal", 60, size=20)
    for row in rows_of(path).batches[1::2]:
        break_row(path, row, offset=30)
    done = ask("export", path)
    assert done.code == 1
    assert len(done.out.splitlines()) == 62 - 30
    lines = done.err.splitlines()
    assert len(lines) == 22
    assert [line.partition(",")[0] for line in lines[:20]] == [
        f"Lost: batch {n} is damaged or missing (1 record)" for n in range(2, 42, 2)
    ]
    assert lines[20:] == ["Lost: ... and so on, 30 in all.", LOST.splitlines()[1]]


def test_what_is_wrong_with_the_file_is_told_though_nothing_is_missing(path: Path) -> None:
    with path.open("rb+") as file:
        file.write(bytes(100))
    done = ask("replay", path)
    assert (done.code, done.out) == (1, TOLD)
    assert done.err == f"Damaged: {path} is not a journal of groupchat, by its first bytes.\n"


# Where it goes.


def test_on_a_terminal_nothing_in_it_is_obeyed(tmp_path: Path) -> None:
    """A journal can be anybody's; what a server refuses could stand in it."""
    path = tmp_path / "evil.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("Alice")), ("udp 1", Send("\x1b[2J\u009b2J\tA")))
    one.journal.close()
    with Terminal("journal", "replay", str(path)) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen.decode() == "Alice has joined\r\nAlice: \ufffd[2J\ufffd2J\tA\r\n"
    assert ask("replay", path).out == "Alice has joined\nAlice: \x1b[2J\u009b2J\tA\n"


def large(path: Path, count: int) -> Path:
    """Make a journal of so many messages of 3,900 bytes."""
    one = journal(path)
    many(one, count, size=3_900, a_batch=10)
    one.journal.close()
    return path


MEASURED = """
import atexit, sys
from groupchat.cli import main

def tell():
    with open("/proc/self/status") as status:
        sys.stderr.write(next(line for line in status if line.startswith("VmHWM:")))

atexit.register(tell)
main()
"""


def peak(path: Path) -> tuple[int, int]:
    """Return how many bytes an export has, and how many bytes of memory it took at the most."""
    command = [sys.executable, "-c", MEASURED, "journal", "export", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err, size = cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr), 0
        while piece := out.read(1 << 16):
            size += len(piece)
        kilobytes = int(err.read().split()[1])
    assert process.returncode == 0
    return size, kilobytes * 1_024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what it takes")
def test_a_long_one_takes_little_more_memory_than_a_short_one(tmp_path: Path) -> None:
    small, usual = peak(large(tmp_path / "small.journal", 10))
    size, most = peak(large(tmp_path / "large.journal", 5_000))
    assert small < 50_000
    assert size > 19_000_000
    assert most - usual < 9_000_000


@POSIX
def test_it_begins_to_print_at_once_and_a_reader_may_have_enough(tmp_path: Path) -> None:
    path = large(tmp_path / "chat.journal", 200)  # more than a pipe takes
    command = [sys.executable, "-m", "groupchat", "journal", "replay", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr)
        assert out.readline() == b"Alice has joined\n"
        assert process.poll() is None  # it waits for its reader
        out.close()
        assert err.read() == b""
        assert process.wait(DEADLINE) == 1


@POSIX
@pytest.mark.parametrize("command", ["export", "replay", "check", "compact"])
def test_with_standard_output_closed_nobody_is_told_that_he_has_it(
    command: str, path: Path
) -> None:
    shell = f'"$0" -m groupchat journal {command} "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, str(path)],
        stderr=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        (1, b"Error: the output cannot be written: it is closed\n")
        if command in {"export", "replay"}
        else (0, b"")
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["export", "replay", "check", "compact"])
def test_a_full_disk_is_one_clear_line(command: str, path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "groupchat", "journal", command, str(path)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        b"Error: the output cannot be written: No space left on device\n",
    )


def test_by_port_it_is_the_journal_of_the_server_there(own_sessions: Path) -> None:
    with socket.socket() as taken:  # so that no server can be there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        path = own_sessions.parent / f"{port}.journal"
        path.parent.mkdir()
        made(path)
        assert ask("replay", str(port)).out == TOLD
