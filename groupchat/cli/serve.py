"""``groupchat serve``."""

import asyncio
import contextlib
import errno
import secrets
import shlex
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from groupchat import __version__
from groupchat.cli.log import log_to_stderr
from groupchat.cli.parameters import (
    COUNT,
    DEFAULT_PORT,
    MAX_PORT,
    PORT,
    Endpoint,
    default_journal,
    endpoint,
)
from groupchat.cli.printable import printable
from groupchat.cli.program import program, serving
from groupchat.cli.progress import Progress
from groupchat.cli.retention import retention
from groupchat.journal import (
    Damaged,
    Journal,
    MemoryJournal,
    Unusable,
    open_journal,
)
from groupchat.journal.files import InUse
from groupchat.journal.retention import FOR_EVER, Retention
from groupchat.server import NO_LIMITS, Limits, Server
from groupchat.transports import Listener

__all__ = ["serve"]

LOG_SECONDS: Final = 1.0
"""Seconds that a slow reader of the log is given at the end."""

STOP_SECONDS: Final = 10.0
"""Seconds for which, at the end, the journal is waited for."""

_MEMORY: Final = ":memory:"
_FREE_PORT_TRIES: Final = 20
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that mean every address of this machine, and how it reaches itself then."""
_THIS_MACHINE: Final = ("127.0.0.1", "::1", "localhost")


def _limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every limit there is."""
    for limit in reversed(attrs.fields(Limits)):
        command = click.option(
            f"--max-{limit.name.replace('_', '-')}",
            limit.name,
            type=COUNT,
            default=limit.default,
            show_default=True,
            metavar="N",
            help=limit.metadata["help"],
        )(command)
    return command


@click.command(
    epilog="""\b
Examples:
  groupchat serve                                     UDP and TCP on port 12345
  groupchat serve --host 0.0.0.0 5000                 let the network in, on port 5000
  groupchat serve --transport udp 12345               UDP alone
  groupchat serve --transport udp --transport tcp:80  a port for each
  groupchat serve --journal chat.journal              keep the group in that file
  groupchat serve --retain 90d,2GB                    forget what is older, or more
"""
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 (IPv4) or :: (IPv6 and IPv4) lets the network in.",
)
@click.option(
    "--transport",
    "endpoints",
    metavar="NAME[:PORT]",
    type=endpoint,
    multiple=True,
    default=["udp", "tcp"],
    help="Listen by this transport; may be given several times.  [default: udp and tcp]",
)
@click.option(
    "--journal",
    metavar="PATH",
    help="Keep the group in this file; ':memory:' keeps it in memory alone.  "
    "[default: a file for PORT in your application folder; in memory if PORT is 0]",
)
@click.option(
    "--retain",
    type=retention,
    metavar="AGE|SIZE",
    help="Let go of old events: 30d, 12h, 500MB, or 30d,500MB.  [default: keep all]",
)
@click.option("--no-limits", is_flag=True, help="Turn all limits off, for links that you trust.")
@_limit_options
@click.argument("port", type=PORT, default=DEFAULT_PORT)
def serve(
    host: str,
    endpoints: Sequence[Endpoint],
    journal: str | None,
    retain: Retention | None,
    no_limits: bool,
    port: int,
    **limits: int,
) -> None:
    """Start the chat server.

    PORT is 12345 if not given; 0 takes any free one. The group is kept in a journal, so that it
    is still there when the server starts again.
    """
    if len({(point.name, point.port) for point in endpoints}) < len(endpoints):
        raise click.BadParameter("the same transport is there twice.", param_hint="--transport")
    if journal == "":  # as a path it would be the folder that we are in
        raise click.BadParameter("it is empty.", param_hint="--journal")
    drain_log = log_to_stderr()
    path = _journal_path(journal, port)
    allowed = NO_LIMITS if no_limits else Limits(**limits)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        scheduler = _Scheduler(runner.get_loop())
        usual = journal is None
        with contextlib.closing(_open(path, port, usual, retain or FOR_EVER, scheduler)) as kept:
            runner.run(_serve(host, endpoints, port, path, Server(kept, scheduler, allowed)))
    drain_log(LOG_SECONDS)


def _journal_path(journal: str | None, port: int) -> Path | None:
    """Return the file of the journal, or None for none."""
    if journal == _MEMORY or (journal is None and not port):
        return None
    return default_journal(port) if journal is None else Path(journal)


async def _serve(
    host: str,
    endpoints: Sequence[Endpoint],
    port: int,
    path: Path | None,
    server: Server,
) -> None:
    with _signals() as stop:
        listeners = await _listen(server, host, endpoints, port)
        try:
            click.echo(_banner(host, endpoints, listeners, path))
            await stop.wait()
        finally:
            await _stop(server, listeners)
    click.echo("Stopped.")


