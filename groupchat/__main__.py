"""The program: ``python -m groupchat``, and ``groupchat``.

What lives here: nothing but what a Ctrl-C does while all else is imported, which takes a moment.
"""

import sys

try:
    from groupchat.cli import main
except KeyboardInterrupt:
    sys.exit(130)  # as groupchat.cli has it

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="python -m groupchat")
