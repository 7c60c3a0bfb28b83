"""The command line: what the options are called, and which parts they put together."""

import os
import sys
from typing import Any

import click

from groupchat import __version__
from groupchat.cli.connect import connect
from groupchat.cli.demo import demo
from groupchat.cli.journal import journal
from groupchat.cli.serve import serve

__all__ = ["main"]


class _Commands(click.Group):
    """Turns what the system refuses, a full disk say, into one line."""

    def main(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  as click has it
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if sys.stdout is not None:  # let nothing at our exit fail again
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            failure = click.ClickException(error.strerror or str(error))
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


main.add_command(serve)
main.add_command(connect)
main.add_command(demo)
main.add_command(journal)
