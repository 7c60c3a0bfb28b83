"""``groupchat connect --plain`` at a terminal: its prompt, its keys, and what may be shown."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from groupchat.client.plain_conversation import PLAIN_HELP
from tests.cli.scripted import ScriptedServer, Terminal, wait_until_idle
from tests.processes import DEADLINE, Member, RunningServer, news_until, saw_alice_come_and_leave
from tests.transports.recorder import POSIX

CTRL_A, CTRL_C, CTRL_D, CTRL_P, RUBOUT = b"\x01", b"\x03", b"\x04", b"\x10", b"\x7f"


@contextlib.contextmanager
def alice_at_a_terminal(
    server: RunningServer, transport: str = "udp", **env: str
) -> Iterator[Terminal]:
    """Alice's terminal, once she has joined the group that the watcher is in."""
    with Terminal(
        "connect", "--plain", f"{transport}://127.0.0.1:{server.port}", env=env
    ) as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        yield terminal


def leave(terminal: Terminal) -> None:
    terminal.type(b"4\r")
    assert terminal.wait() == 0


@POSIX
def test_at_a_terminal_there_is_a_prompt_and_help(server: RunningServer, watcher: Member) -> None:
    with Terminal("connect", "--plain", "127.0.0.1", str(server.port)) as terminal:
        assert terminal.until(b"> ") == f"{PLAIN_HELP}\r\n> ".encode()
        terminal.type(b"1 Alice\r")
        terminal.until(b"\nWatcher\r\n> ")
        assert watcher.ask("2 hi\tAlice 🦊".encode()) == b"Alice has joined"
        terminal.type(b"5\r")
        terminal.until("Watcher: hi\tAlice 🦊\r\n> ".encode())
        terminal.type(b"\r")  # an empty line is nobody's request
        terminal.until(b"> ")
        terminal.type(b"6\r")
        terminal.until(b"Illegal request\r\n> ")
        leave(terminal)
    assert watcher.ask(b"5") == b"Alice has left the group"


@POSIX
@pytest.mark.parametrize(("keys", "code"), [(CTRL_D, 0), (CTRL_C, 0)], ids=["Ctrl-D", "Ctrl-C"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_at_a_terminal_a_key_ends_it_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str, keys: bytes, code: int
) -> None:
    with alice_at_a_terminal(server, transport) as terminal:
        wait_until_idle(terminal.process)
        terminal.type(keys)
        assert terminal.wait() == code
        assert b"Traceback" not in terminal.screen
        assert terminal.screen.endswith(b"\n")  # the shell's prompt gets a line of its own
    assert saw_alice_come_and_leave(watcher)


@POSIX
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_who_closes_the_terminal_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    with alice_at_a_terminal(server, transport) as terminal:
        wait_until_idle(terminal.process)
        terminal.hang_up()
        terminal.process.wait(DEADLINE)
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_at_a_terminal_a_line_can_be_edited_and_repeated(
    server: RunningServer, watcher: Member
) -> None:
    pytest.importorskip("readline")
    with Terminal("connect", "--plain", "127.0.0.1", str(server.port)) as terminal:
        terminal.until(b"> ")
        terminal.type(b"Alicia" + RUBOUT * 2 + b"e" + CTRL_A + b"1 \r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(b"2 hi\r")
        terminal.until(b"\n> ")
        terminal.type(CTRL_P + b"!\r")
        terminal.until(b"\n> ")
        leave(terminal)
    lines = news_until(watcher, b"Alice has left the group")
    assert lines[:3] == [b"Alice has joined", b"Alice: hi", b"Alice: hi!"]


@pytest.fixture
def no_readline(tmp_path: Path) -> str:
    """A PYTHONPATH that hides the line editing that Python would have."""
    (tmp_path / "readline.py").write_text("raise ImportError('not in this Python')\n")
    return str(tmp_path)


@POSIX
def test_at_a_terminal_it_works_without_line_editing(
    server: RunningServer, watcher: Member, no_readline: str
) -> None:
    with alice_at_a_terminal(server, PYTHONPATH=no_readline) as terminal:
        leave(terminal)
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_a_server_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2J\x07\x9b1m\x00\r\x7f\ttab\nline".encode() + b"\xff"
    with (
        ScriptedServer(lambda _, __: [evil]) as server,
        Terminal("connect", "--plain", "127.0.0.1", str(server.port)) as terminal,
    ):
        terminal.until(b"> ")
        terminal.type(b"5\r")
        shown = terminal.until(b"\r\n> ").decode()
        assert "\ufffd[2J\ufffd\ufffd1m\ufffd\ufffd\ufffd\ttab\r\nline\ufffd\r\n" in shown
        leave(terminal)


@POSIX
def test_a_screen_shows_no_control_characters_though_requests_are_piped() -> None:
    """The screen decides, not the keyboard."""
    with (
        ScriptedServer(lambda _, __: [b"\x1b[2J"]) as server,
        Terminal("connect", "--plain", "127.0.0.1", str(server.port), stdin=b"5\n4\n") as terminal,
    ):
        assert terminal.wait() == 0
        assert terminal.screen.decode() == "\ufffd[2J\r\n" * 2


@POSIX
def test_at_a_terminal_what_is_not_utf8_is_refused_and_it_goes_on(
    server: RunningServer, watcher: Member, no_readline: str
) -> None:
    # As in most locales; in C.UTF-8, Python is more lenient by itself. Line editing would drop
    # the odd byte before we see it.
    environment = {"PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": no_readline}
    with alice_at_a_terminal(server, **environment) as terminal:
        terminal.type(b"2 caf\xe9\r")
        terminal.until(b"Illegal request\r\n> ")
        leave(terminal)
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_news_that_a_screen_cannot_show_are_shown_as_far_as_it_can(
    server: RunningServer, watcher: Member
) -> None:
    with alice_at_a_terminal(server, PYTHONIOENCODING="ascii:strict") as terminal:
        watcher.ask("2 ein Käse".encode())
        watcher.ask(b"2 and bread")
        terminal.type(b"5\r")
        terminal.until(b"Watcher: ein K")
        terminal.until(b"se\r\nWatcher: and bread\r\n> ")
        leave(terminal)