async def _stop(server: Server, listeners: Sequence[Listener]) -> None:
    """Stop *server*, and then its *listeners*: what it has carried out by then, it has answered.

    The other way round, the last replies could not be sent, and by the plain protocol on UDP, what
    was told in them would be lost.

    A disk that neither stores what is under way nor says that it has not may never do so.
    """
    stopped = asyncio.Event()
    server.stop(stopped.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), STOP_SECONDS)
    for listener in listeners:
        await listener.close()


def _open(
    path: Path | None, port: int, usual: bool, retain: Retention, scheduler: "_Scheduler"
) -> Journal:
    if path is None:
        return MemoryJournal(retain)
    name = printable(path)
    try:
        size = path.stat().st_size if path.exists() else 0
        with Progress(f"Reading {name}", size) as progress:
            return open_journal(path, scheduler.call_from_thread, retain, progress.add)
    except Unusable as error:
        if isinstance(error, InUse) and usual:
            raise click.ClickException(_in_use(name, port)) from error
        raise click.ClickException(printable(f"{error}.")) from error
    except Damaged as error:
        raise click.ClickException(
            f"{name} is damaged: {error}. "
            f"See what can be saved: {program()} journal check {shlex.quote(name)}"
        ) from error
    except OSError as error:
        raise click.ClickException(
            f"cannot keep a journal in {name}: {error.strerror or error}. "
            "Mend that, or begin a new group in another file: --journal PATH"
        ) from error


class _Scheduler:
    """The real world, for the server."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.call_soon = loop.call_soon
        self.call_later = loop.call_later

    def time(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def draw(self) -> bytes:
        return secrets.token_bytes(16)

    def call_from_thread(self, call: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Yield an event that is set by SIGINT and SIGTERM.

    By way of a socket, because on Windows nothing else wakes a loop that waits for sockets.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    here, there = socket.socketpair()

    def caught() -> None:
        here.recv(4_096)  # or the loop would turn without a pause until the end
        stop.set()

    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        loop.add_reader(here, caught)
        signal.set_wakeup_fd(there.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # the socket tells
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(-1)
            loop.remove_reader(here)


async def _listen(
    server: Server, host: str, endpoints: Sequence[Endpoint], port: int
) -> list[Listener]:
    """Listen at all *endpoints*, or at none. Those without a port of their own share one."""
    tries = 1 if port else _FREE_PORT_TRIES
    while True:
        tries -= 1
        listeners: list[Listener] = []
        shared = port
        try:
            for point in endpoints:
                wanted = shared if point.port is None else point.port
                listeners.append(await point.transport.listen(host, wanted, server))
                if point.port is None:
                    shared = listeners[-1].port
        except OSError as error:
            for listener in listeners:
                await listener.close()
            # A port that is free for one transport may be taken for the next.
            if not tries or error.errno != errno.EADDRINUSE:
                raise click.ClickException(_why(error, point.name, host, wanted)) from error
        else:
            return listeners


def _why(error: OSError, name: str, host: str, port: int) -> str:
    """Return what went wrong, and what to do about it."""
    if isinstance(error, socket.gaierror):
        return f"no address is known for the host {host!r}. For this machine: --host 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        return _in_use(f"port {port} ({name})", port)
    if isinstance(error, PermissionError):
        return (
            f"port {port} ({name}) is not allowed for you; ports below 1024 are often reserved. "
            f"Choose another port: {serving(DEFAULT_PORT)}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine does not have the address {host}. For any it has: --host 0.0.0.0"
    return f"cannot listen at {host}, port {port} ({name}): {error.strerror or error}"


def _in_use(what: str, port: int) -> str:
    return (
        f"{what} is in use; is a server running already? "
        f"Choose another port: {serving(port % MAX_PORT + 1)}"
    )


def _banner(
    host: str, endpoints: Sequence[Endpoint], listeners: Sequence[Listener], path: Path | None
) -> str:
    """Return what is going on and how to join."""
    kept = "in memory" if path is None else f"in {printable(path)}"
    lines = [f"groupchat {__version__}, one group, kept {kept}. Ctrl-C ends it."]
    for point, listener in zip(endpoints, listeners, strict=True):
        lines += [f"Listening on {point.name} {address}" for address in listener.addresses]
    nearby = _ANY_HOST.get(host, host)
    lines += ["", "Join from another terminal:"]
    for point, listener in zip(endpoints, listeners, strict=True):
        option = "" if point.name == "udp" else f"--transport {point.name} "
        lines.append(f"  {program()} connect {option}{nearby} {listener.port}")
    if host in _ANY_HOST:
        lines.append("From other machines, with this machine's address in place of " + nearby + ".")
    elif host in _THIS_MACHINE:
        everywhere = "::" if ":" in host else "0.0.0.0"
        lines.append(f"Only this machine can join. To let the network in: --host {everywhere}")
    return "\n".join([*lines, ""])
