"""``groupchat connect``: requests from a keyboard or a pipe, replies to a screen or a pipe.

What lives here: which protocol is spoken, and how it all ends. What must not: sockets, or what is
shown for what.

Theory. A session is asked for first. A server that knows none says so, and the conversation is
held by the plain protocol, over a connection of its own, so that no late refusal of a session is
taken for an answer. A session is kept at the end, and is gone on with the next time; by the plain
protocol nobody could, so the end is to leave.
"""

import asyncio
from pathlib import Path

from attrs import frozen

from groupchat.client.conversation import PLAIN_HELP, Conversation, End, Over
from groupchat.client.failures import NoAnswer, reason
from groupchat.client.interrupts import Interrupts
from groupchat.client.keyboard import Keyboard
from groupchat.client.plain import TRY_AGAIN, PlainClient
from groupchat.client.screen import Screen, Unwritable
from groupchat.client.session import Dial, Session
from groupchat.client.state import Slot
from groupchat.transports import Connection

__all__ = ["Options", "chat"]


@frozen
class Options:
    """What a user can choose."""

    plain: bool = False
    """Whether to speak the plain protocol from the start."""
    follow: bool = False
    """Whether to show news as it comes."""
    new: bool = False
    """Whether to begin a new session, though there is one to go on with."""
    timeout: float = 60.0
    """Seconds without an answer after which to give up, where nobody sits at the terminal."""


def chat(runner: asyncio.Runner, dial: Dial, server: str, folder: Path, options: Options) -> None:
    """Send what is typed or piped, and print the replies.

    Args:
        runner: runs it.
        dial: makes connections to the server.
        server: what the server is called in *folder*.
        folder: where sessions are kept.
        options: what the user has chosen.

    Raises:
        NoAnswer: the server cannot be reached, or does not answer.
        Over: the conversation cannot go on.
        OSError: the replies cannot be written; but if only their reader has gone, that is an end
            like any other.
    """
    screen = Screen()
    keyboard = Keyboard(screen)
    with Interrupts(runner, lambda: screen.writing) as interrupts:
        program = _Program(interrupts, dial, keyboard, screen, options)
        try:
            if options.plain or not program.by_session(server, folder):
                program.plainly()
        except Unwritable as error:
            if not isinstance(error.error, BrokenPipeError):
                raise error.error from None
        finally:
            keyboard.close()


class _Program:
    """One run of it."""

    def __init__(
        self,
        interrupts: Interrupts,
        dial: Dial,
        keyboard: Keyboard,
        screen: Screen,
        options: Options,
    ) -> None:
        self._interrupts = interrupts
        self._dial = dial
        self._keyboard = keyboard
        self._screen = screen
        self._options = options

    def by_session(self, server: str, folder: Path) -> bool:
        """Chat by a session; return whether the server knows them."""
        with Slot.take(folder, server, self._screen.tell, new=self._options.new) as slot:
            end = End.FORGOTTEN
            while end is End.FORGOTTEN:
                end = self._converse(slot)
        return end is not End.PLAIN

    def _converse(self, slot: Slot) -> End:
        options = self._options
        session = Session(
            self._dial,
            slot.saved,
            store=slot.write,
            in_turn=not options.follow,
        )
        conversation = Conversation(
            session,
            slot,
            self._keyboard,
            self._screen,
            follow=options.follow,
            timeout=options.timeout,
        )
        end = End.DETACHED
        problem: Exception | None = None
        try:
            end = self._interrupts.run(conversation.run())
            if end is End.DETACHED and self._screen.interactive:
                self._screen.end_line()
        except KeyboardInterrupt:
            self._screen.end_line()
        except Unwritable as error:
            self._screen.give_up()
            problem = error
        except (NoAnswer, Over) as error:
            problem = error
        except OSError as error:
            problem = NoAnswer(reason(error))

        async def finish() -> None:
            try:
                await conversation.finish(end)
            finally:
                await session.close()

        self._interrupts.run(finish())
        if problem is not None:
            raise problem
        return end

    def plainly(self) -> None:
        """Chat by the plain protocol."""
        if self._options.follow:
            raise Over("it knows no sessions, and without one there is nothing to follow")
        connection = self._interrupts.run(self._dialled())
        client = PlainClient(connection, self._show, self._screen.tell)
        problem: Exception | None = None
        try:
            try:
                self._interrupts.run(self._ask(client))
                if self._screen.interactive and self._keyboard.ended:
                    self._screen.end_line()
            except KeyboardInterrupt:
                self._screen.end_line()
            except Unwritable as error:
                self._screen.give_up()
                problem = error
            self._interrupts.run(client.leave())
        finally:
            self._interrupts.run(connection.close())
        if problem is not None:
            raise problem

    async def _dialled(self) -> Connection:
        try:
            return await self._dial()
        except OSError as error:
            raise NoAnswer(reason(error)) from error

    async def _ask(self, client: PlainClient) -> None:
        if self._screen.interactive:
            self._screen.tell(PLAIN_HELP)
        while (request := await self._keyboard.next()) is not None:
            try:
                reply = await client.ask(request)
            except ValueError as error:
                self._screen.tell(str(error))
                continue
            if request == b"4" and reply not in TRY_AGAIN:
                return

    def _show(self, reply: bytes) -> None:
        self._screen.show(reply)
        self._screen.flush()
