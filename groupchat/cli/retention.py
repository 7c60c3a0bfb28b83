"""How much history a server is told to keep."""

import re
from typing import Final

import click

from groupchat.journal.retention import Retention

__all__ = ["retention"]

_AGES: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_SIZES: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def retention(value: str) -> Retention:
    """Return what *value* says is to be kept: an age (``30d``, ``12h``), a size (``500MB``), or
    both, with a comma in between.

    Raises:
        click.BadParameter: it is neither.
    """
    milliseconds = size = None
    for part in value.split(","):
        match = re.fullmatch("0*([1-9][0-9]{0,8})([a-zA-Z]{1,3})", part.strip())
        unit = match[2] if match else ""
        if match and unit.lower() in _AGES and milliseconds is None:
            milliseconds = int(match[1]) * _AGES[unit.lower()] * 1_000
        elif match and unit.upper() in _SIZES and size is None:
            size = int(match[1]) * _SIZES[unit.upper()]
        elif unit.lower() in _AGES or unit.upper() in _SIZES:
            raise click.BadParameter(f"{value!r} has more than one age, or more than one size.")
        else:
            raise click.BadParameter(f"{part!r} is neither an age (30d, 12h) nor a size (500MB).")
    return Retention(milliseconds, size)
