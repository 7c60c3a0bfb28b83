"""``groupchat connect`` by sessions: to come back, and go on where one was."""

import os
import random
import signal
from pathlib import Path

import pytest

from groupchat.client.conversation import HELP
from tests.cli.scripted import Terminal
from tests.client.ports import free_port
from tests.client.proxy import GOOD, Proxy
from tests.processes import (
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
def watcher(server: RunningServer) -> Member:
    """A member who sees the others come and go."""
    member = server.tcp()
    assert member.ask(b"1 Watcher") == b""
    return member


def connect(
    server: RunningServer, piped: bytes = b"", *options: str, transport: str = "udp"
) -> tuple[str, str]:
    """Run ``connect`` to its end; return what it wrote to standard output and standard error."""
    done = run("connect", *options, f"{transport}://127.0.0.1:{server.port}", stdin=piped)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), done.stderr.decode()


# The end of the input.


@TRANSPORTS
def test_who_ends_stays_in_the_group_and_comes_back(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    assert connect(server, b"1 Alice\n2 hi\n", transport=transport) == ("Watcher\n", "")
    assert watcher.ask(b"2 Are you there?") == b"Alice has joined\nAlice: hi"
    assert watcher.ask(b"2 Well then") == b""
    assert connect(server, b"5\n2 I am back\n", transport=transport) == (
        "Watcher: Are you there?\nWatcher: Well then\n",
        "Resuming as Alice; 2 new.\n",
    )
    assert watcher.ask(b"5") == b"Alice: I am back"
    assert connect(server, b"5\n", transport=transport) == (
        "",
        "Resuming as Alice; nothing new.\n",
    )


def test_who_asks_for_nothing_is_told_that_there_is_news_and_not_shown_it(
    server: RunningServer, watcher: Member
) -> None:
    connect(server, b"1 Alice\n")
    watcher.ask(b"2 hi")
    for _ in range(2):
        assert connect(server) == ("", "Resuming as Alice; 1 new.\n")
    assert connect(server, b"5\n")[0] == "Watcher: hi\n"


def test_who_never_joined_leaves_nothing_behind(server: RunningServer, sessions: Path) -> None:
    assert connect(server, b"5\n6\n") == (
        "Illegal request\n" * 2,
        "Not done: 5 (not a member)\nNot done: 6 (not a request)\n",
    )
    assert connect(server) == ("", "")
    assert list(sessions.iterdir()) == []


@TRANSPORTS
def test_4_leaves_and_forgets(
    server: RunningServer, watcher: Member, sessions: Path, transport: str
) -> None:
    assert connect(server, b"1 Alice\n4\n5\n", transport=transport) == ("Watcher\n", "")
    assert watcher.ask(b"5") == b"Alice has joined\nAlice has left the group"
    assert list(sessions.iterdir()) == []
    assert connect(server, b"5\n", transport=transport) == (
        "Illegal request\n",
        "Not done: 5 (not a member)\n",
    )


def test_4_from_nobody_is_refused_and_ends_it(server: RunningServer, sessions: Path) -> None:
    assert connect(server, b"4\n5\n") == ("Illegal request\n", "Not done: 4 (not a member)\n")
    assert list(sessions.iterdir()) == []


def test_a_name_that_was_changed_is_the_name(server: RunningServer) -> None:
    connect(server, b"1 Alice\n3   Zo\xc3\xab  \n")
    assert connect(server)[1] == "Resuming as Zoë; nothing new.\n"


def test_what_is_piped_in_may_begin_with_the_join_every_time(
    server: RunningServer, watcher: Member
) -> None:
    script = b"1 Alice\n2 The backup is done\n"
    for count in range(3):
        out, err = connect(server, script)
        assert out == "Watcher\n"
        assert bool(err) is bool(count)
    assert news_until(watcher, b"Alice: The backup is done")[0] == b"Alice has joined"
    # But once is enough.
    assert connect(server, b"1  ALICE\n1 Alice\n")[0] == "Watcher\nIllegal request\n"


def test_two_scripts_are_two_members(server: RunningServer, watcher: Member) -> None:
    for _ in range(2):
        connect(server, b"1 Backup\n2 from Backup\n")
        connect(server, b"1 Monitor\n2 from Monitor\n")
    seen = news_until(watcher, b"Monitor: from Monitor")
    seen += watcher.ask(b"5").splitlines()
    assert [line for line in seen if b": " in line] == [
        b"Backup: from Backup",
        b"Monitor: from Monitor",
    ] * 2


def test_a_session_can_be_chosen_by_its_name(server: RunningServer) -> None:
    connect(server, b"1 Alice\n")
    connect(server, b"1 Bob\n")
    assert connect(server, b"who\n", "--as", "ALICE") == (
        "Bob\n",
        "Resuming as Alice; 1 new.\n",
    )
    assert connect(server, b"who\n", "--as", "Carol") == (
        "Illegal request\n",
        "Not done: who (not a member)\n",
    )


@pytest.mark.parametrize("options", [[], ["--as", "Alice"]], ids=["in the middle", "--as"])
def test_nobody_speaks_as_somebody_else(
    server: RunningServer, watcher: Member, options: list[str]
) -> None:
    connect(server, b"1 Alice\n")
    piped = b"1 Bob\n2 from Bob\n" if options else b"5\n1 Bob\n2 from Bob\n"
    url = f"udp://127.0.0.1:{server.port}"
    done = run("connect", *options, url, stdin=piped)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; nothing new.",
        "Not sent: 2 lines, of which the first is: 1 Bob",
        (
            f"Error: {url}: this is your session as Alice, and the input says: 1 Bob. "
            "To be somebody else: --as NAME, or --new."
        ),
    ]
    assert watcher.ask(b"5") == b"Alice has joined"


