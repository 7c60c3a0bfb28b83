"""The plain protocol's client, beside servers that are busy or in trouble."""

import pytest

from groupchat.client import plain
from groupchat.client.plain import BUSY_SECONDS, PlainClient
from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.plain import NOT_STORED, TOO_MANY
from tests.cli.scripted import ScriptedServer
from tests.client.loops import in_loop
from tests.processes import Program, eventually, run


class Scripted:
    """A connection to a server that answers with *replies*, some of them in parts."""

    lossy = False

    def __init__(self, *replies: list[bytes]) -> None:
        self.more = False
        self.requests: list[bytes] = []
        self._replies = [list(parts) for parts in replies]

    async def send(self, request: bytes) -> None:
        self.requests.append(request)

    async def receive(self) -> bytes:
        parts = self._replies[0]
        part = parts.pop(0)
        self.more = bool(parts)
        if not parts:
            self._replies.pop(0)
        return part

    async def close(self) -> None:
        pass


def client(connection: Scripted) -> tuple[PlainClient, list[bytes]]:
    shown: list[bytes] = []
    return PlainClient(connection, shown.append, lambda _: None), shown


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "BUSY_SECONDS", (0.0,) * len(BUSY_SECONDS))


@pytest.mark.usefixtures("impatient")
def test_who_asks_too_much_asks_again_a_little_later() -> None:
    connection = Scripted([TOO_MANY], [TOO_MANY], [b"Bob: hi"])
    alice, shown = client(connection)
    assert in_loop(alice.ask(b"2 hi")) == b"Bob: hi"
    assert connection.requests == [b"2 hi"] * 3
    assert shown == [b"Bob: hi"]


@pytest.mark.usefixtures("impatient")
def test_in_the_end_he_is_told() -> None:
    connection = Scripted(*[[TOO_MANY]] * 9)
    alice, shown = client(connection)
    assert in_loop(alice.ask(b"2 hi")) == TOO_MANY
    assert len(connection.requests) == len(BUSY_SECONDS) + 1
    assert shown == [TOO_MANY]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", [NOT_STORED, TOO_MANY])
def test_whose_leaving_was_not_carried_out_leaves_in_the_end(trouble: bytes) -> None:
    tries = len(BUSY_SECONDS) + 1 if trouble == TOO_MANY else 1
    connection = Scripted([b""], *[[trouble]] * tries, [b""])
    alice, _ = client(connection)
    in_loop(alice.ask(b"1 Alice"))
    assert in_loop(alice.ask(b"4")) == trouble
    in_loop(alice.leave())
    assert connection.requests == [b"1 Alice", *[b"4"] * tries, b"4"]


def test_a_long_reply_is_shown_as_it_comes() -> None:
    connection = Scripted([b"one\ntwo", b"three", b"four"], [ILLEGAL_REQUEST])
    alice, shown = client(connection)
    assert in_loop(alice.ask(b"5")) == b"four"
    assert shown == [b"one\ntwo", b"three", b"four"]
    assert in_loop(alice.ask(b"6")) == ILLEGAL_REQUEST


def test_a_late_word_that_there_was_too_much_is_no_news() -> None:
    def answer(request: bytes, _: object) -> list[bytes]:
        if request == b"2 hi":
            return [b"", TOO_MANY, NOT_STORED, ILLEGAL_REQUEST]
        return [b"news"] if request == b"5" else [b""]

    with (
        ScriptedServer(answer) as server,
        Program("connect", "--plain", "127.0.0.1", str(server.port)) as program,
    ):
        program.type("2 hi")
        eventually(lambda: server.requests == [b"2 hi"])  # and all that has been answered
        program.type("5")
        program.type("4")
        assert program.out.rest() == ["news"]
        assert program.wait() == 0


def test_after_4_that_was_not_carried_out_it_goes_on() -> None:
    def answer(request: bytes, _: object) -> list[bytes]:
        return [NOT_STORED] if request == b"4" and request not in server.requests else [b""]

    with ScriptedServer(answer) as server:
        done = run("connect", "--plain", "127.0.0.1", str(server.port), stdin=b"1 A\n4\n5\n4\n6\n")
    assert (done.stdout, done.returncode) == (NOT_STORED + b"\n", 0)
    assert server.requests == [b"1 A", b"4", b"5", b"4"]
