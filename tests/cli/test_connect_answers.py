"""``groupchat connect --plain`` beside servers that answer late, twice, otherwise or not at all."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from groupchat.client.plain import WAITS_SECONDS
from tests.cli.scripted import NO_ANSWER_YET, Address, ScriptedServer, SeedServer, tells
from tests.processes import DEADLINE, Program, eventually, run, serving
from tests.test_transcript import TRANSCRIPT


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, by UDP or TCP."""
    with socket.socket() as held:  # bound alone, it does not listen, and nobody else gets it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_never_answers_is_asked_again_and_then_given_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(DEADLINE)
        port = silent.getsockname()[1]
        done = run("connect", "--plain", "127.0.0.1", str(port), stdin=b"1 Alice\n5\n")
        asked = [silent.recv(100) for _ in WAITS_SECONDS]
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(100)
    assert asked == [b"1 Alice"] * len(WAITS_SECONDS)
    assert (done.stdout, done.returncode) == (b"", 1)
    *again, unknown, unsent, last = done.stderr.decode().splitlines()
    assert again == [NO_ANSWER_YET] * (len(WAITS_SECONDS) - 1)
    assert unknown == "Nobody knows what came of: 1 Alice"
    assert unsent == "Not sent: 1 line: 5"
    assert tells(last, f"udp://127.0.0.1:{port}", "no answer")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_closed_port_is_one_clear_line(closed_port: int, transport: str) -> None:
    url = f"{transport}://127.0.0.1:{closed_port}"
    done = run("connect", "--plain", url, stdin=b"1 Alice\n5\n")
    assert (done.stdout, done.returncode) == (b"", 1)
    *left, last = done.stderr.decode().splitlines()
    assert tells(last, url, "connection refused")
    assert left == (
        ["Not sent: 2 lines, of which the first is: 1 Alice"]
        if transport == "tcp"
        else ["Nobody knows what came of: 1 Alice", "Not sent: 1 line: 5"]
    )


def test_a_tcp_server_that_has_ended_is_one_clear_line() -> None:
    with serving() as server:
        url = f"tcp://127.0.0.1:{server.port}"
        with Program("connect", "--plain", url) as program:
            program.type("6")
            assert program.out.next() == "Illegal request"
            assert server.stop() == 0
            program.type("1 Alice")
            assert program.wait() == 1
            assert program.out.rest() == []
            unknown, line = program.err.rest()
            assert unknown == "Nobody knows what came of: 1 Alice"
            assert tells(line, url, "")


def test_a_server_that_answers_only_the_third_time_is_heard() -> None:
    with (
        ScriptedServer(lambda _, __: [b"hello"] if len(late.requests) == 2 else []) as late,
        Program("connect", "--plain", "127.0.0.1", str(late.port)) as program,
    ):
        program.type("1 Alice")
        assert program.out.next() == "hello"
        assert [program.err.next() for _ in range(2)] == [NO_ANSWER_YET] * 2
    assert late.requests == [b"1 Alice"] * 3


def test_nothing_that_arrives_is_thrown_away_when_a_server_answers_late_or_twice() -> None:
    def answer(request: bytes, _: Address) -> list[bytes]:
        if request == b"1 Alice":  # late: nothing at first, then an answer to each of the two
            return [b"one", b"two"] if request in odd.requests else []
        if request == b"2 hi":  # twice, and a repeat that says nothing
            return [b"three", b"", b"four"]
        return [b"five"] if request == b"5" else [b""]

    with (
        ScriptedServer(answer) as odd,
        Program("connect", "--plain", "127.0.0.1", str(odd.port)) as program,
    ):
        program.type("1 Alice")
        assert program.out.next() == "one"
        eventually(lambda: len(odd.requests) == 2)
        program.type("2 hi")
        assert program.out.next() == "two"
        assert program.out.next() == "three"
        eventually(lambda: len(odd.requests) == 3)
        program.type("5")
        assert program.out.next() == "four"
        assert program.out.next() == "five"
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
        done = run("connect", "--plain", "127.0.0.1", str(odd.port), stdin=b"1 Alice\n2 hi\n" + end)
    assert (done.stdout, done.returncode) == (b"one\ntwo\n", 0)
    assert odd.requests == [b"1 Alice", b"2 hi", b"2 hi", b"4"]


def test_news_that_arrive_in_place_of_the_answer_to_the_last_4_are_shown() -> None:
    """The answer that is taken for that to ``4`` belongs to a request before it."""

    def answer(request: bytes, _: Address) -> list[bytes]:
        if request == b"2 hi":
            return [b""] if request in odd.requests else []
        return [b"late", b""] if request == b"4" else [b""]

    with ScriptedServer(answer) as odd:
        done = run("connect", "--plain", "127.0.0.1", str(odd.port), stdin=b"1 Alice\n2 hi\n")
    assert (done.stdout, done.returncode) == (b"late\n", 0)


def test_it_chats_with_a_server_of_the_seeds_kind() -> None:
    with ScriptedServer(SeedServer()) as seed, contextlib.ExitStack() as stack:
        answered: list[bytes] = []
        programs = {
            name: stack.enter_context(Program("connect", "--plain", "127.0.0.1", str(seed.port)))
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
