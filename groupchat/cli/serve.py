"""``groupchat serve``."""

import asyncio
import contextlib
import errno
import logging
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import click

from groupchat import __version__
from groupchat.cli.parameters import DEFAULT_PORT, MAX_PORT, PORT, Endpoint, endpoint
from groupchat.core import Group
from groupchat.server import Server
from groupchat.transports import Listener

__all__ = ["serve"]

_FREE_PORT_TRIES: Final = 20
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that mean every address of this machine, and how it reaches itself then."""
_THIS_MACHINE: Final = ("127.0.0.1", "::1", "localhost")


@click.command(
    epilog="""\b
Examples:
  groupchat serve                                     UDP and TCP on port 12345
  groupchat serve --host 0.0.0.0 5000                 let the network in, on port 5000
  groupchat serve --transport udp 12345               UDP alone
  groupchat serve --transport udp --transport tcp:80  a port for each
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
@click.argument("port", type=PORT, default=DEFAULT_PORT)
def serve(host: str, endpoints: Sequence[Endpoint], port: int) -> None:
    """Start the chat server.

    PORT is 12345 if not given; 0 takes any free one. The group is kept in memory: when the
    server ends, so does the group.
    """
    if len({(point.name, point.port) for point in endpoints}) < len(endpoints):
        raise click.BadParameter("the same transport is there twice.", param_hint="--transport")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(host, endpoints, port))


async def _serve(host: str, endpoints: Sequence[Endpoint], port: int) -> None:
    loop = asyncio.get_running_loop()
    server = Server(Group(), lambda: time.time_ns() // 1_000_000, loop.call_soon)
    with _signals() as stop:
        listeners = await _listen(server, host, endpoints, port)
        try:
            click.echo(_banner(host, endpoints, listeners))
            await stop.wait()
        finally:
            for listener in listeners:
                await listener.close()
    click.echo("Stopped.")


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Yield an event that is set by SIGINT and SIGTERM.

    By way of a socket, because on Windows nothing else wakes a loop that waits for sockets.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        loop.add_reader(here, stop.set)
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
        return (
            f"port {port} ({name}) is in use; is a server running already? "
            f"Choose another port: {_program()} serve {port % MAX_PORT + 1}"
        )
    if isinstance(error, PermissionError):
        return (
            f"port {port} ({name}) is not allowed for you; ports below 1024 are often reserved. "
            f"Choose another port: {_program()} serve {DEFAULT_PORT}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine does not have the address {host}. For any it has: --host 0.0.0.0"
    return f"cannot listen at {host}, port {port} ({name}): {error.strerror or error}"


def _banner(host: str, endpoints: Sequence[Endpoint], listeners: Sequence[Listener]) -> str:
    """Return what is going on and how to join."""
    lines = [f"groupchat {__version__}, one group, kept in memory. Ctrl-C ends it."]
    for point, listener in zip(endpoints, listeners, strict=True):
        lines += [f"Listening on {point.name} {address}" for address in listener.addresses]
    nearby = _ANY_HOST.get(host, host)
    lines += ["", "Join from another terminal:"]
    for point, listener in zip(endpoints, listeners, strict=True):
        option = "" if point.name == "udp" else f"--transport {point.name} "
        lines.append(f"  {_program()} connect {option}{nearby} {listener.port}")
    if host in _ANY_HOST:
        lines.append("From other machines, with this machine's address in place of " + nearby + ".")
    elif host in _THIS_MACHINE:
        everywhere = "::" if ":" in host else "0.0.0.0"
        lines.append(f"Only this machine can join. To let the network in: --host {everywhere}")
    return "\n".join([*lines, ""])


def _program() -> str:
    """Return the command that started us, as it can be typed again."""
    if sys.argv[0].endswith("__main__.py"):
        return "python -m groupchat"
    return "groupchat" if shutil.which("groupchat") else sys.argv[0]
