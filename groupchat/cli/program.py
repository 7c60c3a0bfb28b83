"""How the program was started, for messages that say what to type next."""

import os
import shutil
import sys

__all__ = ["program", "serving"]


def program() -> str:
    """Return the command that started us, as it can be typed again."""
    if sys.argv[0].endswith("__main__.py"):
        return "python -m groupchat"
    return "groupchat" if shutil.which("groupchat") else sys.argv[0]


def serving(port: int) -> str:
    """Return what starts a server on *port*, in the way in which we were started."""
    if "GROUPCHAT_MAKE" in os.environ:  # the Makefile says so
        return f"make serve PORT={port}"
    return f"{program()} serve {port}"
