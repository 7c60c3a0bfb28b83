"""``groupchat demo``: a whole conversation, played by real processes and checked to the byte.

What lives here: starting a server and its clients, handing each client its lines at the right
moment, and laying what they show side by side. What must not: a rule of the chat; the replies
come from the server, and what they must be from :mod:`groupchat.client.transcript`.

Theory. Each client talks to the server through a *tap*, a socket of ours in between that hands
on datagrams as they are and keeps a copy. So each exchange is checked on the wire, and once
more where a person would see it, on the client's standard output.
"""

import contextlib
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final, cast

from groupchat.client.transcript import Exchange

__all__ = ["DEADLINE_SECONDS", "Failure", "play"]

DEADLINE_SECONDS: Final = 60.0
"""Seconds after which the demo gives up."""

_PROGRAM: Final = [sys.executable, "-m", "groupchat"]


class Failure(Exception):
    """The conversation did not go as it must. The message says where."""


def play(exchanges: Sequence[Exchange], width: int, show: Callable[[str], None]) -> None:
    """Play *exchanges* and show them, a row at a time, in a column for each member.

    Args:
        exchanges: who asks what, in which order, and what he must be answered.
        width: columns of the terminal.
        show: called with each row of text.

    Raises:
        Failure: a reply differed, or did not come.
    """
    members = list(dict.fromkeys(exchange.member for exchange in exchanges))
    screen = _Screen(members, width, show)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_process("serve", "--transport", "udp", "0"))
        port = _port(_pipe(server.stdout))
        clients = {name: stack.enter_context(_client(port)) for name in members}

        def give_up() -> None:
            for client in clients.values():
                client.kill()

        watchdog = threading.Timer(DEADLINE_SECONDS, give_up)
        watchdog.daemon = True
        watchdog.start()
        stack.callback(watchdog.cancel)
        try:
            for exchange in exchanges:
                clients[exchange.member].play(exchange)
                screen.add(exchange)
            for client in clients.values():
                client.end()
        except Failure:
            give_up()  # else each of them would wait for an answer to its farewell
            raise


class _Client:
    """A ``connect`` process and the tap on its line to the server."""

    def __init__(self, process: "subprocess.Popen[bytes]", tap: "_Tap") -> None:
        self._process = process
        self._tap = tap
        self._left = False

    def play(self, exchange: Exchange) -> None:
        """Have the request made, and check the reply on the wire and on the screen."""
        keyboard, screen = _pipe(self._process.stdin), _pipe(self._process.stdout)
        try:
            keyboard.write(exchange.request + b"\n")
            keyboard.flush()
        except OSError as error:
            raise Failure(f"{exchange.member}'s client has ended") from error
        request, reply = self._tap.relay()
        _check(exchange, "sent", exchange.request, request)
        _check(exchange, "got", exchange.reply, reply)
        if reply:
            shown = b"".join(screen.readline() for _ in reply.split(b"\n"))
            _check(exchange, "showed", exchange.reply + b"\n", shown)
        self._left = exchange.request == b"4"

    def end(self) -> None:
        """Close the keyboard; the client leaves the group if it has not yet, and ends."""
        _pipe(self._process.stdin).close()
        if not self._left:
            self._tap.relay()
        if self._process.wait():
            raise Failure(f"a client ended with exit code {self._process.returncode}")

    def kill(self) -> None:
        """End the client at once, and whatever waits for it."""
        self._process.kill()


class _Tap:
    """A socket between one client and the server."""

    def __init__(self, server_port: int) -> None:
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inner.bind(("127.0.0.1", 0))
        self._outer.connect(("127.0.0.1", server_port))
        for sock in (self._inner, self._outer):
            sock.settimeout(DEADLINE_SECONDS)
        self._last = b""
        self.port: int = self._inner.getsockname()[1]

    def relay(self) -> tuple[bytes, bytes]:
        """Hand one request to the server and its reply to the client; return both."""
        try:
            request = self._last
            while request == self._last:  # a client kept waiting asks again
                request, client = self._inner.recvfrom(65_536)
            self._last = request
            self._outer.send(request)
            reply = self._outer.recv(65_536)
            self._inner.sendto(reply, client)
        except OSError as error:
            raise Failure(f"no answer from the server ({error})") from error
        return request, reply

    def close(self) -> None:
        self._inner.close()
        self._outer.close()


class _Screen:
    """The members' terminals, side by side. Time runs downwards."""

    def __init__(self, members: Sequence[str], width: int, show: Callable[[str], None]) -> None:
        self._members = members
        self._width = max(16, (min(width, 120) + 3) // len(members) - 3)
        self._show = show
        self._row([f"{name}'s terminal" for name in members])
        show("-+-".join("-" * self._width for _ in members))

    def add(self, exchange: Exchange) -> None:
        """Show what the member typed and what he got."""
        lines = [f"> {exchange.request.decode()}", *exchange.reply.decode().split("\n")]
        for line in lines:
            for part in textwrap.wrap(line, self._width):
                self._row([part if name == exchange.member else "" for name in self._members])

    def _row(self, cells: Sequence[str]) -> None:
        self._show(" | ".join(cell.ljust(self._width) for cell in cells).rstrip())


@contextlib.contextmanager
def _process(*arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        [*_PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def _client(server_port: int) -> Iterator[_Client]:
    with (
        contextlib.closing(_Tap(server_port)) as tap,
        _process("connect", "--plain", "127.0.0.1", str(tap.port)) as process,
    ):
        yield _Client(process, tap)


def _port(banner: IO[bytes]) -> int:
    for line in banner:
        if line.startswith(b"Listening on udp"):
            return int(line.rpartition(b":")[2])
    raise Failure("the server did not start")


def _check(exchange: Exchange, what: str, expected: bytes, seen: bytes) -> None:
    if seen != expected:
        raise Failure(
            f"step {exchange.step}: {exchange.member} {what} {seen!r}, and it must be {expected!r}"
        )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    return cast(IO[bytes], pipe)
