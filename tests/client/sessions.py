"""Sessions over real connections, and what happened in them."""

from collections.abc import Callable
from typing import Any

from groupchat import transports
from groupchat.client.session import Dial, Session
from groupchat.core.sessions.happenings import Happening, Result, Told
from groupchat.core.sessions.saved import Saved
from groupchat.transports import Connection
from tests.client.loops import in_loop

__all__ = ["asking", "dialling", "lines", "until", "words"]


def dialling(transport: str, port: int, host: str = "127.0.0.1") -> Dial:
    """Return what connects to *port* by *transport*."""

    async def dial() -> Connection:
        return await transports.load(transport).connect(host, port)

    return dial


def asking(dial: Dial, *commands: bytes, saved: Saved | None = None) -> list[Happening]:
    """Return what happens when *commands* are asked for in a session."""

    async def scenario() -> list[Happening]:
        async with Session(dial, saved) as session:
            return await session.ask(*commands)

    return in_loop(scenario())


async def until(session: Session, condition: Callable[[list[Any]], object]) -> list[Any]:
    """Take what happens until *condition* holds of it all."""
    happened: list[Any] = []
    while not condition(happened):
        happened += await session.next()
    return happened


def lines(happenings: list[Any]) -> list[str]:
    """Return the lines that were told."""
    return [h.line.decode() for h in happenings if isinstance(h, Told)]


def words(happenings: list[Any]) -> list[str]:
    """Return what came of each command."""
    return [h.word for h in happenings if isinstance(h, Result)]
