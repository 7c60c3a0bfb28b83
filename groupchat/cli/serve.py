"""``groupchat serve``."""

import asyncio
import errno
import logging
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence

import click

from groupchat import __version__
from groupchat.cli.parameters import DEFAULT_PORT, MAX_PORT, PORT, Endpoint, endpoint
from groupchat.core import Group
from groupchat.server import Server
from groupchat.transports import Listener

__all__ = ["serve"]

_FREE_PORT_TRIES = 20


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
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(host, endpoints, port))


async def _serve(host: str, endpoints: Sequence[Endpoint], port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    server = Server(Group(), lambda: time.time_ns() // 1_000_000, loop.call_soon)
    listeners = await _listen(server, host, endpoints, port)
    try:
        click.echo(_banner(host, port, endpoints, listeners))
        await stop.wait()
    finally:
        for listener in listeners:
            await listener.close()
    click.echo("Stopped.")


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


def _banner(
    host: str, port: int, endpoints: Sequence[Endpoint], listeners: Sequence[Listener]
) -> str:
    """Return what is going on and how to join."""
    lines = [f"groupchat {__version__}, one group, kept in memory. Ctrl-C ends it."]
    for point, listener in zip(endpoints, listeners, strict=True):
        lines += [f"Listening on {point.name} {address}" for address in listener.addresses]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    lines += ["", "Join from another terminal:"]
    for point, listener in zip(endpoints, listeners, strict=True):
        option = "" if point.name == "udp" else f"--transport {point.name} "
        lines.append(f"  {_program()} connect {option}{reachable} {listener.port}")
    if reachable == host:
        lines += ["To let the network in as well:", f"  {_program()} serve --host 0.0.0.0 {port}"]
    return "\n".join([*lines, ""])


def _program() -> str:
    """Return the command that started us, as it can be typed again."""
    if sys.argv[0].endswith("__main__.py"):
        return "python -m groupchat"
    return "groupchat" if shutil.which("groupchat") else sys.argv[0]
