"""``groupchat demo``: the conversation as people see it, and that it notices a wrong byte."""

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from attrs import evolve
from click.testing import CliRunner

from groupchat.cli import main
from groupchat.client import demo
from groupchat.client.demo import Failure, play
from groupchat.client.transcript import Exchange
from tests.processes import DEADLINE, run
from tests.test_transcript import TRANSCRIPT

REFUSED = Exchange("1", "Alice", b"6", b"Illegal request")


def test_the_demo_shows_three_terminals_side_by_side_and_ends_well() -> None:
    done = run("demo")
    assert (done.stderr, done.returncode) == (b"", 0)
    head, rule, *rows, blank, last = done.stdout.decode().splitlines()
    assert re.split(r" +\| ", head) == ["Alice's terminal", "Bob's terminal", "Charlie's terminal"]
    assert re.fullmatch(r"(-+)-\+-\1-\+-\1", rule)
    assert (blank, last) == ("", "All 14 replies are as they must be, byte for byte.")
    # What stands in each column, from top to bottom, is what its owner typed and got.
    edges = [0, *(found.start() for found in re.finditer(r"\+", rule)), 999]
    for number, name in enumerate(("Alice", "Bob", "Charlie")):
        start, stop = edges[number] + (2 if number else 0), edges[number + 1]
        column = [row[start:stop].strip(" |") for row in rows]
        expected = []
        for exchange in TRANSCRIPT:
            if exchange.member == name:
                expected += [f"> {exchange.request.decode()}", *exchange.reply.decode().split("\n")]
        assert " ".join(filter(None, column)) == " ".join(filter(None, expected))


def test_time_runs_downwards(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row belongs to one member, so that the order of everything can be seen."""
    play(TRANSCRIPT, 80, print)
    rows = capsys.readouterr().out.splitlines()[2:]
    for row in rows:
        assert len([cell for cell in row.split("|") if cell.strip()]) == 1
        assert len(row) <= 80
    typed = [row.strip(" |") for row in rows if "> " in row]
    assert typed == [f"> {exchange.request.decode()}" for exchange in TRANSCRIPT]


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    ("exchange", "what"),
    [
        (
            evolve(REFUSED, reply=b"illegal request"),
            "got b'Illegal request', and it must be b'illegal request'",
        ),
        (
            evolve(REFUSED, reply=b""),
            "got b'Illegal request', and it must be b''",
        ),
        (
            evolve(REFUSED, reply=b"Illegal request\n"),
            r"got b'Illegal request', and it must be b'Illegal request\n'",
        ),
        (
            evolve(REFUSED, request=b"6\r"),  # connect takes the line end off
            r"sent b'6', and it must be b'6\r'",
        ),
    ],
    ids=["another byte", "a reply too many", "a byte too few", "another request"],
)
def test_a_byte_that_differs_is_one_clear_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, exchange: Exchange, what: str
) -> None:
    farewell = Exchange("2", "Alice", b"4", b"Illegal request")
    monkeypatch.setattr("groupchat.cli.demo.load", lambda: [exchange, farewell])
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert done.stderr == f"Error: step 1: Alice {what}\n"
    assert "byte for byte" not in done.stdout


def test_a_byte_that_differs_late_in_the_conversation_is_noticed_too() -> None:
    conversation = [
        REFUSED,
        Exchange("2", "Bob", b"5", b"Illegal request"),
        Exchange("3", "Alice", b"7", b"Illegal Request"),
        Exchange("4", "Bob", b"8", b"Illegal request"),
    ]
    rows: list[str] = []
    with pytest.raises(Failure, match=r"^step 3: Alice got b'Illegal request', and it must be"):
        play(conversation, 80, rows.append)
    assert [row.strip(" |") for row in rows if "> " in row] == ["> 6", "> 5"]


def test_a_server_that_does_not_start_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PROGRAM", [sys.executable, "-c", "print('no banner')"])
    with pytest.raises(Failure, match="the server did not start"):
        play(TRANSCRIPT, 80, print)


# The taps between the clients and the server.


@contextlib.contextmanager
def tapped() -> Iterator[tuple[demo._Tap, socket.socket, socket.socket]]:
    """A tap, and sockets on its client's and its server's side."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        with contextlib.closing(demo._Tap(server.getsockname()[1])) as tap:
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", tap.port))
            yield tap, client, server


def test_a_request_that_is_repeated_is_not_taken_for_the_next() -> None:
    with tapped() as (tap, client, server):
        for reply in (b"one", b"two"):  # lie ready before they are asked for
            server.sendto(reply, tap._outer.getsockname())
        for request in (b"5", b"5", b"5", b"6"):
            client.send(request)
        assert tap.relay() == (b"5", b"one")
        assert tap.relay() == (b"6", b"two")
        assert [server.recv(100) for _ in range(2)] == [b"5", b"6"]
        assert [client.recv(100) for _ in range(2)] == [b"one", b"two"]


def test_a_server_that_has_gone_is_noticed() -> None:
    with tapped() as (tap, client, server):
        server.close()
        client.send(b"5")
        with pytest.raises(Failure, match=r"no answer from the server \(.+\)"):
            tap.relay()


def test_a_client_that_ends_badly_is_noticed() -> None:
    with (
        tapped() as (tap, client, server),
        subprocess.Popen(
            [sys.executable, "-c", "raise SystemExit(3)"], stdin=subprocess.PIPE
        ) as process,
    ):
        server.sendto(b"", tap._outer.getsockname())
        client.send(b"4")
        with pytest.raises(Failure, match="a client ended with exit code 3"):
            demo._Client(process, tap).end()


def test_a_client_that_has_ended_too_early_is_noticed() -> None:
    with (
        tapped() as (tap, _, __),
        subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as process,
    ):
        process.wait(DEADLINE)
        with pytest.raises(Failure, match="Alice's client has ended"):
            demo._Client(process, tap).play(REFUSED)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


SILENT = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    if sys.argv[1] == "serve":
        sock.bind(("127.0.0.1", 0))
        print("Listening on udp 127.0.0.1:%d" % sock.getsockname()[1], flush=True)
        sock.sendto(b"Illegal request", sock.recvfrom(100)[1])
    else:
        sock.connect(("127.0.0.1", int(sys.argv[-1])))
        sock.send(sys.stdin.buffer.readline().strip())
        sock.recv(100)
    sys.stdin.read()
"""


def test_a_client_that_shows_nothing_is_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time is up as soon as the client has been handed its reply."""
    watchdogs: list[threading.Timer] = []

    class Watchdog(threading.Timer):
        def start(self) -> None:
            watchdogs.append(self)

    class Tap(demo._Tap):
        def relay(self) -> tuple[bytes, bytes]:
            exchanged = super().relay()
            watchdogs[0].function()
            return exchanged

    monkeypatch.setattr(threading, "Timer", Watchdog)
    monkeypatch.setattr(demo, "_Tap", Tap)
    monkeypatch.setattr(demo, "_PROGRAM", [sys.executable, "-c", SILENT])
    with pytest.raises(Failure, match=r"step 1: Alice showed b'', and it must be"):
        play([REFUSED], 80, print)
