"""``groupchat connect``."""

import asyncio
import socket
from urllib.parse import urlsplit

import click

from groupchat.cli.parameters import DEFAULT_PORT, MAX_PORT, load_transport
from groupchat.client import NoAnswer
from groupchat.client.terminal import chat

__all__ = ["connect"]


@click.command(
    epilog="""\b
Requests:
  1 NAME   join the group
  2 TEXT   say something
  3 NAME   go on under another name
  4        leave the group
  5        get what happened since

\b
Examples:
  groupchat connect 127.0.0.1 12345
  groupchat connect --transport tcp chat.example.org 12345
  groupchat connect udp://[::1]:12345
  printf '1 Alice\\n5\\n' | groupchat connect 127.0.0.1 12345
"""
)
@click.option("--transport", "name", metavar="NAME", help="How to connect.  [default: udp]")
@click.argument("host", metavar="HOST|URL")
@click.argument("port", type=click.IntRange(1, MAX_PORT), required=False)
def connect(name: str | None, host: str, port: int | None) -> None:
    """Chat by the server at HOST and PORT (12345 if not given), or at a URL.

    Type requests, or pipe them in. Replies go to standard output, and all else to standard
    error. The chat ends, and you leave the group, after the request 4, at the end of the input,
    and on Ctrl-C.
    """
    if "://" in host:
        if name is not None or port is not None:
            raise click.UsageError("the URL says it all: leave out --transport and PORT.")
        name, host, port = _parts(host)
    name = name or "udp"
    host = host.removeprefix("[").removesuffix("]")
    port = DEFAULT_PORT if port is None else port
    try:
        transport = load_transport(name)
    except click.BadParameter as error:
        error.param_hint = "--transport"
        raise
    server = f"{name}://{f'[{host}]' if ':' in host else host}:{port}"
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            connection = runner.run(transport.connect(host, port))
        except OSError as error:
            raise _failure(server, _why(error)) from error
        try:
            chat(runner, connection)
        except NoAnswer as error:
            raise _failure(server, str(error)) from error
        finally:
            runner.run(connection.close())


def _failure(server: str, why: str) -> click.ClickException:
    return click.ClickException(f"{server}: {why[:1].lower()}{why[1:]}. Is the server running?")


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio has words of its own for it
    return error.strerror or str(error) or "no answer"


def _parts(url: str) -> tuple[str, str, int]:
    """Return the scheme, the host and the port of *url*."""
    try:
        parts = urlsplit(url)
        if (
            not parts.hostname
            or parts.port == 0
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
        ):
            raise ValueError
        return parts.scheme, parts.hostname, DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        raise click.UsageError(
            f"{url!r} is not like udp://127.0.0.1:12345 (a transport, a host and a port)."
        ) from None
