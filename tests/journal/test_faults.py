"""Faults of the disk, seen on a running server: what cannot be stored is said to be so, is shown to
nobody, and does not come back; reads go on; and when the disk works again, so does the server.
"""

import contextlib
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.core.plain import NOT_STORED
from tests.campaigns.member import SocketMember, drive
from tests.journal.faulty import NEEDS_SHIM, Shim, SmallDisk, small_disk
from tests.processes import DEADLINE, RunningServer, TcpMember, eventually, news_until, run, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix-like system")

FAULTS = {
    "full": "write 28 .journal",
    "full, but for half of a write": "+write 28 .journal",
    "input/output error": "write 5 .journal",
    "read-only": "write 30 .journal",
}
UNKNOWN = {
    "fsync fails": ["fsync 5 .journal"],
    "fsync fails although it was done": ["+fsync 5 .journal"],
    "fsync fails, and then nothing can be written": ["fsync 28 .journal", "write 28 .journal"],
}
"""By these, nobody knows whether a write is there."""


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shim:
    found = Shim(tmp_path)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


def kept(path: Path) -> str:
    """Return what the journal says, as text."""
    done = subprocess.run(
        [sys.executable, "-m", "groupchat", "journal", "replay", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def errors(server: RunningServer) -> list[str]:
    """Return what a stopped server has logged of its journal."""
    server.program.err.rest()
    return [line for line in server.program.err.seen if "stored" in line or "works" in line]


@NEEDS_SHIM
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_is_not_stored_is_shown_to_nobody_and_never_comes_back(
    fault: str, path: Path, shim: Shim
) -> None:
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.tcp(), server.udp()
        assert alice.ask(b"1 Alice") == b""
        assert bob.ask(b"1 Bob") == b"Alice"
        assert alice.ask(b"2 before") == b"Bob has joined"
        shim.fail(fault)
        assert alice.ask(b"2 lost") == NOT_STORED
        assert bob.ask(b"2 lost, too") == NOT_STORED
        assert bob.ask(b"5") == b"Alice: before"  # reads go on
        assert alice.ask(b"3 Alison") == NOT_STORED
        assert server.tcp().ask(b"1 Carol") == NOT_STORED
        assert (alice.ask(b"5"), bob.ask(b"5")) == (b"", b"")
        shim.mend()
        assert alice.ask(b"2 after") == b""  # without a restart
        assert bob.ask(b"5") == b"Alice: after"
        server.program.err.until("the journal works again$")
        shim.fail(fault)
        assert alice.ask(b"2 lost for ever") == NOT_STORED
        server.program.process.kill()
        server.program.wait()
        told = [line.partition(" ")[2].partition(":")[0] for line in errors(server)]
        works = told.index("the journal works again")
        assert {*told[:works], *told[works + 1 :]} == {"nothing was stored"}
        assert works < 5  # it was asked for five times, and is told once a second
    shim.mend()
    texts = kept(path)
    assert "Alice: before\nAlice: after\n" in texts
    with serving("--journal", str(path), "0") as server:
        carol = server.tcp()
        assert b"Bob" in carol.ask(b"1 Carol")
        assert carol.ask(b"2 hello") in (b"", b"Alice has left the group")
    texts = kept(path)
    assert "Carol: hello\n" in texts
    assert "lost" not in texts
    assert "Alison" not in texts


@NEEDS_SHIM
@pytest.mark.parametrize("fault", ["write 28 .journal", "fsync 5 .journal"])
def test_after_a_fault_no_other_program_comes_at_the_file(
    fault: str, path: Path, shim: Shim
) -> None:
    """Such a program knows nothing of the WAL's newest part, and would remove it in the end."""
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b""
        shim.fail(fault)
        alice.socket.sendall(b"2 lost\n")
        server.program.err.until("nothing was stored|nobody knows")
        shim.mend()
        assert alice.receive() == NOT_STORED
        assert alice.ask(b"2 after") == b""
        other = sqlite3.connect(path, timeout=0)
        with contextlib.closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT count(*) FROM batches")
        assert alice.ask(b"2 and later") == b""
        server.program.process.kill()
        server.program.wait()
    assert kept(path).endswith("Alice: after\nAlice: and later\n")


def unknown(server: RunningServer, asking: TcpMember, request: bytes, shim: Shim, how: str) -> None:
    """Have *asking* ask for what is written, but perhaps not on the disk."""
    first, *rest = UNKNOWN[how]
    shim.fail(first, *(f"after {fault}" for fault in rest))
    asking.socket.sendall(request + b"\n")
    server.program.err.until("nobody knows whether the last messages are stored")


@NEEDS_SHIM
@pytest.mark.parametrize("how", UNKNOWN)
def test_nobody_is_told_that_nothing_was_stored_before_that_is_so(
    how: str, path: Path, shim: Shim
) -> None:
    with serving("--journal", str(path), "0") as server:
        alice, bob, carol = server.tcp(), server.udp(), server.tcp()
        assert alice.ask(b"1 Alice") == b""
        assert bob.ask(b"1 Bob") == b"Alice"
        assert alice.ask(b"2 before") == b"Bob has joined"
        unknown(server, alice, b"2 lost", shim, how)
        carol.socket.sendall(b"1 Carol\n")  # waits
        alice.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            alice.socket.recv(1)
        alice.socket.settimeout(DEADLINE)
        shim.mend()
        assert alice.receive() == NOT_STORED
        assert carol.receive() == b"Bob, Alice"
        assert bob.ask(b"5") == b"Alice: before\nCarol has joined"
        server.program.process.kill()
        server.program.wait()
    texts = kept(path)
    assert "Alice: before\nCarol has joined\n" in texts
    assert "lost" not in texts


@NEEDS_SHIM
@pytest.mark.parametrize("end", ["stopped", "killed"])
@pytest.mark.parametrize("how", UNKNOWN)
def test_who_was_told_nothing_may_find_it_stored(
    how: str, end: str, path: Path, shim: Shim
) -> None:
    """A server ends all the same while nobody knows; then it is there or not, and that for good."""
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b""
        assert alice.ask(b"2 before") == b""
        unknown(server, alice, b"2 perhaps", shim, how)
        if end == "stopped":
            assert server.stop() == 0
        else:
            server.program.process.kill()
            server.program.wait()
        assert alice.stream.read() == b""
    shim.mend()
    with serving("--journal", str(path), "0") as server:
        assert server.udp().ask(b"1 Bob") in (b"", b"Alice")
        texts = kept(path)
        assert texts.startswith("Alice has joined\nAlice: before\n")
    assert kept(path).startswith(texts)


@NEEDS_SHIM
def test_a_session_is_told_that_it_is_not_stored(path: Path, shim: Shim) -> None:
    with serving("--journal", str(path), "0") as server:
        sam, bob = SocketMember("Sam", server.port), server.tcp()
        bob.ask(b"1 Bob")
        assert drive([sam], lambda: sam.session.idle, DEADLINE)
        shim.fail("write 5 .journal")
        sam.say(b"one")
        assert drive([sam], lambda: bool(sam.failures), DEADLINE)
        assert sam.failures == ["b'2 one': not-stored"]
        shim.mend()
        sam.say(b"two")
        assert drive([sam], lambda: len(sam.acknowledged) == 1, DEADLINE)
        assert news_until(bob, b"Sam: two") in ([b"Sam has joined", b"Sam: two"], [b"Sam: two"])
        sam.close()


@NEEDS_SHIM
def test_who_leaves_while_nothing_can_be_stored_has_left_afterwards(path: Path, shim: Shim) -> None:
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.tcp(), server.tcp()
        alice.ask(b"1 Alice")
        bob.ask(b"1 Bob")
        shim.fail("write 28 .journal")
        assert bob.ask(b"2 x") == NOT_STORED
        alice.socket.close()
        alice.stream.close()
        assert bob.ask(b"5") == b""
        shim.mend()
        assert news_until(bob, b"Alice has left the group") == [b"Alice has left the group"]


@NEEDS_SHIM
def test_trouble_is_logged_once_a_second_and_when_it_is_over(path: Path, shim: Shim) -> None:
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        shim.fail("write 28 .journal")
        lines: list[str] = []

        def two_lines() -> bool:
            assert alice.ask(b"2 x") == NOT_STORED
            while not server.program.err._queue.empty():
                lines.append(server.program.err.next())
            return sum("nothing was stored" in line for line in lines) >= 2

        eventually(two_lines)
        shim.mend()
        assert alice.ask(b"2 x") == b""
        server.program.err.until("the journal works again$")
        first, second = (line for line in lines if "nothing was stored" in line)
        assert first.endswith(
            "nothing was stored: database or disk is full (SQLITE_FULL); make room"
        )
        assert " more before" in second
        assert first[:8] != second[:8]  # not within the same second


@NEEDS_SHIM
def test_a_server_that_stops_while_nothing_can_be_stored_does_stop(path: Path, shim: Shim) -> None:
    with serving("--journal", str(path), "0") as server:
        server.tcp().ask(b"1 Alice")
        shim.fail("write 28 .journal", "fsync 28 .journal")
        assert server.stop() == 0
    shim.mend()
    assert kept(path).startswith("Alice has joined\n")


@NEEDS_SHIM
def test_a_fault_of_the_checkpoint_costs_nothing(path: Path, shim: Shim) -> None:
    """SQLite puts the WAL into the file now and then; if that fails, it is done later."""
    with serving("--journal", str(path), "--no-limits", "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        shim.fail("write 5 chat.journal$", "fsync 5 chat.journal$")
        for number in range(140):
            batch = b"".join(b"2 %d %b\n" % (n, b"x" * 3_900) for n in range(20))
            alice.socket.sendall(batch)
            for _ in range(20):
                assert alice.receive() == b""
            if number == 115:
                shim.mend()
        server.program.process.kill()
        server.program.wait()
    assert kept(path).count("Alice: ") == 2_800


# The real thing.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path) as found:
        yield found


def test_a_full_disk(disk: SmallDisk) -> None:
    path = disk.path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.tcp(), server.tcp()
        alice.ask(b"1 Alice")
        assert bob.ask(b"1 Bob") == b"Alice"
        disk.fill()
        stored = 0
        while (reply := alice.ask(b"2 %d %b" % (stored, b"x" * 3_900))) != NOT_STORED:
            assert reply in (b"", b"Bob has joined")
            stored += 1
            assert stored < 1_000
        news = bob.ask(b"5")
        assert news.count(b"Alice: ") == stored
        assert bob.ask(b"5") == b""
        assert alice.ask(b"2 " + b"x" * 3_900) == NOT_STORED
        alice.ask(b"5")
        disk.empty()
        assert alice.ask(b"2 now") == b""
        assert bob.ask(b"5") == b"Alice: now"
    assert kept(path).count("Alice: ") == stored + 1


def test_a_disk_that_is_full_when_the_server_is_killed(disk: SmallDisk) -> None:
    path = disk.path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        disk.fill()
        stored = 0
        while alice.ask(b"2 %d %b" % (stored, b"x" * 3_900)) != NOT_STORED:
            stored += 1
        server.program.process.kill()
        server.program.wait()
    disk.empty()
    with serving("--journal", str(path), "0") as server:
        assert server.tcp().ask(b"1 Bob") in (b"", b"Alice")
    assert kept(path).count("Alice: ") == stored


def test_a_full_disk_is_not_called_damage(disk: SmallDisk) -> None:
    path = disk.path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        disk.fill()
        while alice.ask(b"2 " + b"x" * 3_900) != NOT_STORED:
            pass
        server.program.process.kill()
        server.program.wait()
    for command in (["journal", "check", str(path)], ["serve", "--journal", str(path), "0"]):
        done = run(*command)
        assert done.returncode == 1
        assert b"damaged" not in done.stdout + done.stderr
        assert b"is the disk full?" in done.stderr


@NEEDS_SHIM
def test_what_cannot_be_read_for_now_is_not_called_damage(path: Path, shim: Shim) -> None:
    with serving("--journal", str(path), "0") as server:
        server.tcp().ask(b"1 Alice")
        server.program.process.kill()
        server.program.wait()
    shim.fail("read 5 chat.journal-wal")
    done = run("serve", "--journal", str(path), "0")
    assert done.returncode == 1
    assert b"damaged" not in done.stderr
    assert b"I/O error" in done.stderr or b"Input/output" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_file_that_may_not_grow(path: Path) -> None:
    """By the limit that the system has for that (ulimit -f)."""
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.tcp(), server.tcp()
        alice.ask(b"1 Alice")
        assert bob.ask(b"1 Bob") == b"Alice"
        process = server.program.process.pid
        before = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (200_000, before[1]))
        stored = 0
        while (reply := alice.ask(b"2 %d %b" % (stored, b"x" * 3_900))) != NOT_STORED:
            assert reply in (b"", b"Bob has joined")
            stored += 1
            assert stored < 1_000
        assert bob.ask(b"5").count(b"Alice: ") == stored
        alice.ask(b"5")
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)
        assert alice.ask(b"2 now") == b""
        assert bob.ask(b"5") == b"Alice: now"
    assert kept(path).count("Alice: ") == stored + 1


@contextlib.contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Have nothing in *folder* be writable, not even by root or who has it open already."""
    if shutil.which("chattr") is None:
        pytest.skip("needs chattr")
    done = subprocess.run(["chattr", "-R", "+i", str(folder)], capture_output=True, check=False)
    try:
        if done.returncode:
            pytest.skip("chattr needs root, and a file system that knows it")
        yield
    finally:
        subprocess.run(["chattr", "-R", "-i", str(folder)], capture_output=True, check=False)


def test_a_journal_that_becomes_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    path = folder / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.tcp(), server.tcp()
        alice.ask(b"1 Alice")
        assert bob.ask(b"1 Bob") == b"Alice"
        alice.ask(b"2 before")
        with immutable(folder):
            assert alice.ask(b"2 lost") == NOT_STORED
            assert alice.ask(b"2 lost") == NOT_STORED
            assert bob.ask(b"5") == b"Alice: before"
        assert alice.ask(b"2 after") == b""
        assert bob.ask(b"5") == b"Alice: after"
    assert "lost" not in kept(path)


def take_away(file: Path, how: str, instead: bytes, path: Path) -> None:
    """Serve the journal *path*, of which *file* is moved, removed, or replaced by *instead*. What
    is said then is not stored, and people are told why."""
    with serving("--journal", str(path), "0") as server:
        alice = server.tcp()
        alice.ask(b"1 Alice")
        alice.ask(b"2 before")
        away = path.with_name("away")
        file.rename(away)
        if how == "removed":
            away.unlink()
        if how == "replaced":
            file.write_bytes(instead)
        assert alice.ask(b"2 lost") == NOT_STORED
        server.program.err.until(f"{file.name} has been moved or removed; restart the server$")
        if how == "moved":
            away.rename(file)
            assert alice.ask(b"2 after") == b""


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_journal_that_is_taken_away(how: str, path: Path) -> None:
    """What is written to it then, would be found by nobody."""
    take_away(path, how, b"something else", path)
    if how == "moved":
        assert kept(path).startswith("Alice has joined\nAlice: before\nAlice: after\n")


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_wal_that_is_taken_away(how: str, path: Path) -> None:
    """The same is true of the part of it that has a file of its own."""
    take_away(path.with_name(path.name + "-wal"), how, b"", path)
    # At the end, it was put into the journal.
    assert kept(path).startswith("Alice has joined\nAlice: before\n")
