"""groupchat over TCP, with members who follow: each has a session, and is told all news unasked.

That is what ``groupchat connect`` does at a terminal. The writer speaks the plain protocol, a line
a message, as an IRC client does; nobody waits for the answer to one message before he sends
the next. The followers acknowledge what they have as the program does: not every message, but now
and then.
"""

import contextlib
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.room import TEXT
from bench.served import LOOPBACK, Served, free_port, serving
from groupchat.core.sessions.replies import Answer, Opened, Reply, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark

__all__ = ["Follower", "Group", "group", "groupchat", "join_plainly"]


class Follower:
    """A member with a session, on a connection of his own."""

    def __init__(self, server: Served, name: str) -> None:
        self._server = server
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
        self._number += 1
        ask = Ask(self._token, self._number, Mark(position), commands, follow=True)
        self.connection.sendall(ask.encode() + b"\n")
        while True:
            answer = self._receive(self._token)
            if not isinstance(answer, Answer):
                raise RuntimeError(f"groupchat refuses {commands}: {answer}")
            if answer.number == self._number:
                return answer

    def follow_again(self) -> bytes:
        """Come back on a new connection, and return the request for all that has not been
        acknowledged."""
        self.connection.close()
        self.connection = self._server.connect()
        self._number += 1
        return Ask(self._token, self._number, Mark(self.position), follow=True).encode() + b"\n"

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

    def __init__(self, server: Served, followers: int) -> None:
        self.server = server
        self._members = [Follower(server, f"follower {number}") for number in range(followers)]
        self.followers = [member.connection for member in self._members]
        self.writer = join_plainly(server, "writer")
        self._end = self._members[-1].position + 1  # the writer has joined, too
        self.acknowledge(0)

    def acknowledge(self, messages: int) -> None:
        """Have the followers say that they have *messages* more."""
        self._end += messages
        for member in self._members:
            member.ask(self._end)


def join_plainly(server: Served, name: str) -> socket.socket:
    """Return the connection of a new member who speaks the plain protocol."""
    member = server.connect()
    member.sendall(f"1 {name}\n".encode())
    arrived = b""
    while not arrived.endswith(b"\n\n") and arrived != b"\n":
        arrived += member.recv(65_536)
    return member


@contextlib.contextmanager
def groupchat(durable: bool) -> Iterator[Served]:
    """Run ``groupchat serve`` over TCP, without limits: *durable*, with its journal on the disk, or
    in memory."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "chat.journal" if durable else ":memory:"
        options = ["--no-limits", "--host", LOOPBACK, "--transport", "tcp", "--journal", journal]
        with serving([sys.executable, "-m", "groupchat", "serve", *options, str(port)], port) as it:
            yield it


@contextlib.contextmanager
def group(followers: int, durable: bool) -> Iterator[Group]:
    """Start groupchat, with so many *followers* in its group."""
    with groupchat(durable) as server:
        yield Group(server, followers)
