"""The core of the chat: pure rules, without input or output.

Nothing in this package opens a socket or a file, reads a clock, draws a random number, logs,
or starts a thread; a tool checks that. Time enters as data, so that the same commands give
the same replies on every machine. It can be used alone::

    >>> from groupchat.core import Group, Join, Send, Update
    >>> group = Group()
    >>> group.apply(Join("Alice"), sender=1)
    Roster(names=())
    >>> group.apply(Join("Bob"), sender=2)
    Roster(names=('Alice',))
    >>> news = group.apply(Send("Hi Alice"), sender=2)
    >>> [type(event).__name__ for event in group.apply(Update(), sender=1)]
    ['Joined', 'Said']

Whatever is listed in ``__all__`` here is public. The modules inside, and how they divide the
work, are explained where they stand: :mod:`~groupchat.core.group` the rules,
:mod:`~groupchat.core.timeline` the order of events, :mod:`~groupchat.core.names` legal names
and texts, :mod:`~groupchat.core.lines` what an event looks like,
:mod:`~groupchat.core.plain` the plain protocol, and :mod:`~groupchat.core.peer` the interface
to transports.
"""

from groupchat.core.commands import Command, Join, Leave, Rename, Send, Update
from groupchat.core.events import Event, Joined, Left, Removed, Renamed, Said
from groupchat.core.group import Group
from groupchat.core.lines import parse, render
from groupchat.core.names import (
    MAX_NAME_CHARACTERS,
    MAX_TEXT_BYTES,
    is_legal_text,
    name_key,
    tidy_name,
)
from groupchat.core.peer import Peer, Reception, Service
from groupchat.core.plain import ILLEGAL_REQUEST, MAX_REQUEST_BYTES, decode, encode
from groupchat.core.replies import News, Reason, Refused, Reply, Roster

__all__ = [
    "ILLEGAL_REQUEST",
    "MAX_NAME_CHARACTERS",
    "MAX_REQUEST_BYTES",
    "MAX_TEXT_BYTES",
    "Command",
    "Event",
    "Group",
    "Join",
    "Joined",
    "Leave",
    "Left",
    "News",
    "Peer",
    "Reason",
    "Reception",
    "Refused",
    "Removed",
    "Rename",
    "Renamed",
    "Reply",
    "Roster",
    "Said",
    "Send",
    "Service",
    "Update",
    "decode",
    "encode",
    "is_legal_text",
    "name_key",
    "parse",
    "render",
    "tidy_name",
]
