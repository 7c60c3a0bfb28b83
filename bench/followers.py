"""groupchat over TCP, with members who follow: each has a session, and is told all news unasked.

That is what ``groupchat connect`` does at a terminal. The writer speaks the plain protocol, a line
a message, as an IRC client does; nobody waits for the answer to one message before he sends
the next. The followers acknowledge what they have as the program does: not every message, but now
and then.
"""

import contextlib
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeAlias

from bench.process import Process, groupchat, started
from bench.room import TEXT, Room, arrived
from groupchat.core.sessions.replies import Answer, Opened, Reply, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from groupchat.transports.tcp_peer import UNANSWERED_LINES

__all__ = ["Group", "Member", "Start", "group", "join_plainly", "rooms", "serving"]

MESSAGES_A_REQUEST: Final = 17
"""Messages of 64 bytes that fit into the 1,200 bytes of one request of a session."""

REQUESTS_UNDER_WAY: Final = 2 * UNANSWERED_LINES

Start: TypeAlias = Callable[[int], AbstractContextManager[Room]]
"""Starts a server with so many followers."""


class Member:
    """A member with a session, on a connection of his own.

    Args:
        server: groupchat.
        name: what to join as.
        follows: whether to be told all news unasked.
    """

    def __init__(self, server: Process, name: str, *, follows: bool) -> None:
        self._server = server
        self._follows = follows
        self._number = 0
        self._arrived = b""
        self.connection = server.connect()
        nonce = secrets.token_hex(8)
        self.connection.sendall(Open("main", nonce).encode() + b"\n")
        opened = self._receive(nonce)
        if not isinstance(opened, Opened):
            raise RuntimeError(f"groupchat refuses a session: {opened}")
        self._token = opened.token
        self.position = self.ask(0, b"1 " + name.encode()).stop.position
        """All before this has been acknowledged, or was before he joined."""

    def ask(self, position: int, *commands: bytes) -> Answer:
        """Ask for something, acknowledge all before *position*, and return the answer."""
        self.connection.sendall(self._request(position, *commands))
        while True:
            answer = self._answer()
            if answer.number == self._number:
                return answer

    def say(self, text: str, times: int) -> None:
        """Say *text*, which has 64 bytes, so many *times*: as many messages in each request as have
        room, and some requests under way at once. Not all of those are answered: of requests that
        are carried out together, only the last one is."""
        command = b"2 " + text.encode()
        answered = self._number
        while times or answered < self._number:
            requests: list[bytes] = []
            while times and self._number - answered < REQUESTS_UNDER_WAY:
                count = min(times, MESSAGES_A_REQUEST)
                requests.append(self._request(self.position, *[command] * count))
                times -= count
            self.connection.sendall(b"".join(requests))
            answered = self._answer().number

    def follow_again(self) -> bytes:
        """Come back on a new connection, and return the request for all that has not been
        acknowledged."""
        self.connection.close()
        self.connection = self._server.connect()
        self._follows = True
        return self._request(self.position)

    def _request(self, position: int, *commands: bytes) -> bytes:
        self._number += 1
        ask = Ask(self._token, self._number, Mark(position), commands, follow=self._follows)
        return ask.encode() + b"\n"

    def _answer(self) -> Answer:
        """Return the next answer, or news that comes unasked and has the number 0."""
        answer = self._receive(self._token)
        if not isinstance(answer, Answer):
            raise RuntimeError(f"groupchat refuses a request: {answer}")
        return answer

    def _receive(self, key: str) -> Reply | None:
        while b"\n\n" not in self._arrived:
            data = self.connection.recv(1 << 20)
            if not data:
                raise RuntimeError("groupchat has closed a connection")
            self._arrived += data
        reply, self._arrived = self._arrived.split(b"\n\n", 1)
        return decode_reply(reply, key)


class Group:
    """A group, and its members."""

    request = f"2 {TEXT}\n".encode()

    def __init__(self, server: Process, followers: int) -> None:
        self.server = server
        self._members = [
            Member(server, f"follower {number}", follows=True) for number in range(followers)
        ]
        self.followers = [member.connection for member in self._members]
        self.writer = join_plainly(server, "writer")
        self._end = self._members[-1].position + 1  # the writer has joined, too
        self.acknowledge(0)

    def acknowledge(self, messages: int) -> None:
        """Have the followers say that they have *messages* more."""
        self._end += messages
        for member in self._members:
            member.ask(self._end)


def join_plainly(server: Process, name: str) -> socket.socket:
    """Return the connection of a new member who speaks the plain protocol."""
    member = server.connect()
    member.sendall(f"1 {name}\n".encode())
    arrived(member, lambda data: data.endswith(b"\n\n") or data == b"\n")
    return member


@contextlib.contextmanager
def serving(durable: bool, *limits: str) -> Iterator[Process]:
    """Run ``groupchat serve`` over TCP: *durable*, with its journal on the disk, or in memory; and
    without *limits*, or with the default ones and those."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "chat.journal" if durable else ":memory:"
        with started(groupchat(journal, "tcp", *limits)) as server:
            yield server


@contextlib.contextmanager
def group(followers: int, durable: bool) -> Iterator[Group]:
    """Start groupchat, with so many *followers* in its group."""
    with serving(durable) as server:
        yield Group(server, followers)


@contextlib.contextmanager
def rooms(baseline: Start, followers: int) -> Iterator[dict[str, Room]]:
    """Start a ``baseline`` and, to compare with it, groupchat in ``memory`` and ``durable``, each
    with so many *followers*.

    Raises:
        Skipped: the baseline is not installed.
    """
    with (
        baseline(followers) as theirs,
        group(followers, durable=False) as memory,
        group(followers, durable=True) as durable,
    ):
        yield {"baseline": theirs, "memory": memory, "durable": durable}
