"""``groupchat connect --follow``: what happens is shown as it happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.client.conversation import HELP
from tests.cli.scripted import Terminal
from tests.client.proxy import BAD, Proxy
from tests.ports import free_port
from tests.processes import (
    DEADLINE,
    Member,
    Program,
    RunningServer,
    eventually,
    news_until,
    run,
    serving,
)
from tests.transports.recorder import POSIX

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


@pytest.fixture
def follower(server: RunningServer, transport: str) -> Iterator[Program]:
    url = f"{transport}://127.0.0.1:{server.port}"
    with Program("connect", "--follow", url) as program:
        yield program


@TRANSPORTS
def test_news_is_shown_as_it_comes_while_lines_are_typed(
    server: RunningServer, watcher: Member, follower: Program
) -> None:
    follower.type("1 Alice")
    assert follower.out.next() == "Watcher"
    for number in range(5):
        watcher.ask(b"2 %d" % number)
        assert follower.out.next() == f"Watcher: {number}"
    follower.type("2 hi")
    follower.type("6")
    assert follower.out.next() == "Illegal request"
    assert watcher.ask(b"5") == b"Alice: hi"
    watcher.ask(b"2 hi Alice")
    assert follower.out.next() == "Watcher: hi Alice"
    follower.type("who")
    assert follower.out.next() == "Watcher"
    follower.type("4")
    assert follower.wait() == 0
    assert watcher.ask(b"5") == b"Alice has left the group"
    assert follower.out.rest() == []
    assert follower.err.rest() == ["Not done: 6 (not a request)"]
    assert server.program.process.poll() is None


@POSIX
@TRANSPORTS
def test_it_goes_on_after_the_end_of_the_input_until_ctrl_c(
    server: RunningServer, watcher: Member, follower: Program, transport: str
) -> None:
    follower.type("1 Alice")
    follower.stdin.close()
    assert follower.out.next() == "Watcher"
    watcher.ask(b"2 one")
    assert follower.out.next() == "Watcher: one"
    follower.process.send_signal(signal.SIGINT)
    assert follower.wait() == 0
    assert follower.err.rest() == []
    watcher.ask(b"2 two")
    url = f"{transport}://127.0.0.1:{server.port}"
    with Program("connect", "--follow", url) as again:
        again.stdin.close()
        assert again.err.next() == "Resuming as Alice; 1 new."
        assert again.out.next() == "Watcher: two"
        watcher.ask(b"2 three")
        assert again.out.next() == "Watcher: three"


@TRANSPORTS
def test_who_follows_has_seen_what_he_was_shown(
    server: RunningServer, watcher: Member, follower: Program, transport: str
) -> None:
    follower.type("1 Alice")
    assert follower.out.next() == "Watcher"
    assert watcher.ask(b"4") == b""  # who does not read would never have seen anything
    assert follower.out.next() == "Watcher has left the group"
    url = f"{transport}://127.0.0.1:{server.port}"
    with Program("connect", "--new", url) as bob:
        bob.type("1 Bob")
        assert bob.out.next() == "Alice"
        bob.type("seen")
        assert bob.out.next() == "nothing said yet"
        bob.type("2 hi")
        assert follower.out.next() == "Bob has joined"
        assert follower.out.next() == "Bob: hi"

        def seen() -> bool:
            bob.type("seen")
            return bob.out.next() == "seen by all"

        eventually(seen)


def test_what_has_not_been_read_has_not_been_seen(server: RunningServer, watcher: Member) -> None:
    place = ["127.0.0.1", str(server.port)]
    done = run("connect", *place, stdin=b"seen\n1 Alice\n2 hi\nseen\n")
    assert done.stdout.decode().splitlines() == [
        "Illegal request",
        "Watcher",
        "not yet seen by all",
    ]
    assert done.stderr == b"Not done: seen (not a member)\n"
    assert watcher.ask(b"5")
    assert run("connect", *place, stdin=b"seen\n4\n").stdout == b"seen by all\n"


def test_who_is_here_is_nobodys_business_outside(server: RunningServer, watcher: Member) -> None:
    assert watcher.ask(b"5") == b""
    done = run("connect", "127.0.0.1", str(server.port), stdin=b"who\n1 Alice\nwho\n4\n")
    assert done.stdout == b"Illegal request\nWatcher\nWatcher\n"
    assert done.stderr == b"Not done: who (not a member)\n"


def test_without_anybody_in_the_group_there_is_nothing_to_follow(server: RunningServer) -> None:
    url = f"udp://127.0.0.1:{server.port}"
    done = run("connect", "--follow", url, stdin=b"5\n")
    assert (done.stdout, done.returncode) == (b"Illegal request\n", 1)
    assert done.stderr.decode() == (
        "Not done: 5 (not a member)\n"
        f"Error: {url}: you are not in the group, so there is nothing to follow. Join: 1 NAME.\n"
    )


@POSIX
def test_who_is_sent_away_is_told() -> None:
    with serving("--max-idle", "1", "0") as server:
        url = f"tcp://127.0.0.1:{server.port}"
        with Program("connect", "--follow", url) as follower:
            follower.type("1 Alice")
            follower.stdin.close()
            server.program.err.until("Alice joined")
            follower.process.send_signal(
                signal.SIGSTOP
            )  # else it says now and then that it is there
            server.program.err.until("Alice left")
            follower.process.send_signal(signal.SIGCONT)
            told, last = follower.err.rest()
            assert told == "You are not in the group any more. To join again: 1 Alice"
            assert last == (
                f"Error: {url}: you are not in the group, so there is nothing to follow. "
                "Join: 1 NAME."
            )
            assert follower.wait() == 1


@TRANSPORTS
def test_a_server_that_was_away_is_followed_again(tmp_path: Path, transport: str) -> None:
    port = free_port()
    journal = ["--journal", str(tmp_path / "chat.journal"), str(port)]
    with Program("connect", "--follow", f"{transport}://127.0.0.1:{port}") as follower:
        follower.type("1 Alice")
        assert follower.wait() == 1  # never reached
    with serving(*journal) as server:
        run("connect", f"udp://127.0.0.1:{port}", stdin=b"1 Alice\n")
        with Program(
            *["connect", "--follow", "--as", "Alice", "--timeout", "0.5"],
            f"{transport}://127.0.0.1:{port}",
        ) as follower:
            assert follower.err.next() == "Resuming as Alice; nothing new."
            server.program.process.kill()
            server.program.wait()
            follower.type("2 still here")
            assert follower.err.next() == "no answer yet, still trying"
            with serving(*journal) as again:
                bob = again.tcp()
                bob.ask(b"1 Bob")
                assert follower.out.next() == "Bob has joined"
                eventually(lambda: bob.ask(b"5") == b"Alice: still here")


def test_over_a_bad_network_everything_is_followed_once_and_in_order(
    server: RunningServer, watcher: Member
) -> None:
    with (
        Proxy(server.port, BAD, seed=3) as proxy,
        Program("connect", "--follow", "127.0.0.1", str(proxy.port)) as follower,
    ):
        follower.type("1 Alice")
        assert follower.out.next() == "Watcher"
        for number in range(100):
            watcher.ask(b"2 %d" % number)
            if number % 10 == 0:
                proxy.move()
        assert [follower.out.next() for _ in range(100)] == [f"Watcher: {n}" for n in range(100)]


# At a terminal.


@POSIX
@TRANSPORTS
def test_at_a_terminal_news_comes_above_the_prompt(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    pytest.importorskip("readline")
    url = f"{transport}://127.0.0.1:{server.port}"
    with Terminal("connect", "--follow", url) as terminal:
        assert terminal.until(b"> ") == f"{HELP}\r\n> ".encode()
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n")
        terminal.until(b"> ")
        watcher.ask(b"2 one")
        terminal.until(b" \rWatcher: one\r\n")
        terminal.until(b"> ")
        terminal.type(b"2 half a li")
        terminal.until(b"2 half a li")
        watcher.ask(b"2 two")
        terminal.until(b"\r" + b" " * 79 + b"\rWatcher: two\r\n")
        terminal.until(b"> 2 half a li")
        terminal.type(b"ne\r")
        terminal.until(b"ne\r\n> ")
        eventually(lambda: watcher.ask(b"5") == b"Alice: half a line")
        terminal.type(b"4\r")
        assert terminal.wait() == 0


CTRL_A, CTRL_D = b"\x01", b"\x04"


@POSIX
@pytest.mark.parametrize(
    ("typed", "last", "seen"),
    [
        (b"2 " + b"0123456789" * 10 + b"x", b"x", b"0123456789x"),
        (
            "2 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字末".encode(),
            "末".encode(),
            "字漢字漢字末".encode(),
        ),
        (b"hello" + CTRL_A + b"2 ", b" hello", b"2 hello"),
    ],
    ids=["longer than the window", "wide characters", "cursor in the middle"],
)
def test_what_is_seen_of_the_typed_line_is_what_is_sent(
    server: RunningServer, watcher: Member, typed: bytes, last: bytes, seen: bytes
) -> None:
    pytest.importorskip("readline")
    url = f"udp://127.0.0.1:{server.port}"
    env = {"TERM": "vt100", "LC_ALL": "C.UTF-8"}
    with Terminal("connect", "--follow", url, env=env) as terminal:
        terminal.resize(40)
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n")
        terminal.until(b"> ")
        terminal.type(typed)
        terminal.until(last)  # which is shown when all keys have been taken
        for text in (b"one", b"two"):
            watcher.ask(b"2 " + text)
            above = terminal.until(b"\r\x1b[JWatcher: " + text + b"\r\n")
            assert b"\x1bM" not in above  # nothing else is ever wiped: no row above
            assert b"\x1b[A" not in above
            terminal.until(seen)
        terminal.type(b"!\r")
        sent = typed.replace(b"hello" + CTRL_A + b"2 ", b"2 !hello")
        sent = sent if b"!" in sent else sent + b"!"
        assert news_until(watcher, b"Alice: " + sent[2:])
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
        terminal.until(b"You stay in the group as Alice. Connect again to go on.")


@POSIX
def test_after_a_pause_the_line_is_edited_on(server: RunningServer) -> None:
    pytest.importorskip("readline")
    with Terminal("connect", "--follow", "127.0.0.1", str(server.port)) as terminal:
        before = terminal.settings()
        terminal.until(b"> ")
        terminal.type(b"1 Alicia")
        terminal.until(b"1 Alicia")
        editing = terminal.settings()
        assert editing != before
        terminal.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
        terminal.change(before)  # as a shell does
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(b"> 1 Alicia")
        assert terminal.settings() == editing
        terminal.type(b"\x7f\x7fe\r")
        server.program.err.until("Alice joined")


@POSIX
def test_the_bot_from_the_documentation(server: RunningServer, tmp_path: Path) -> None:
    from tests.test_docs import ROOT, blocks  # which not every copy of the project has

    (bot,) = (b for b in blocks(ROOT / "docs" / "howto" / "shell.md") if b.name == "bot.sh")
    script = tmp_path / "bot.sh"
    script.write_text(bot.text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", str(script), "127.0.0.1", str(server.port)],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
    ) as process:
        server.program.err.until("Bot joined")
        alice = server.tcp()
        assert alice.ask(b"1 Alice") == b"Bot"
        alice.ask(b"2 ping")
        assert news_until(alice, b"Bot: pong") == [b"Bot: pong"]
        alice.ask(b"2 bye, Bot")
        news_until(alice, b"Bot has left the group")
        assert process.wait(DEADLINE) in (0, 1)  # that of the last read
