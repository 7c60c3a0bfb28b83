"""``groupchat connect`` by sessions: to come back, and go on where one was."""

import os
from pathlib import Path

import pytest

from tests.client.command import TRANSPORTS, connect
from tests.processes import Member, Program, RunningServer, news_until, run

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


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_was_shown_before_such_an_end_is_not_shown_again(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    connect(server, b"1 Alice\n")
    watcher.ask(b"2 hi")
    url = f"{transport}://127.0.0.1:{server.port}"
    done = run("connect", url, stdin=b"2 heard\n5\n1 Bob\n")
    assert (done.stdout, done.returncode) == (b"Watcher: hi\n", 1)
    assert b"Not sent: 1 line: 1 Bob" in done.stderr
    assert connect(server, transport=transport) == ("", "Resuming as Alice; nothing new.\n")


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


def test_only_the_owner_of_a_session_can_read_it(server: RunningServer, sessions: Path) -> None:
    connect(server, b"1 Alice\n")
    if os.name == "posix":
        for path in [sessions, *sessions.iterdir()]:
            assert path.stat().st_mode & 0o077 == 0
