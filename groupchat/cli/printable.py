"""Text that can be anything, a path say, as a part of one line."""

import os

__all__ = ["printable"]


def printable(text: "str | os.PathLike[str]") -> str:
    """Return *text* with all that cannot be printed, line ends too, escaped as Python does it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fspath(text)
    )
