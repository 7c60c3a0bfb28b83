"""``groupchat connect``: from pipes and at a terminal, against servers of several kinds."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

from groupchat import transports
from groupchat.cli import main
from groupchat.client.plain import WAITS_SECONDS
from groupchat.client.terminal import HELP
from groupchat.core import MAX_TEXT_BYTES
from tests.cli.scripted import Address, ScriptedServer, SeedServer, Terminal, wait_until_idle
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
from tests.test_transcript import TRANSCRIPT
from tests.transports.recorder import POSIX
from tests.transports.test_udp import IPV6

CONNECT = [sys.executable, "-m", "groupchat", "connect"]
NO_ANSWER_YET = "no answer yet, asking again"


@pytest.fixture
def watcher(server: RunningServer) -> Member:
    """A member who sees the others come and go."""
    member = server.tcp()
    assert member.ask(b"1 Watcher") == b""
    return member


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, by UDP or TCP."""
    with socket.socket() as held:  # bound alone, it does not listen, and nobody else gets it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


ALICE_CAME_AND_LEFT = [b"Alice has joined", b"Alice has left the group"]


def saw_alice_come_and_leave(watcher: Member) -> bool:
    return news_until(watcher, b"Alice has left the group") == ALICE_CAME_AND_LEFT


def tells(line: str, server: str, why: str) -> bool:
    """Whether *line* is one line that says which server it is about, and what is the matter."""
    pattern = rf"Error: {re.escape(server)}\W.*{why}.*\?"
    return re.fullmatch(pattern, line.removesuffix("\n"), re.IGNORECASE) is not None


# From a pipe.