# Where the session is kept.


@pytest.mark.parametrize("order", [("udp", "tcp"), ("tcp", "udp")], ids=" then ".join)
def test_a_session_moves_to_another_transport(
    server: RunningServer, watcher: Member, order: tuple[str, str]
) -> None:
    first, second = order
    connect(server, b"1 Alice\n", transport=first)
    watcher.ask(b"2 hi")
    assert connect(server, b"5\n", transport=second) == (
        "Watcher: hi\n",
        "Resuming as Alice; 1 new.\n",
    )


def test_two_at_the_same_time_are_two_members(server: RunningServer) -> None:
    url = f"udp://127.0.0.1:{server.port}"
    with Program("connect", url) as alice, Program("connect", url) as bob:
        alice.type("1 Alice")
        server.program.err.until("Alice joined")
        bob.type("1 Bob")
        assert bob.out.next() == "Alice"
        bob.type("2 Hi Alice")
        alice.type("5")
        assert [alice.out.next() for _ in range(1)] == ["Bob has joined"]
        for program in (bob, alice):  # Alice is the last to be there
            program.stdin.close()
            assert program.wait() == 0
    with Program("connect", url) as first:
        first.type("6")
        assert first.err.next().startswith("Resuming as Alice; ")
        with Program("connect", url) as second:
            second.type("6")
            assert second.err.next().startswith("Resuming as Bob; ")
            for options, name in (["--as", "ALICE"], "Alice"), (["--as", "bob"], "Bob"):
                assert connect(server, b"5\n", *options) == (
                    "Illegal request\n",
                    (
                        f"Your session as {name} is in use; this is a new one.\n"
                        "Not done: 5 (not a member)\n"
                    ),
                )


def test_a_new_session_can_be_wanted(server: RunningServer) -> None:
    connect(server, b"1 Alice\n")
    assert connect(server, b"1 Bob\n", "--new") == ("Alice\n", "")
    assert connect(server, b"who\n") == ("Alice\n", "Resuming as Bob; nothing new.\n")


def test_without_a_place_to_keep_it_the_end_is_to_leave(
    server: RunningServer, watcher: Member, sessions: Path
) -> None:
    sessions.parent.mkdir(parents=True)
    sessions.write_text("in the way")
    assert connect(server, b"1 Alice\n2 hi\n") == (
        "Watcher\n",
        f"Your session cannot be kept in {sessions}: File exists.\n",
    )
    assert watcher.ask(b"5") == b"Alice has joined\nAlice: hi\nAlice has left the group"


