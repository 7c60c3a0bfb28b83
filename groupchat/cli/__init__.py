"""The command line: what the options are called, and which parts they put together."""

import errno
import os
import signal
import sys
from importlib import import_module
from typing import Any, Final

import click

from groupchat import __version__

__all__ = ["main"]

_COMMANDS: Final = ("connect", "demo", "journal", "serve")
"""Each is in the module of its name, and called the same there."""

_FULL: Final = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_INTERRUPTED: Final = 128 + signal.SIGINT  # what shells make of it


class _Commands(click.Group):
    """Imports a command when it is asked for: most of the time that a client takes to start would
    go to what only a server needs. Turns what the system refuses, a full disk say, into one line,
    and a Ctrl-C for which a command has no better use, into its end.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  as click has it
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            self.add_command(getattr(import_module(f"groupchat.cli.{cmd_name}"), cmd_name))
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr is not None and sys.stderr.isatty():
                click.echo(err=True)  # behind the ^C
            ctx.exit(_INTERRUPTED)

    def main(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  as click has it
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if sys.stdout is not None:  # let nothing at our exit fail again
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            why = error.strerror or str(error)
            # Of all the files that can be on a full disk, the others have messages of their own.
            full = error.errno in _FULL
            failure = click.ClickException(f"the output cannot be written: {why}" if full else why)
            failure.show()
            sys.exit(failure.exit_code)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with 'groupchat demo', or with 'groupchat serve' and, in another terminal, "
    "'groupchat connect 127.0.0.1 12345'.",
)
@click.version_option(__version__, prog_name="groupchat")
def main() -> None:
    """A group chat for people who are not always connected.

    Members join, write, rename, leave, and get what they missed whenever they contact the
    server.
    """
