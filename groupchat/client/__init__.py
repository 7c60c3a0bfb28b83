"""The client's side: asking a server, and the programs people look at."""

from groupchat.client.failures import NoAnswer
from groupchat.client.patience import Silent
from groupchat.client.plain import PlainClient
from groupchat.client.session import Session

__all__ = ["NoAnswer", "PlainClient", "Session", "Silent"]
