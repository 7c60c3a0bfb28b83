"""A group chat that never loses a message, over any link.

Use it from a program with :mod:`groupchat.core`, from a terminal with ``groupchat serve`` and
``groupchat connect``.
"""

__version__ = "0.1.0"
