"""``groupchat connect`` by sessions, at a terminal."""

from pathlib import Path

import pytest

from groupchat.client.conversation import HELP
from tests.cli.scripted import Terminal
from tests.client.command import TRANSPORTS
from tests.processes import Member, RunningServer, eventually, news_until
from tests.transports.recorder import POSIX

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
def test_at_a_terminal_what_is_not_utf8_is_refused_and_it_goes_on(
    server: RunningServer, tmp_path: Path
) -> None:
    """Without line editing, which would drop the odd byte before we see it."""
    (tmp_path / "readline.py").write_text("raise ImportError('not in this Python')\n")
    environment = {"PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(tmp_path)}
    with Terminal("connect", "127.0.0.1", str(server.port), env=environment) as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"\n> ")
        terminal.type(b"2 caf\xe9\r")
        terminal.until(b"Illegal request\r\n(not a request)\r\n> ")
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
