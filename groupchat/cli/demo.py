"""``groupchat demo``."""

import shutil
import signal
import sys

import click

from groupchat.client.demo import Failure, play
from groupchat.client.transcript import load

__all__ = ["demo"]


@click.command(
    epilog="""\b
Example:
  groupchat demo
"""
)
def demo() -> None:
    """Watch three people chat.

    Starts a server and three clients on this machine, has them talk, and shows their terminals
    side by side. Every byte is checked; if one differs, the exit code is 1.
    """
    exchanges = load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends them all
    try:
        play(exchanges, shutil.get_terminal_size().columns, click.echo)
    except Failure as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nAll {len(exchanges)} replies are as they must be, byte for byte.")
