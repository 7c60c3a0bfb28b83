"""The kinds of values that the commands' parameters take."""

import re
from pathlib import Path
from typing import Final

import click
from attrs import frozen

from groupchat import transports

__all__ = [
    "COUNT",
    "DEFAULT_PORT",
    "MAX_PORT",
    "PORT",
    "REMOTE_PORT",
    "SECONDS",
    "Endpoint",
    "application_folder",
    "default_journal",
    "endpoint",
    "load_transport",
]

DEFAULT_PORT: Final = 12345
"""The port of a server when none is said."""

MAX_PORT: Final = 65_535
"""The highest port there is."""


class _Port(click.IntRange):
    name = "port"  # what a word is said not to be


class _Number(click.FloatRange):
    name = "number"


class _Count(click.IntRange):
    name = "number"


PORT: Final = _Port(0, MAX_PORT)
"""A port, or 0 for any that is free."""

REMOTE_PORT: Final = _Port(1, MAX_PORT)
"""A port to connect to."""

COUNT: Final = _Count(1)
"""How many of something, at least one."""

SECONDS: Final = _Number(min=0, min_open=True)
"""A time."""


@frozen
class Endpoint:
    """A transport, and the port to use it on if that is said with it."""

    name: str
    transport: transports.Transport
    port: int | None


def application_folder() -> Path:
    """Return the user's folder for all that is kept.

    What the environment says counts if it is a whole path. Anything else, nothing at all even,
    would mean a folder in whatever folder we happen to be (XDG Base Directory Specification: it
    is to be ignored).

    Raises:
        click.ClickException: nobody knows where the user is at home.
    """
    folder = Path(click.get_app_dir("groupchat"))
    if folder.is_absolute():
        return folder
    try:
        return Path.home() / ".config" / "groupchat"
    except RuntimeError as error:
        raise click.ClickException(
            "this user has no home directory to keep things in; set the variable HOME to a folder"
        ) from error


def default_journal(port: int) -> Path:
    """Return the file in which a server keeps the group if it is told no other."""
    return application_folder() / f"{port}.journal"


def endpoint(value: str) -> Endpoint:
    """Return the endpoint that *value*, ``NAME`` or ``NAME:PORT``, means.

    Raises:
        click.BadParameter: there is no such transport, or no such port.
        click.ClickException: the transport cannot be loaded.
    """
    name, colon, digits = value.partition(":")
    if not colon:
        return Endpoint(name, load_transport(name), None)
    if not re.fullmatch("[0-9]{1,5}", digits) or int(digits) > MAX_PORT:
        raise click.BadParameter(f"{digits!r} is not a port (0 to {MAX_PORT}).")
    return Endpoint(name, load_transport(name), int(digits))


def load_transport(name: str) -> transports.Transport:
    """Return the transport called *name*.

    Raises:
        click.BadParameter: there is none; the message names those there are.
        click.ClickException: it cannot be loaded; the message says what is missing.
    """
    try:
        return transports.load(name)
    except LookupError as error:
        raise click.BadParameter(f"{error}.") from error
    except ImportError as error:
        raise click.ClickException(f"the transport {name!r} cannot be loaded: {error}") from error