def test_a_pipe_gets_the_replies_and_nothing_else(server: RunningServer, watcher: Member) -> None:
    done = run("connect", "127.0.0.1", str(server.port), stdin=b"1 Alice\n5\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    assert saw_alice_come_and_leave(watcher)


def test_a_pipe_gets_every_reply_byte_for_byte(server: RunningServer, watcher: Member) -> None:
    texts = ["tab\tand no-break\u00a0space", "👨\u200d👩\u200d👧", "x" * MAX_TEXT_BYTES]
    with Program("connect", f"tcp://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        for text in texts:
            assert watcher.ask(f"2 {text}".encode()) in (b"", b"Alice has joined")
        program.type("5")
        assert [program.out.next() for _ in texts] == [f"Watcher: {text}" for text in texts]
        program.type("5")  # empty: no line at all
        program.type("6")
        assert program.out.next() == "Illegal request"
        program.type("4")
        assert program.out.rest() == []
        assert program.err.rest() == []
        assert program.wait() == 0


@pytest.mark.parametrize(
    "piped",
    [
        b"1 Alice\n2 hi",
        b"1 Alice\r\n2 hi\r\n",
        b"\n1 Alice\n\n\r\n2 hi\n\n",
        b"1 Alice\n2 hi\n4\n6\n",
    ],
    ids=["no last line end", "CRLF", "empty lines", "more after 4"],
)
def test_lines_may_end_in_any_way(server: RunningServer, watcher: Member, piped: bytes) -> None:
    done = run("connect", "127.0.0.1", str(server.port), stdin=piped)
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    came = news_until(watcher, b"Alice has left the group")
    assert came == [b"Alice has joined", b"Alice: hi", b"Alice has left the group"]


def test_whatever_is_piped_in_is_sent_as_it_is(server: RunningServer, watcher: Member) -> None:
    piped = b"1 Alice\n2 caf\xe9\n\xff\xfe\n2 caf\xc3\xa9\n 5\n"
    done = run("connect", "127.0.0.1", str(server.port), stdin=piped)
    refusals = b"Illegal request\n" * 3
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n" + refusals, b"", 0)
    assert news_until(watcher, b"Alice has left the group")[1:-1] == ["Alice: café".encode()]


def test_a_line_that_the_transport_cannot_carry_is_told_and_skipped(
    server: RunningServer, watcher: Member
) -> None:
    piped = b"1 Alice\n2 " + b"x" * 70_000 + b"\n6\n"
    done = run("connect", "127.0.0.1", str(server.port), stdin=piped)
    assert done.stdout == b"Watcher\nIllegal request\n"
    assert done.stderr == b"udp carries 65,507 bytes at the most\n"
    assert done.returncode == 0
    assert saw_alice_come_and_leave(watcher)


class Narrow:
    """A connection that carries one byte, and each as its own reply."""

    lossy = False

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def send(self, request: bytes) -> None:
        if len(request) > 1:
            raise ValueError("too long for a narrow transport")
        self.requests.append(request)

    async def receive(self) -> bytes:
        return self.requests[-1]

    async def close(self) -> None:
        self.requests.append(b"closed")


@pytest.mark.usefixtures("signal_handlers")
def test_a_transport_of_another_package_has_limits_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = Narrow()
    transport = SimpleNamespace(connect=AsyncMock(return_value=narrow))
    monkeypatch.setattr(transports, "load", lambda _: transport)
    done = CliRunner().invoke(main, ["connect", "narrow://x"], input="5\n2 hi\n6\n")
    assert (done.stdout, done.stderr) == ("5\n6\n", "too long for a narrow transport\n")
    assert done.exit_code == 0
    assert narrow.requests == [b"5", b"6", b"closed"]


def test_nothing_piped_in_is_nothing_asked(server: RunningServer, watcher: Member) -> None:
    done = run("connect", "127.0.0.1", str(server.port), stdin=b"")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
    assert watcher.ask(b"5") == b""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_who_never_got_in_does_not_leave(server: RunningServer, transport: str) -> None:
    done = run("connect", f"{transport}://127.0.0.1:{server.port}", stdin=b"5\n1 a:b\n")
    assert (done.stdout, done.returncode) == (b"Illegal request\n" * 2, 0)


# How to name the server.


@pytest.mark.parametrize(
    "arguments",
    [
        ["127.0.0.1", "{port}"],
        ["localhost", "{port}"],
        ["--transport", "udp", "127.0.0.1", "{port}"],
        ["--transport", "tcp", "127.0.0.1", "{port}"],
        ["127.0.0.1", "{port}", "--transport", "tcp"],
        ["udp://127.0.0.1:{port}"],
        ["tcp://127.0.0.1:{port}"],
        ["TCP://localhost:{port}/"],
    ],
    ids=" ".join,
)
def test_a_server_can_be_named_in_many_ways(
    server: RunningServer, watcher: Member, arguments: list[str]
) -> None:
    filled = [argument.format(port=server.port) for argument in arguments]
    done = run("connect", *filled, stdin=b"1 Alice\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"Watcher\n", b"", 0)
    assert saw_alice_come_and_leave(watcher)


@IPV6
@pytest.mark.parametrize(
    "arguments",
    [["::1", "{port}"], ["[::1]", "{port}"], ["udp://[::1]:{port}"], ["tcp://[::1]:{port}"]],
    ids=" ".join,
)
def test_a_server_can_be_named_by_its_ipv6_address(arguments: list[str]) -> None:
    with serving("0", host="::1") as server:
        filled = [argument.format(port=server.port) for argument in arguments]
        done = run("connect", *filled, stdin=b"1 Alice\n6\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"Illegal request\n", b"", 0)
        server.program.err.until(r"Alice joined \((udp|tcp) \[::1\]:\d+")
        server.program.err.until("Alice left")


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        (["localhost"], "udp://localhost:12345"),
        (["localhost", "80"], "udp://localhost:80"),
        (["::1"], "udp://[::1]:12345"),
        (["--transport", "tcp", "::1"], "tcp://[::1]:12345"),
        (["udp://localhost"], "udp://localhost:12345"),
        (["udp://[::1]"], "udp://[::1]:12345"),
        (["quic://localhost:80/"], "quic://localhost:80"),
    ],
)
def test_what_is_not_said_has_a_default(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], server: str
) -> None:
    """In this process, so that nobody need listen on the default port."""
    names: list[str] = []
    connect = AsyncMock(side_effect=OSError("no answer"))

    def load(name: str) -> object:
        names.append(name)
        return SimpleNamespace(connect=connect)

    monkeypatch.setattr(transports, "load", load)
    done = CliRunner().invoke(main, ["connect", *arguments])
    assert done.exit_code == 1
    assert tells(done.output, server, "no answer")
    name, _, rest = server.partition("://")
    host, _, port = rest.rpartition(":")
    assert names == [name]
    connect.assert_awaited_once_with(host.strip("[]"), int(port))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Missing argument 'HOST|URL'"),
        (["udp://"], "is not like udp://127.0.0.1:12345"),
        (["udp://:12345"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:http"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:65536"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:0"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:-1"], "is not like udp://127.0.0.1:12345"),
        (["udp://[::1"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:1/room"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:1?name=Alice"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:1#Alice"], "is not like udp://127.0.0.1:12345"),
        (["udp://localhost:1", "1"], "the URL says it all"),
        (["--transport", "udp", "udp://localhost:1"], "the URL says it all"),
        (["smoke://localhost:1"], "no transport 'smoke' is installed, only "),
        (["--transport", "smoke", "localhost"], "no transport 'smoke' is installed, only "),
        (["localhost", "0"], "0 is not in the range"),
        (["localhost", "65536"], "65536 is not in the range"),
        (["localhost", "http"], "'http' is not a valid integer"),
        (["localhost", "1", "2"], "Got unexpected extra argument"),
    ],
)
def test_a_bad_option_is_one_clear_line(arguments: list[str], what: str) -> None:
    done = CliRunner().invoke(main, ["connect", *arguments])
    assert done.exit_code == 2
    usage, _, blank, line = done.output.splitlines()
    assert usage.startswith("Usage: ")
    assert blank == ""
    assert what in line


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a..b", "a" * 64 + ".invalid"])
def test_an_unknown_host_is_one_clear_line(host: str, transport: str) -> None:
    done = run("connect", "--transport", transport, host, "1")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert tells(done.stderr.decode(), f"{transport}://{host}:1", "no such host")


# How it ends.


def test_it_ends_after_4_though_more_could_be_typed(server: RunningServer, watcher: Member) -> None:
    with Program("connect", "127.0.0.1", str(server.port)) as program:
        program.type("1 Alice")
        program.type("4")
        assert program.wait() == 0
    assert watcher.ask(b"5").split(b"\n") == ALICE_CAME_AND_LEFT


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_signal_ends_it_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str, number: signal.Signals
) -> None:
    with Program("connect", f"{transport}://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        wait_until_idle(program.process)
        program.process.send_signal(number)
        assert program.wait() == 0
        assert program.out.rest() == []
        assert program.err.rest() == [""]
    assert saw_alice_come_and_leave(watcher)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_though_an_answer_is_awaited(number: signal.Signals) -> None:
    """The server took the request ``2 hi``, and does not answer it."""
    with (
        ScriptedServer(lambda request, _: [] if request == b"2 hi" else [b""]) as silent,
        Program("connect", "127.0.0.1", str(silent.port)) as program,
    ):
        program.type("1 Alice")
        program.type("2 hi")
        eventually(lambda: b"2 hi" in silent.requests)
        program.process.send_signal(number)
        assert program.wait() == 0
        assert silent.requests[0] == b"1 Alice"
        assert silent.requests[-1] == b"4"
        assert not [line for line in program.err.rest() if "Traceback" in line]


@POSIX
def test_a_signal_while_the_join_is_not_yet_answered_leaves_as_well() -> None:
    """The server may have carried out what it has not answered."""
    with (
        ScriptedServer(lambda request, _: [] if request == b"1 Alice" else [b""]) as silent,
        Program("connect", "127.0.0.1", str(silent.port)) as program,
    ):
        program.type("1 Alice")
        eventually(lambda: b"1 Alice" in silent.requests)
        program.process.send_signal(signal.SIGINT)
        assert program.wait() == 0
        assert silent.requests[-1] == b"4"


def test_who_joined_though_the_reply_was_lost_leaves_in_the_end() -> None:
    """The first reply is lost; to the server, the repeated request comes from a member."""
    seed = SeedServer()

    def lose_the_first(request: bytes, sender: Address) -> list[bytes]:
        replies = seed(request, sender)
        return replies if lossy.requests else []

    with ScriptedServer(lose_the_first) as lossy:
        done = run("connect", "127.0.0.1", str(lossy.port), stdin=b"1 Alice\n")
        assert done.stdout == b"Illegal request\n"
        assert done.stderr.decode().splitlines() == [NO_ANSWER_YET]
        assert done.returncode == 0
        assert lossy.requests == [b"1 Alice", b"1 Alice", b"4"]


@POSIX
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("read_before", [True, False], ids=["later", "from the beginning"])
def test_it_ends_quietly_and_leaves_when_nobody_reads_its_output(
    server: RunningServer, watcher: Member, transport: str, read_before: bool
) -> None:
    """As in ``groupchat connect ... | head -n 1``."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*CONNECT, f"{transport}://127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        assert process.stdin
        if read_before:
            process.stdin.write(b"1 Alice\n")
            process.stdin.flush()
            assert os.read(reading, 100) == b"Watcher\n"
            os.close(reading)
            _, err = process.communicate(b"6\n6\n6\n", DEADLINE)
        else:
            os.close(reading)
            _, err = process.communicate(b"1 Alice\n6\n6\n", DEADLINE)
    assert (err, process.returncode) == (b"", 0)
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_it_ends_on_ctrl_c_though_it_was_started_in_the_background(
    server: RunningServer, watcher: Member
) -> None:
    """Shells have their background jobs ignore SIGINT."""
    command = f"trap '' INT; exec {' '.join(CONNECT)} 127.0.0.1 {server.port}"
    with subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"1 Alice\n")
        assert process.stdout.readline() == b"Watcher\n"
        wait_until_idle(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    assert saw_alice_come_and_leave(watcher)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_full_disk_is_one_clear_line_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*CONNECT, f"{transport}://127.0.0.1:{server.port}"],
            input=b"1 Alice\n5\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.stderr, done.returncode) == (b"Error: No space left on device\n", 1)
    assert saw_alice_come_and_leave(watcher)


@POSIX
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_input_or_output_there_is_one_clear_line(
    server: RunningServer, closed: str
) -> None:
    command = f"{' '.join(CONNECT)} 127.0.0.1 {server.port} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=DEADLINE, check=False)
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr == b"Error: standard input and standard output must not be closed\n"


# When nobody answers.


def test_a_server_that_never_answers_is_asked_again_and_then_given_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(DEADLINE)
        port = silent.getsockname()[1]
        done = run("connect", "127.0.0.1", str(port), stdin=b"1 Alice\n5\n")
        asked = [silent.recv(100) for _ in WAITS_SECONDS]
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(100)
    assert asked == [b"1 Alice"] * len(WAITS_SECONDS)
    assert (done.stdout, done.returncode) == (b"", 1)
    *again, last = done.stderr.decode().splitlines()
    assert again == [NO_ANSWER_YET] * (len(WAITS_SECONDS) - 1)
    assert tells(last, f"udp://127.0.0.1:{port}", "no answer")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_closed_port_is_one_clear_line(closed_port: int, transport: str) -> None:
    url = f"{transport}://127.0.0.1:{closed_port}"
    done = run("connect", url, stdin=b"1 Alice\n5\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert tells(done.stderr.decode(), url, "connection refused")


def test_a_tcp_server_that_has_ended_is_one_clear_line() -> None:
    with serving() as server:
        url = f"tcp://127.0.0.1:{server.port}"
        with Program("connect", url) as program:
            program.type("6")
            assert program.out.next() == "Illegal request"
            assert server.stop() == 0
            program.type("1 Alice")
            assert program.wait() == 1
            assert program.out.rest() == []
            (line,) = program.err.rest()
            assert tells(line, url, "")


def test_a_server_that_answers_only_the_third_time_is_heard() -> None:
    with (
        ScriptedServer(lambda _, __: [b"hello"] if len(late.requests) == 2 else []) as late,
        Program("connect", "127.0.0.1", str(late.port)) as program,
    ):
        program.type("1 Alice")
        assert program.out.next() == "hello"
        assert late.requests == [b"1 Alice"] * 3
        assert [program.err.next() for _ in range(2)] == [NO_ANSWER_YET] * 2


# Servers of other kinds.


def test_nothing_that_arrives_is_thrown_away_when_a_server_answers_late_or_twice() -> None:
    def answer(request: bytes, _: Address) -> list[bytes]:
        if request == b"1 Alice":  # late: nothing at first, then an answer to each of the two
            return [b"one", b"two"] if request in odd.requests else []
        if request == b"2 hi":  # twice, and a repeat that says nothing
            return [b"three", b"", b"four"]
        return [b"five"] if request == b"5" else [b""]

    with (
        ScriptedServer(answer) as odd,
        Program("connect", "127.0.0.1", str(odd.port)) as program,
    ):
        program.type("1 Alice")
        assert program.out.next() == "one"
        eventually(lambda: len(odd.requests) == 2)
        program.type("2 hi")
        assert [program.out.next() for _ in range(2)] == ["two", "three"]
        eventually(lambda: len(odd.requests) == 3)
        program.type("5")
        assert [program.out.next() for _ in range(2)] == ["four", "five"]
        program.type("4")
        assert program.out.rest() == []
        assert program.wait() == 0
        assert odd.requests == [b"1 Alice", b"1 Alice", b"2 hi", b"5", b"4"]


@pytest.mark.parametrize("end", [b"4\n", b""], ids=["4", "end of input"])
def test_what_arrives_after_the_answer_to_4_is_shown_too(end: bytes) -> None:
    """The request ``2 hi`` was made twice, and the second answer comes last of all."""

    def answer(request: bytes, _: Address) -> list[bytes]:
        if request == b"2 hi":
            return [b"one"] if request in odd.requests else []
        return [b"", b"two"] if request == b"4" else [b""]

    with ScriptedServer(answer) as odd:
        done = run("connect", "127.0.0.1", str(odd.port), stdin=b"1 Alice\n2 hi\n" + end)
        assert (done.stdout, done.returncode) == (b"one\ntwo\n", 0)
        assert odd.requests == [b"1 Alice", b"2 hi", b"2 hi", b"4"]


def test_news_that_arrive_in_place_of_the_answer_to_the_last_4_are_shown() -> None:
    """The answer that is taken for that to ``4`` belongs to a request before it."""

    def answer(request: bytes, _: Address) -> list[bytes]:
        if request == b"2 hi":
            return [b""] if request in odd.requests else []
        return [b"late", b""] if request == b"4" else [b""]

    with ScriptedServer(answer) as odd:
        done = run("connect", "127.0.0.1", str(odd.port), stdin=b"1 Alice\n2 hi\n")
        assert (done.stdout, done.returncode) == (b"late\n", 0)


def test_it_chats_with_a_server_of_the_seeds_kind() -> None:
    with ScriptedServer(SeedServer()) as seed, contextlib.ExitStack() as stack:
        answered: list[bytes] = []
        programs = {
            name: stack.enter_context(Program("connect", "127.0.0.1", str(seed.port)))
            for name in ("Alice", "Bob", "Charlie")
        }
        for exchange in TRANSCRIPT:
            program = programs[exchange.member]
            program.type(exchange.request.decode())
            for line in filter(None, exchange.reply.split(b"\n")):
                assert program.out.next() == line.decode()
            answered.append(exchange.request)
            eventually(lambda: seed.requests == answered)
        assert programs["Charlie"].wait() == 0  # he has left by himself
        for name in ("Alice", "Bob"):
            programs[name].stdin.close()
            assert programs[name].wait() == 0
        assert [line for program in programs.values() for line in program.out.rest()] == []
        assert seed.requests == [*answered, b"4", b"4"]


def test_two_of_it_chat_over_two_transports(server: RunningServer) -> None:
    with (
        Program("connect", f"udp://127.0.0.1:{server.port}") as alice,
        Program("connect", f"tcp://127.0.0.1:{server.port}") as bob,
    ):
        alice.type("1 Alice")
        server.program.err.until("Alice joined")
        bob.type("1 Bob")
        assert bob.out.next() == "Alice"
        alice.type("5")
        assert alice.out.next() == "Bob has joined"
        alice.type("3 Zoë")
        server.program.err.until("Alice is now called Zoë")
        bob.type("5")
        assert bob.out.next() == "Alice changed his name to Zoë"
        alice.stdin.close()
        assert alice.wait() == 0
        bob.type("5")
        assert bob.out.next() == "Zoë has left the group"


# At a terminal.


@POSIX
def test_at_a_terminal_there_is_a_prompt_and_help(server: RunningServer, watcher: Member) -> None:
    with Terminal("connect", "127.0.0.1", str(server.port)) as terminal:
        assert terminal.until(b"> ") == f"{HELP}\r\n> ".encode()
        terminal.type(b"1 Alice\r")
        terminal.until(b"\nWatcher\r\n> ")
        assert watcher.ask("2 hi\tAlice 🦊".encode()) == b"Alice has joined"
        terminal.type(b"5\r")
        terminal.until("Watcher: hi\tAlice 🦊\r\n> ".encode())
        terminal.type(b"\r")  # an empty line is nobody's request
        terminal.until(b"> ")
        terminal.type(b"6\r")
        terminal.until(b"Illegal request\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
    assert watcher.ask(b"5") == b"Alice has left the group"


CTRL_A, CTRL_C, CTRL_D, CTRL_P, RUBOUT = b"\x01", b"\x03", b"\x04", b"\x10", b"\x7f"


@POSIX
@pytest.mark.parametrize(("keys", "code"), [(CTRL_D, 0), (CTRL_C, 0)], ids=["Ctrl-D", "Ctrl-C"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_at_a_terminal_a_key_ends_it_and_leaves_the_group(
    server: RunningServer, watcher: Member, transport: str, keys: bytes, code: int
) -> None:
    with Terminal("connect", f"{transport}://127.0.0.1:{server.port}") as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        wait_until_idle(terminal.process)
        terminal.type(keys)
        assert terminal.wait() == code
        assert b"Traceback" not in terminal.screen
        assert terminal.screen.endswith(b"\n")  # the shell's prompt gets a line of its own
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_at_a_terminal_a_line_can_be_edited_and_repeated(
    server: RunningServer, watcher: Member
) -> None:
    pytest.importorskip("readline")
    with Terminal("connect", "127.0.0.1", str(server.port)) as terminal:
        terminal.until(b"> ")
        terminal.type(b"Alicia" + RUBOUT * 2 + b"e" + CTRL_A + b"1 \r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(b"2 hi\r")
        terminal.until(b"\n> ")
        terminal.type(CTRL_P + b"!\r")
        terminal.until(b"\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
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
    place = f"127.0.0.1 {server.port}".split()
    with Terminal("connect", *place, env={"PYTHONPATH": no_readline}) as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_a_server_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2J\x07\x9b1m\x00\r\x7f\ttab\nline".encode() + b"\xff"
    with (
        ScriptedServer(lambda _, __: [evil]) as server,
        Terminal("connect", "127.0.0.1", str(server.port)) as terminal,
    ):
        terminal.until(b"> ")
        terminal.type(b"5\r")
        shown = terminal.until(b"\r\n> ").decode()
        assert "\ufffd[2J\ufffd\ufffd1m\ufffd\ufffd\ufffd\ttab\r\nline\ufffd\r\n" in shown
        terminal.type(b"4\r")
        assert terminal.wait() == 0


@POSIX
def test_a_screen_shows_no_control_characters_though_requests_are_piped() -> None:
    """The screen decides, not the keyboard."""
    with (
        ScriptedServer(lambda _, __: [b"\x1b[2J"]) as server,
        Terminal("connect", "127.0.0.1", str(server.port), stdin=b"5\n4\n") as terminal,
    ):
        assert terminal.wait() == 0
        assert terminal.screen.decode() == "\ufffd[2J\r\n" * 2


@POSIX
def test_at_a_terminal_what_is_not_utf8_is_refused_and_it_goes_on(
    server: RunningServer, watcher: Member, no_readline: str
) -> None:
    place = f"127.0.0.1 {server.port}".split()
    # As in most locales; in C.UTF-8, Python is more lenient by itself. Line editing would drop
    # the odd byte before we see it.
    environment = {"PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": no_readline}
    with Terminal("connect", *place, env=environment) as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        terminal.type(b"2 caf\xe9\r")
        terminal.until(b"Illegal request\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
    assert saw_alice_come_and_leave(watcher)


@POSIX
def test_news_that_a_screen_cannot_show_are_shown_as_far_as_it_can(
    server: RunningServer, watcher: Member
) -> None:
    place = f"127.0.0.1 {server.port}".split()
    with Terminal("connect", *place, env={"PYTHONIOENCODING": "ascii:strict"}) as terminal:
        terminal.until(b"> ")
        terminal.type(b"1 Alice\r")
        terminal.until(b"Watcher\r\n> ")
        watcher.ask("2 ein Käse".encode())
        watcher.ask(b"2 and bread")
        terminal.type(b"5\r")
        terminal.until(b"Watcher: ein K")
        terminal.until(b"se\r\nWatcher: and bread\r\n> ")
        terminal.type(b"4\r")
        assert terminal.wait() == 0
