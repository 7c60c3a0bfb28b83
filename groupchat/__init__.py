"""A group chat for people who are not always connected.

Members join, write, rename, leave, and get what they missed whenever they contact the server.

Use it from a program with :mod:`groupchat.core`, from a terminal with ``groupchat serve`` and
``groupchat connect``.
"""

__version__ = "0.1.0"
