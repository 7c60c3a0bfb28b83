"""The client's side: asking a server, and the programs people look at."""

from groupchat.client.plain import NoAnswer, PlainClient

__all__ = ["NoAnswer", "PlainClient"]
