"""Replies that are too long to be handed over at once.

What lives here: how to tell the end of one.
"""

from groupchat.transports import Connection

__all__ = ["receive_part"]


async def receive_part(connection: Connection) -> tuple[bytes, bool]:
    """Return some lines of the next reply of *connection*, and whether they are its last.

    Raises:
        OSError: as :meth:`~groupchat.transports.Connection.receive` does.
    """
    part = await connection.receive()
    # Not a part of the protocol: most connections hand over whole replies, and know no more of it.
    return part, not getattr(connection, "more", False)
