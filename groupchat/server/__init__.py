"""The server: the one loop between the transports, the journal and the chat."""

from groupchat.server.limits import NO_LIMITS, Limits
from groupchat.server.loop import Server
from groupchat.server.scheduler import Scheduler

__all__ = ["NO_LIMITS", "Limits", "Scheduler", "Server"]
