"""A member with a session on a real socket, driven by hand: one thread can drive many.

It keeps account of what the server has acknowledged to it and of all that it was told, for a
comparison with what everybody else has.
"""

import itertools
import secrets
import select
import socket
import time
from collections.abc import Callable, Sequence

from attrs import frozen

from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.happenings import Lost, NoSessions, Result, Told
from groupchat.core.sessions.replies import DONE

__all__ = ["SocketMember", "Verdict", "compare", "drive", "now"]


def now() -> int:
    """Return the time, in milliseconds from some beginning."""
    return time.monotonic_ns() // 1_000_000


class SocketMember:
    """One session, by UDP or TCP.

    Args:
        name: what to join as.
        port: where the server is, on this machine.
        transport: ``udp`` or ``tcp``.
    """

    def __init__(self, name: str, port: int, transport: str = "udp") -> None:
        self.name = name
        self.session = SessionClient(datagram=transport == "udp", nonce=secrets.token_hex(8))
        self.session.submit(b"1 " + name.encode())
        self.said: list[bytes] = []
        self.acknowledged: list[bytes] = []
        self.told: list[Told] = []
        self.failures: list[str] = []
        self.moves = 0
        self._port = port
        self._transport = transport
        self._arrived = b""
        self._pause_until = 0
        self.socket: socket.socket | None = None

    def say(self, text: bytes) -> None:
        """Have *text* said, as soon as may be."""
        self.said.append(text)
        self.session.submit(b"2 " + text)

    def move(self, port: int, transport: str) -> None:
        """Go on by another socket, with a port of its own, to *port*, by *transport*."""
        self.moves += 1
        self._port, self._transport = port, transport
        self._hang_up()
        self._pause_until = 0

    def pump(self) -> None:
        """Send what is to be sent, if a socket is to be had."""
        if self.socket is None and not self._connect():
            return
        datagram = self.session.send(now())
        if datagram is not None:
            self._send(datagram)

    def read(self) -> None:
        """Take what has arrived."""
        if self.socket is None:
            return
        try:
            while True:
                data = self.socket.recv(1 << 18)
                if self._transport == "udp":
                    self._take(data)
                    continue
                if not data:
                    self._hang_up()
                    return
                self._arrived += data
                *replies, self._arrived = self._arrived.split(b"\n\n")
                for reply in replies:
                    self._take(reply)
        except BlockingIOError:
            return
        except OSError:
            if self._transport == "tcp":
                self._hang_up()

    def close(self) -> None:
        """Let go of the socket."""
        self._hang_up()

    def _connect(self) -> bool:
        if now() < self._pause_until:
            return False
        kind = socket.SOCK_DGRAM if self._transport == "udp" else socket.SOCK_STREAM
        sock = socket.socket(socket.AF_INET, kind)
        try:
            sock.connect(("127.0.0.1", self._port))
        except OSError:
            sock.close()
            self._pause_until = now() + 20
            return False
        sock.setblocking(False)
        self.socket, self._arrived = sock, b""
        self.session.reconnect(datagram=self._transport == "udp")
        return True

    def _hang_up(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
            self._pause_until = now() + 20

    def _send(self, message: bytes) -> None:
        assert self.socket is not None
        try:
            if self._transport == "udp":
                self.socket.send(message)
            else:
                self.socket.sendall(message + b"\n")
        except BlockingIOError:
            pass
        except OSError:
            if self._transport == "tcp":
                self._hang_up()

    def _take(self, data: bytes) -> None:
        for happening in self.session.receive(data, now()):
            if isinstance(happening, Told):
                self.told.append(happening)
            elif isinstance(happening, Result):
                if happening.word != DONE:
                    self.failures.append(f"{happening.command[:40]!r}: {happening.word}")
                elif happening.command.startswith(b"2 "):
                    self.acknowledged.append(happening.command[2:])
            elif isinstance(happening, NoSessions | Lost):
                self.failures.append(repr(happening))


def drive(
    members: Sequence[SocketMember], until: Callable[[], bool], seconds: float, tick: float = 0.01
) -> bool:
    """Have *members* send and receive until something holds, for *seconds* at the most; return
    whether it came to hold."""
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        for member in members:
            member.pump()
        sockets = {member.socket: member for member in members if member.socket is not None}
        readable, _, _ = select.select(list(sockets), [], [], tick)
        for sock in readable:
            sockets[sock].read()
    return True


@frozen
class Verdict:
    """What a comparison of everybody's accounts has found."""

    said: int
    acknowledged: int
    deliveries: int
    lost: int
    """Acknowledged messages that somebody who was there has not been told."""
    doubled: int
    invented: int
    out_of_order: int
    failures: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.lost or self.doubled or self.invented or self.out_of_order or self.failures
        )

    def __str__(self) -> str:
        return (
            f"{self.said:,} messages, {self.acknowledged:,} acknowledged, "
            f"{self.deliveries:,} deliveries: {self.lost} lost, {self.doubled} doubled, "
            f"{self.invented} invented, {self.out_of_order} out of order"
        )


def compare(members: Sequence[SocketMember]) -> Verdict:
    """Compare what *members*, who were all there before the first message, were told."""
    lost = doubled = invented = out_of_order = deliveries = 0
    places: dict[bytes, int] = {}  # each line has one position, the same for everybody
    for member in members:
        said = [told for told in member.told if told.kind == "s"]
        lines = [told.line for told in said]
        deliveries += len(lines)
        doubled += len(lines) - len(set(lines))
        positions = [told.position for told in said]
        out_of_order += sum(a >= b for a, b in itertools.pairwise(positions))
        for told in said:
            out_of_order += places.setdefault(told.line, told.position) != told.position
        expected = {
            f"{other.name}: ".encode() + text
            for other in members
            if other is not member
            for text in other.acknowledged
        }
        possible = {
            f"{other.name}: ".encode() + text
            for other in members
            if other is not member
            for text in other.said
        }
        lost += len(expected - set(lines))
        invented += len(set(lines) - possible)
    for member in members:  # and in the order in which each one said it
        own = [places[line] for text in member.said if (line := _line(member, text)) in places]
        out_of_order += sum(a >= b for a, b in itertools.pairwise(own))
    return Verdict(
        sum(len(member.said) for member in members),
        sum(len(member.acknowledged) for member in members),
        deliveries,
        lost,
        doubled,
        invented,
        out_of_order,
        tuple(failure for member in members for failure in member.failures),
    )


def _line(member: SocketMember, text: bytes) -> bytes:
    return f"{member.name}: ".encode() + text
