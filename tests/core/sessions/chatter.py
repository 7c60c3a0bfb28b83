"""The client's half of sessions at work: with the server's half at a desk, and by itself, answered
by the test.
"""

from collections.abc import Iterator
from typing import Any

from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.replies import Refused
from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.happenings import Happening, Ready, Result, Told
from groupchat.core.sessions.replies import Answer, Opened
from groupchat.core.sessions.requests import Ask, Open, decode_request
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.wire import DATAGRAM_BYTES, Mark
from tests.core.sessions.desk import NONCE, Desk

__all__ = [
    "COOKIE",
    "SAVED",
    "TOKEN",
    "Chatter",
    "answer",
    "asked",
    "body",
    "in_turn",
    "lines",
    "one_by_one",
    "opened",
    "results",
    "told",
]

TOKEN = "0123456789abcdef" * 2
COOKIE = "0123456789abcdef"
SAVED = Saved(TOKEN, 7, 20, joined=True)


class Chatter:
    """A client, and what it was told, at a desk."""

    def __init__(
        self,
        desk: Desk,
        datagram: bool = True,
        saved: Saved | None = None,
        in_turn: bool = False,
    ) -> None:
        self.client = SessionClient(datagram, saved, nonce=NONCE, in_turn=in_turn)
        self.desk = desk
        self.address = "udp a"
        self.now = 0
        self.requests: list[bytes] = []

    def pump(self) -> list[Happening]:
        """Exchange datagrams until nothing more is asked; return what has happened."""
        return list(self.happenings())

    def happenings(self) -> Iterator[Happening]:
        while (request := self.client.send(self.now)) is not None:
            self.requests.append(request)
            assert len(request) <= DATAGRAM_BYTES
            self.now += 10
            limit = DATAGRAM_BYTES if self.client._datagram else None
            reply = self.desk.answer(request, self.address, limit)
            if isinstance(reply, Refused):
                reply = ILLEGAL_REQUEST
            assert reply is not None
            yield from self.client.receive(reply, self.now)

    def ask(self, *commands: bytes) -> list[Happening]:
        for command in commands:
            self.client.submit(command)
        return self.pump()

    def asked(self) -> list[Ask]:
        """Return the requests that were made, without the opening ones and repeats."""
        found = [decode_request(request) for request in self.requests]
        self.requests.clear()
        return [ask for ask in found if isinstance(ask, Ask) and ask.tries == 1 and not ask.cookie]


def in_turn(desk: Desk, datagram: bool = True) -> Chatter:
    """Return a chatter who works in turn, and has joined."""
    chatter = Chatter(desk, datagram, in_turn=True)
    chatter.ask(b"1 Alice")
    return chatter


def one_by_one(chatter: Chatter) -> Iterator[list[Happening]]:
    """Yield what each exchange brings."""
    while (request := chatter.client.send(chatter.now)) is not None:
        chatter.now += 10
        reply = chatter.desk.answer(request, chatter.address)
        assert isinstance(reply, bytes)
        yield chatter.client.receive(reply, chatter.now)


def lines(happenings: list[Happening]) -> list[bytes]:
    """Return the lines that were told."""
    return [h.line for h in happenings if isinstance(h, Told)]


def results(happenings: list[Happening]) -> list[tuple[bytes, str]]:
    """Return what came of each command."""
    return [(h.command, h.word) for h in happenings if isinstance(h, Result)]


def opened(datagram: bool = True, in_turn: bool = False) -> SessionClient:
    """Return a client with a session."""
    client = SessionClient(datagram, nonce=NONCE, in_turn=in_turn)
    assert client.send(0) == Open("main", NONCE).encode()
    assert client.receive(Opened(TOKEN, key=NONCE).encode(), 0) == [Ready(resumed=False)]
    return client


def asked(client: SessionClient, now: int = 0) -> Ask:
    """Return the request that *client* makes."""
    request = client.send(now)
    assert request is not None
    ask = decode_request(request)
    assert isinstance(ask, Ask)
    return ask


def answer(
    ask: Ask,
    *words: str,
    stop: int = 0,
    end: int | None = None,
    **options: Any,  # noqa: ANN401
) -> bytes:
    """Return an answer to *ask*, which begins at its mark."""
    last = options.pop("last", Mark(stop or ask.mark.position))
    whole = Answer(
        options.pop("number", ask.number),
        words,
        options.pop("begin", ask.mark),
        last,
        last.position if end is None else end,
        **options,
        key=ask.token,
    )
    return whole.encode()


def body(*positions: int) -> bytes:
    """Return what Bob said at *positions*, as an answer has it."""
    return b"".join(b"%d 5 s Bob: %d\n" % (position, position) for position in positions)


def told(*positions: int) -> list[Told]:
    """Return the same as a client tells it."""
    return [Told(position, 5, "s", b"Bob: %d" % position) for position in positions]
