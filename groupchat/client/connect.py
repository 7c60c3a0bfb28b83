"""``groupchat connect``: requests from a keyboard or a pipe, replies to a screen or a pipe.

What lives here: which protocol is spoken and by which session, and how it all ends. What must not:
sockets, or what is shown for what.

Theory. A session is asked for first. A server that knows none says so, and the conversation is
held by the plain protocol, over a connection of its own, so that no late refusal of a session is
taken for an answer. A session is kept at the end, and is gone on with the next time; by the plain
protocol nobody could, so the end is to leave.

Whoever sits at the keyboard sees whose session he goes on with, and can say so if he means another.
A script cannot, so the first line of its input says it, if that is to join.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from groupchat.client.conversation import Conversation, End
from groupchat.client.failures import NoAnswer, Over, Trouble, reason
from groupchat.client.interrupts import Interrupts
from groupchat.client.keyboard import Keyboard
from groupchat.client.leftovers import Leftovers
from groupchat.client.plain_conversation import PlainConversation
from groupchat.client.screen import Screen, Unwritable
from groupchat.client.session import Dial, Session
from groupchat.client.slots import Slot

__all__ = ["FIRST_LINE_SECONDS", "Options", "chat"]

FIRST_LINE_SECONDS: Final = 2.0
"""How long to wait for the first line of a pipe before anybody is told that it is waited for."""


@frozen
class Options:
    """What a user can choose."""

    plain: bool = False
    """Whether to speak the plain protocol from the start."""
    follow: bool = False
    """Whether to show news as it comes."""
    new: bool = False
    """Whether to begin a new session, though there is one to go on with."""
    name: str | None = None
    """Whose session to go on with; None for what the input says, or the one used last."""
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
    with Interrupts(runner, lambda: screen.writing, screen.go_on) as interrupts:
        program = _Program(interrupts, dial, keyboard, screen, options)
        try:
            if options.plain:
                program.plainly()
            elif not program.by_session(server, folder):
                if screen.interactive:
                    screen.tell(
                        "The server keeps no sessions, so Ctrl-C and Ctrl-D leave the group."
                    )
                program.plainly()
        except Unwritable as error:
            if not isinstance(error.error, BrokenPipeError):
                raise error.error from None
        finally:
            if screen.editor is not None:
                screen.editor.restore()


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
        options = self._options
        name = options.name
        if name is None and not options.new and self._keyboard.piped:
            try:
                name = self._interrupts.run(self._first_name())
            except KeyboardInterrupt:
                return True  # nothing has begun yet
        try:
            slot = Slot.take(folder, server, self._screen.tell, name=name, new=options.new)
        except Over:
            self._interrupts.run(self._tell_unread())
            raise
        with slot:
            end = End.FORGOTTEN
            while end is End.FORGOTTEN:
                end = self._converse(slot)
        return end is not End.PLAIN

    async def _tell_unread(self) -> None:
        unsent, more = await self._keyboard.rest()
        for line in Leftovers(unsent=unsent, more=more).lines():
            self._screen.tell(line)

    async def _first_name(self) -> str | None:
        """Wait for the first line that is piped in; return the name by which it joins, if any."""
        told = asyncio.get_running_loop().call_later(
            FIRST_LINE_SECONDS,
            self._screen.tell,
            "Waiting for the first line of the input: it may say who you are. Or say --as NAME.",
        )
        try:
            first = await self._keyboard.look()
        finally:
            told.cancel()
        joins = first is not None and first.startswith(b"1 ")
        return first[2:].decode(errors="replace") if first and joins else None

    def _converse(self, slot: Slot) -> End:
        options = self._options
        conversation = Conversation(
            Session(self._dial, slot.saved, store=slot.write, in_turn=not options.follow),
            slot,
            self._keyboard,
            self._screen,
            follow=options.follow,
            timeout=options.timeout,
        )
        end = End.DETACHED  # if it is interrupted

        async def run() -> None:
            nonlocal end
            end = await conversation.run()

        self._hold(run(), lambda quiet: conversation.finish(end, quiet=quiet))
        return end

    def plainly(self) -> None:
        """Chat by the plain protocol."""
        if self._options.follow:
            self._interrupts.run(self._tell_unread())
            raise Over("it knows no sessions, and without one there is nothing to follow")
        conversation = PlainConversation(self._dial, self._keyboard, self._screen)
        self._hold(conversation.run(), lambda quiet: conversation.finish(quiet=quiet))

    def _hold(
        self,
        run: Coroutine[Any, Any, None],
        finish: Callable[[bool], Coroutine[Any, Any, bool]],
    ) -> None:
        """Have a conversation *run*, and then, however that has ended, *finish*."""
        problem: Trouble | Unwritable | None = None
        try:
            self._interrupts.run(run)
            if self._keyboard.ended:
                self._screen.end_line()
        except KeyboardInterrupt:
            self._screen.end_line()
            if not self._screen.interactive:
                self._screen.give_up()  # perhaps nobody reads, and to leave must not wait for that
        except Unwritable as error:
            self._screen.give_up()
            problem = error
        except Trouble as error:
            problem = error
        except OSError as error:
            problem = NoAnswer(reason(error))
        quiet = isinstance(problem, Unwritable) and isinstance(problem.error, BrokenPipeError)
        kept = self._interrupts.run(finish(quiet))
        if isinstance(problem, Trouble):
            problem.kept = kept
        if problem is not None:
            raise problem
