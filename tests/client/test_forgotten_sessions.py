"""``groupchat connect`` by sessions, when servers forget: all of it, a member, or nothing."""

from pathlib import Path

from tests.cli.scripted import Terminal
from tests.client.command import TRANSPORTS, connect
from tests.ports import free_port
from tests.processes import Program, RunningServer, run, serving
from tests.transports.recorder import POSIX


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
            "The server does not know you as Alice any more. This is a new session.\n",
        )
        assert len(list(sessions.glob("*.json"))) == 1
        assert connect(server)[1] == "Resuming as Alice; nothing new.\n"


@POSIX
def test_at_a_terminal_it_is_said_how_to_join_again() -> None:
    port = free_port()
    with serving("--journal", ":memory:", str(port)) as server:
        connect(server, b"1 Alice\n")
    with (
        serving("--journal", ":memory:", str(port)),
        Terminal("connect", "127.0.0.1", str(port)) as terminal,
    ):
        terminal.until(
            b"The server does not know you as Alice any more. To join again: 1 Alice\r\n"
        )
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0


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
