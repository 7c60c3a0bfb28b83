"""``groupchat connect``."""

import asyncio
import math
from pathlib import Path

import click

from groupchat.cli.parameters import (
    DEFAULT_PORT,
    REMOTE_PORT,
    SECONDS,
    application_folder,
    load_transport,
)
from groupchat.client.address import parse
from groupchat.client.connect import Options, chat
from groupchat.client.failures import NO_SUCH_HOST, NOT_ALLOWED, NoAnswer, Trouble
from groupchat.transports import Connection

__all__ = ["connect"]


def _number(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range keeps out
        raise click.BadParameter("'nan' is not a number.")
    return value


@click.command(
    short_help="Chat, at a terminal or in a pipe.",
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
  echo '1 Alice' | groupchat connect --follow 127.0.0.1:12345
  printf '1 Bob\\n5\\n' | groupchat connect 127.0.0.1 12345
""",
)
@click.option("--transport", "name", metavar="NAME", help="How to connect.  [default: udp]")
@click.option(
    "--follow", is_flag=True, help="Print what happens as it happens, until Ctrl-C, like tail -f."
)
@click.option(
    "--as", "member", metavar="NAME", help="Go on with the session of NAME, if there is one."
)
@click.option("--new", is_flag=True, help="Begin a new session, though there is one to resume.")
@click.option(
    "--plain", is_flag=True, help="Speak the plain protocol, without a session: who ends, leaves."
)
@click.option(
    "--timeout",
    type=SECONDS,
    callback=_number,
    default=Options().timeout,
    show_default=True,
    metavar="SECONDS",
    help="With a session: when to give up if there is no answer. In a conversation at a terminal, "
    "and with --follow, never.",
)
@click.argument("where", metavar="HOST|URL")
@click.argument("port", type=REMOTE_PORT, required=False)
def connect(
    name: str | None,
    follow: bool,
    member: str | None,
    new: bool,
    plain: bool,
    timeout: float,
    where: str,
    port: int | None,
) -> None:
    """Chat by the server at HOST and PORT (12345 if not given), at HOST:PORT, or at a URL.

    Type requests, or pipe them in. Replies go to standard output, and all else to standard
    error. The chat ends after the request 4, at the end of the input, and on Ctrl-C.

    Only 4 leaves the group. Else you stay in it, and the next time that you connect to the same
    HOST and PORT, by whatever transport, you go on where you were: nothing is missed, and nothing
    told twice. What that takes is kept in your application folder. Two that run at the same time
    are two members. A server may know no such sessions: then, and with --plain, every end leaves
    the group.

    At a terminal you go on with the session that was used last. A pipe that begins with 1 NAME
    goes on with that of NAME, or begins a new one.
    """
    if plain and (follow or new or member is not None):
        raise click.UsageError("--follow, --new and --as are about sessions: leave out --plain.")
    if new and member is not None:
        raise click.UsageError(
            "--as goes on with a session, and --new begins one: say one of them."
        )
    try:
        address = parse(where, name, port, default_transport="udp", default_port=DEFAULT_PORT)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        transport = load_transport(address.transport)
    except click.BadParameter as error:
        error.param_hint = "HOST|URL" if "://" in where else "--transport"
        raise

    async def dial() -> Connection:
        return await transport.connect(address.host, address.port)

    folder = Path() if plain else application_folder() / "sessions"  # plain, nothing is kept
    options = Options(plain, follow, new, member, timeout)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        try:
            chat(runner, dial, address.server, folder, options)
        except Trouble as error:
            failure = _Kept if error.kept else click.ClickException
            raise failure(f"{address}: {_sentence(error)}") from error


class _Kept(click.ClickException):
    """It has ended, and something is kept to be asked again the next time."""

    exit_code = 75  # EX_TEMPFAIL in sysexits.h: "the user is invited to retry"


def _sentence(error: Trouble) -> str:
    why = str(error)
    question = isinstance(error, NoAnswer) and why not in {NO_SUCH_HOST, NOT_ALLOWED}
    return f"{why[:1].lower()}{why[1:]}.{' Is the server running?' if question else ''}"