def test_a_damaged_file_is_one_line_and_a_new_session(
    server: RunningServer, sessions: Path
) -> None:
    connect(server, b"1 Alice\n")
    (path,) = sessions.glob("*.json")
    path.write_text("{")
    out, err = connect(server, b"1 Bob\n")
    assert out == "Alice\n"
    assert err.count("\n") == 1
    assert err.startswith("Your session is damaged")
    assert connect(server)[1] == "Resuming as Bob; nothing new.\n"


# Interrupted.


@POSIX
@TRANSPORTS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_it_stays_in_the_group(
    server: RunningServer, watcher: Member, transport: str, number: signal.Signals
) -> None:
    with Program("connect", f"{transport}://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        program.process.send_signal(number)
        assert program.wait() == 0
        assert program.out.rest() == program.err.rest() == []
    watcher.ask(b"2 hi")
    assert connect(server, b"5\n") == ("Watcher: hi\n", "Resuming as Alice; 1 new.\n")


@POSIX
@pytest.mark.parametrize("arrives", [True, False], ids=["carried out", "not yet"])
def test_what_was_under_way_when_it_was_ended_is_done_once(
    server: RunningServer, watcher: Member, arrives: bool
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            if arrives:
                proxy.mute = True
            else:
                proxy.down = True
            program.type("2 hi")
            assert program.err.next() == "no answer yet, still trying"
            program.process.send_signal(signal.SIGINT)
            assert program.wait() == 0
            assert program.err.rest() == [
                "Not answered yet, and to be asked again the next time: 2 hi",
            ]
        if arrives:
            news_until(watcher, b"Alice: hi")
        proxy.mute = proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"2 ho\n")
        assert done.stdout == b""
        assert done.stderr == b"Resuming as Alice; nothing new.\nDone, from before: 2 hi\n"
    seen = news_until(watcher, b"Alice: ho")
    assert seen.count(b"Alice: hi") == (0 if arrives else 1)


@POSIX
def test_what_was_under_way_can_turn_out_to_be_refused(
    server: RunningServer, watcher: Member
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            proxy.down = True
            program.type("3 Bob")
            assert program.err.next() == "no answer yet, still trying"
            program.process.kill()
            program.wait()
        assert watcher.ask(b"3 Bob") == b"Alice has joined"
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"who\n5\n")
    assert done.stdout == b"Bob\nWatcher changed his name to Bob\n"
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; 1 new.",
        "Not done, from before: 3 Bob (the name is in use)",
    ]


@POSIX
def test_a_join_that_was_under_way_makes_a_member(server: RunningServer, watcher: Member) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("6")
            assert program.out.next() == "Illegal request"
            assert program.err.next() == "Not done: 6 (not a request)"
            proxy.down = True
            program.type("1 Alice")
            assert program.err.next() == "no answer yet, still trying"
            program.process.kill()
            program.wait()
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"who\n")
    assert done.stdout == b"Watcher\n"
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; nothing new.",
        "Done, from before: 1 Alice",
    ]
    assert watcher.ask(b"5") == b"Alice has joined"


@POSIX
def test_a_long_message_of_which_only_a_part_was_sent_goes_on(
    server: RunningServer, watcher: Member
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            proxy.down = True
            program.type("2 " + "x" * 2_000 + "\n2 after")
            assert program.err.next() == "no answer yet, still trying"
            program.process.send_signal(signal.SIGTERM)
            assert program.wait() == 0
            kept, unsent = program.err.rest()
            assert kept.startswith("Not answered yet, and to be asked again the next time: 2 xx")
            assert unsent == "Not sent: 1 line: 2 after (and whatever follows in the input)"
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"2 hi\n")
    first, second = done.stderr.decode().splitlines()
    assert first == "Resuming as Alice; nothing new."
    assert second.startswith("Done, from before: 2 xxx")
    assert watcher.ask(b"5") == b"Alice has joined\nAlice: %b\nAlice: hi" % (b"x" * 2_000)


