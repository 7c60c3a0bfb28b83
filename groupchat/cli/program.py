"""How the program was started, for messages that say what to type next."""

import shutil
import sys

__all__ = ["program"]


def program() -> str:
    """Return the command that started us, as it can be typed again."""
    if sys.argv[0].endswith("__main__.py"):
        return "python -m groupchat"
    return "groupchat" if shutil.which("groupchat") else sys.argv[0]
