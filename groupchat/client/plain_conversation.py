"""A conversation by the plain protocol: lines in, replies out.

What lives here: when it is over, and what is left then. What must not: how a reply is waited for.
"""

from typing import Final

from groupchat.client.failures import NoAnswer
from groupchat.client.keyboard import Keyboard
from groupchat.client.leftovers import Leftovers
from groupchat.client.plain import TRY_AGAIN, PlainClient
from groupchat.client.redial import Dial
from groupchat.client.screen import Screen, Unwritable
from groupchat.transports import Connection

__all__ = ["PLAIN_HELP", "PlainConversation"]

PLAIN_HELP: Final = "1 NAME joins, 2 TEXT says, 3 NAME renames, 5 gets news, 4 leaves."


class PlainConversation:
    """One conversation.

    Args:
        dial: makes a connection to the server.
        keyboard: where lines come from.
        screen: where replies go.
    """

    def __init__(self, dial: Dial, keyboard: Keyboard, screen: Screen) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._client: PlainClient | None = None
        self._keyboard = keyboard
        self._screen = screen
        self._asked: list[bytes] = []  # and not answered
        self._left = False
        self._given_up = False  # so that to say good-bye would be no use

    async def run(self) -> None:
        """Hold it.

        Raises:
            NoAnswer: there was no answer for too long.
            OSError: the server cannot be reached.
            Unwritable: nobody can see it.
        """
        self._connection = await self._dial()
        self._client = PlainClient(self._connection, self._show, self._screen.tell)
        if self._screen.interactive:
            self._screen.tell(PLAIN_HELP)
        while (request := await self._keyboard.next()) is not None:
            self._asked = [request]
            try:
                reply = await self._client.ask(request)
            except ValueError as error:
                self._screen.tell(str(error))
                reply = b""
            except NoAnswer:
                self._given_up = True
                raise
            except Unwritable:
                self._asked = []  # it was answered
                raise
            self._asked = []
            if request == b"4" and reply not in TRY_AGAIN:
                self._left = True
                return

    async def finish(self, *, quiet: bool) -> bool:
        """Say what is left, unless it is to be *quiet*, and leave the group, if we may be in it.
        Return False: nothing is kept.

        Raises:
            NoAnswer: nobody knows whether we did.
        """
        try:
            if not quiet and not self._left:
                unsent, more = await self._keyboard.rest()
                for line in Leftovers(unknown=self._asked, unsent=unsent, more=more).lines():
                    self._screen.tell(line)
            if self._client is not None and not self._given_up:
                await self._client.leave()
        finally:
            if self._connection is not None:
                await self._connection.close()
        return False

    def _show(self, reply: bytes) -> None:
        self._screen.show(reply)
        self._screen.flush()