@POSIX
@TRANSPORTS
def test_who_is_killed_at_any_moment_misses_nothing(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    """The one window: what is shown and not yet written down is shown once more."""
    connect(server, b"1 Alice\n")
    dice = random.Random(transport)
    shown: list[list[str]] = []
    said = 0
    for _ in range(12):
        url = f"{transport}://127.0.0.1:{server.port}"
        with Program("connect", "--follow", "--as", "Alice", url) as program:
            assert program.err.next().startswith("Resuming as Alice; ")
            for _ in range(dice.randrange(60)):
                watcher.ask(b"2 %d" % said)
                said += 1
            program.process.kill()
            program.wait()
            shown.append(program.out.rest())
    out, _ = connect(server, b"5\n", transport=transport)
    shown.append(out.splitlines())
    numbers: list[int] = []
    for lines in shown:
        run_of = [int(line.removeprefix("Watcher: ")) for line in lines]
        assert run_of == sorted(set(run_of))  # no process shows anything twice
        again = [number for number in numbers if run_of and number >= run_of[0]]
        assert again[: len(run_of)] == run_of[: len(again)]
        numbers += run_of[len(again) :]
    assert numbers == list(range(said))


# At a terminal.


CTRL_C, CTRL_D = b"\x03", b"\x04"


def test_the_help_fits_a_narrow_terminal() -> None:
    assert len(HELP) <= 80


@POSIX
@TRANSPORTS
@pytest.mark.parametrize("keys", [CTRL_D, CTRL_C], ids=["Ctrl-D", "Ctrl-C"])
def test_at_a_terminal_a_key_ends_it_and_it_stays_in_the_group(
    server: RunningServer, watcher: Member, transport: str, keys: bytes
) -> None:
    url = f"{transport}://127.0.0.1:{server.port}"
    with Terminal("connect", url) as terminal:
        assert terminal.until(b"> ") == f"{HELP}\r\n> ".encode()
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(keys)
        assert terminal.wait() == 0
        terminal.until(b"\r\nYou stay in the group as Alice. Connect again to go on.\r\n")
        assert b"Traceback" not in terminal.screen
    watcher.ask(b"2 hi")
    with Terminal("connect", url) as terminal:
        assert terminal.until(b"> ") == f"Resuming as Alice; 1 new.\r\n{HELP}\r\n> ".encode()
        terminal.type(b"5\r")
        terminal.until(b"Watcher: hi\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
    assert news_until(watcher, b"Alice has left the group")


@POSIX
def test_at_a_terminal_a_refusal_has_a_reason(server: RunningServer, watcher: Member) -> None:
    assert watcher.ask(b"5") == b""
    with Terminal("connect", "127.0.0.1", str(server.port)) as terminal:
        for request, reason in [
            (b"5", b"not a member"),
            (b"6", b"not a request"),
            (b"1 a:b", b"not a legal name"),
            (b"1 watcher", b"the name is in use"),
        ]:
            terminal.until(b"> ")
            terminal.type(request + b"\r")
            terminal.until(b"Illegal request\r\n(" + reason + b")\r\n")
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Illegal request\r\n(already a member)\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0


@POSIX
def test_the_terminal_is_left_as_it_was(server: RunningServer) -> None:
    """Line editing puts it into another mode, and Ctrl-C comes in the middle of that."""
    pytest.importorskip("readline")
    with Terminal("connect", "127.0.0.1", str(server.port)) as terminal:
        before = terminal.settings()
        terminal.until(b"> ")
        eventually(lambda: terminal.settings() != before)
        terminal.type(b"2 h" + CTRL_C)
        eventually(lambda: terminal.settings() == before)
        assert terminal.wait() == 0


# When it cannot be gone on with.


@TRANSPORTS
def test_a_server_that_has_forgotten_everything_is_one_line_and_a_new_session(
    sessions: Path, transport: str
) -> None:
    port = free_port()
    with serving("--journal", ":memory:", str(port)) as server:
        connect(server, b"1 Alice\n")
    with serving("--journal", ":memory:", str(port)) as server:
        assert connect(server, b"1 Alice\n2 hi\n", transport=transport) == (
            "",
            "The server does not know you as Alice any more. To join again: 1 Alice\n",
        )
        assert len(list(sessions.glob("*.json"))) == 1
        assert connect(server)[1] == "Resuming as Alice; nothing new.\n"


def test_what_is_for_a_session_that_was_forgotten_is_for_no_other(sessions: Path) -> None:
    port = free_port()
    with serving("--journal", ":memory:", str(port)) as server:
        connect(server, b"1 Alice\n")
    with serving("--journal", ":memory:", str(port)):
        done = run("connect", f"udp://127.0.0.1:{port}", stdin=b"2 hi\n2 ho\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr.decode().splitlines() == [
        "Not sent: 2 lines, of which the first is: 2 hi",
        (
            f"Error: udp://127.0.0.1:{port}: the server does not know you as Alice any more. "
            "Connect again. To join again: 1 Alice."
        ),
    ]
    assert not list(sessions.glob("*.json"))


def test_a_server_that_forgets_in_the_middle_is_one_line_and_the_end(sessions: Path) -> None:
    port = free_port()
    with (
        serving("--journal", ":memory:", str(port)) as first,
        Program("connect", "127.0.0.1", str(port)) as program,
    ):
        program.type("1 Alice")
        first.program.err.until("Alice joined")
        assert first.stop() == 0
        with serving("--journal", ":memory:", str(port)):
            program.type("2 hi")
            assert program.wait() == 1
            unknown, error = program.err.rest()
            assert unknown == "Nobody knows what came of: 2 hi"
            assert error == (
                f"Error: udp://127.0.0.1:{port}: the server does not know you as Alice any more. "
                "Connect again. To join again: 1 Alice."
            )
    assert not list(sessions.glob("*.json"))


def test_an_old_copy_of_a_session_goes_on(server: RunningServer, sessions: Path) -> None:
    connect(server, b"1 Alice\n")
    (path,) = sessions.glob("*.json")
    copy = path.read_bytes()
    connect(server, b"".join(b"2 %d\n" % number for number in range(100)))
    path.write_bytes(copy)
    done = run("connect", "127.0.0.1", str(server.port), stdin=b"5\n2 hi\n")
    assert (done.stdout, done.returncode) == (b"", 0)
    told = done.stderr.decode().splitlines()
    assert told[0] == (
        "Your session had gone on since its file was copied, and goes on from there."
    )
    assert told[1].startswith("Resuming as Alice; ")


def test_who_was_away_for_too_long_is_not_in_the_group_any_more(sessions: Path) -> None:
    with serving("--max-idle", "1", "0") as server:
        connect(server, b"1 Alice\n")
        server.program.err.until("Alice left")
        assert connect(server, b"5\n") == (
            "Illegal request\n",
            (
                "You are not in the group any more as Alice. To join again: 1 Alice\n"
                "Not done: 5 (not a member)\n"
            ),
        )
        assert not list(sessions.glob("*.json"))
        assert connect(server, b"1 Alice\n") == ("", "")


@TRANSPORTS
def test_a_restart_of_the_server_is_nothing_to_a_session(tmp_path: Path, transport: str) -> None:
    port = free_port()
    journal = ["--journal", str(tmp_path / "chat.journal"), str(port)]
    with serving(*journal) as server:
        connect(server, b"1 Alice\n")
    with (
        serving(*journal) as first,
        Program("connect", "--as", "Alice", f"{transport}://127.0.0.1:{port}") as program,
    ):
        assert program.err.next() == "Resuming as Alice; nothing new."
        first.program.process.kill()
        first.program.wait()
        program.type("2 hi")
        assert program.err.next() == "no answer yet, still trying"
        with serving(*journal) as second:
            bob = second.tcp()
            bob.ask(b"1 Bob")
            program.type("5")
            assert program.out.next() == "Bob has joined"
            program.stdin.close()
            assert program.wait() == 0
            assert program.out.rest() == []


def test_only_the_owner_of_a_session_can_read_it(server: RunningServer, sessions: Path) -> None:
    connect(server, b"1 Alice\n")
    if os.name == "posix":
        for path in [sessions, *sessions.iterdir()]:
            assert path.stat().st_mode & 0o077 == 0
