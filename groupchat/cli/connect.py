"""``groupchat connect``."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import click

from groupchat.cli.parameters import DEFAULT_PORT, MAX_PORT, load_transport
from groupchat.client import NoAnswer
from groupchat.client.conversation import Over
from groupchat.client.state import server_name
from groupchat.client.terminal import Options, chat
from groupchat.transports import Connection

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
With a session, also:
  who      who is here
  seen     whether everybody has been told all that you have said

\b
Examples:
  groupchat connect 127.0.0.1 12345
  groupchat connect --transport tcp chat.example.org 12345
  groupchat connect udp://[::1]:12345
  groupchat connect --follow 127.0.0.1 12345 < /dev/null
  printf '1 Alice\\n5\\n' | groupchat connect 127.0.0.1 12345
"""
)
@click.option("--transport", "name", metavar="NAME", help="How to connect.  [default: udp]")
@click.option(
    "--follow", is_flag=True, help="Print what happens as it happens, until Ctrl-C, like tail -f."
)
@click.option("--new", is_flag=True, help="Begin a new session, though there is one to resume.")
@click.option(
    "--plain", is_flag=True, help="Speak the plain protocol, without a session: who ends, leaves."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=Options().timeout,
    show_default=True,
    metavar="SECONDS",
    help="With a session: when to give up if there is no answer. In a conversation at a terminal, "
    "and with --follow, never.",
)
@click.argument("host", metavar="HOST|URL")
@click.argument("port", type=click.IntRange(1, MAX_PORT), required=False)
def connect(
    name: str | None,
    follow: bool,
    new: bool,
    plain: bool,
    timeout: float,
    host: str,
    port: int | None,
) -> None:
    """Chat by the server at HOST and PORT (12345 if not given), or at a URL.

    Type requests, or pipe them in. Replies go to standard output, and all else to standard
    error. The chat ends after the request 4, at the end of the input, and on Ctrl-C.

    Only 4 leaves the group. Else you stay in it, and the next time that you connect to the same
    HOST and PORT, by whatever transport, you go on where you were: nothing is missed, and nothing
    told twice. What that takes is kept in your application folder. Two that run at the same time
    are two members. A server may know no such sessions: then, and with --plain, every end leaves
    the group.
    """
    if "://" in host:
        if name is not None or port is not None:
            raise click.UsageError("the URL says it all: leave out --transport and PORT.")
        name, host, port = _parts(host)
    if plain and (follow or new):
        raise click.UsageError("--follow and --new are about sessions: leave out --plain.")
    name = name or "udp"
    host = host.removeprefix("[").removesuffix("]")
    port = DEFAULT_PORT if port is None else port
    try:
        transport = load_transport(name)
    except click.BadParameter as error:
        error.param_hint = "--transport"
        raise
    server = f"{name}://{f'[{host}]' if ':' in host else host}:{port}"

    async def dial() -> Connection:
        return await transport.connect(host, port)

    folder = Path(click.get_app_dir("groupchat")) / "sessions"
    options = Options(plain, follow, new, timeout)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            chat(runner, dial, server_name(host, port), folder, options)
        except NoAnswer as error:
            raise _failure(server, str(error)) from error
        except Over as error:
            raise click.ClickException(f"{server}: {error}.") from error


def _failure(server: str, why: str) -> click.ClickException:
    return click.ClickException(f"{server}: {why[:1].lower()}{why[1:]}. Is the server running?")


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
