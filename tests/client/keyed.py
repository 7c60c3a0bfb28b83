"""Replies of servers that are none, but have seen the request that they answer."""

from attrs import evolve

from groupchat.core.sessions.replies import Reply
from groupchat.core.sessions.requests import Open, decode_request

__all__ = ["answered"]


def answered(request: bytes, reply: Reply) -> bytes:
    """Return *reply* as it answers *request*."""
    asked = decode_request(request)
    assert asked is not None
    return evolve(reply, key=asked.nonce if isinstance(asked, Open) else asked.token).encode()
