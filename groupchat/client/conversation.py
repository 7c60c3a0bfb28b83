"""A conversation by a session: lines in, replies out, as the plain protocol would have them.

What lives here: what is shown of what happens, and when it is over. What must not: reading,
writing, sockets and files.

Theory. What is shown for a line:

=========  ====================================================================================
line       what is shown
=========  ====================================================================================
``1 NAME``  who is here, on one line
``2``, ``3``, ``5``  all that was pending
``4``      nothing; it is the last
``who``    who is here, on one line (a local word, like the next)
``seen``   whether everybody else has been told all that was said here
=========  ====================================================================================

Whatever is refused is shown as ``Illegal request``. So standard output looks the same as by the
plain protocol, from which it differs in one thing: all that waits comes with the first request
that brings news, where a plain reply would be cut to fit a datagram. Why something was refused is
told on standard error.
"""

from enum import Enum
from typing import Final

from groupchat.client.asking import SEEN, WHO, Asking, joins
from groupchat.client.failures import NoAnswer, Over
from groupchat.client.keyboard import Keyboard
from groupchat.client.leftovers import Leftovers, leftovers, shown
from groupchat.client.membership import Membership
from groupchat.client.outcomes import Earlier, why
from groupchat.client.patience import Silent
from groupchat.client.plain_conversation import PLAIN_HELP
from groupchat.client.screen import Screen
from groupchat.client.session import Session
from groupchat.client.slots import Slot
from groupchat.core import ILLEGAL_REQUEST, Reason
from groupchat.core.plain import NOT_STORED
from groupchat.core.sessions.happenings import (
    Behind,
    Happening,
    Lost,
    NoSessions,
    Outside,
    Ready,
    Result,
    Seen,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.replies import DONE, NOT_STORED_RESULT

__all__ = ["HELP", "LEAVE_SECONDS", "Conversation", "End"]

HELP: Final = f"{PLAIN_HELP} Or: who, seen."

NO_ANSWER_YET: Final = "no answer yet, still trying"

LEAVE_SECONDS: Final = 5.0
"""How long to wait for the answer when we leave because nothing can be kept."""


class End(Enum):
    """How a conversation has ended."""

    LEFT = "has left the group"
    DETACHED = "goes on another time"
    PLAIN = "the server knows no sessions"
    FORGOTTEN = "the server does not know the session, and a new one is to be begun"


class Conversation:
    """One conversation.

    Args:
        session: by which it is held. It is closed at the end.
        slot: what it was before, and where it is kept.
        keyboard: where lines come from.
        screen: where replies go.
        follow: whether news is shown as it comes, until somebody interrupts.
        timeout: seconds without an answer after which a pipe, or a server that has never
            answered, is given up.
    """

    def __init__(
        self,
        session: Session,
        slot: Slot,
        keyboard: Keyboard,
        screen: Screen,
        *,
        follow: bool,
        timeout: float,
    ) -> None:
        self._session = session
        self._slot = slot
        self._keyboard = keyboard
        self._screen = screen
        self._follow = follow
        self._timeout = timeout
        self._resumed = slot.saved is not None
        self._we = Membership(slot)
        self._earlier = Earlier(slot.saved)
        self._waiting = 0
        self._ready = False
        self._asking = Asking(session, keyboard, self._we)
        self._told_silence = False
        self._reasons: set[str] = set()  # that have been told
        self._end: End | None = None

    async def run(self) -> End:
        """Hold it, and return how it has ended.

        Raises:
            NoAnswer: there was no answer for too long.
            Over: it cannot go on.
            OSError: the server was never reached.
            Unwritable: nobody can see it.
        """
        if self._resumed:
            self._session.ask_seen()
        if self._follow:
            self._session.follow()
        while True:
            for happening in await self._session.next():
                if isinstance(happening, Silent):
                    self._silent(happening)
                else:
                    self._handle(happening)
            self._screen.flush()
            try:
                end = self._go_on()
            except Over:
                self._session.settle()  # it is for what comes next that it cannot go on
                raise
            if end is not None:
                self._session.settle()
                return end

    async def finish(self, end: End, *, quiet: bool) -> bool:
        """Do what is left to do when it has ended, or was interrupted, and say what is left,
        unless it is to be *quiet*. Return whether something will be asked again the next time.

        Raises:
            NoAnswer: we had to leave the group, and nobody knows whether we did.
            Over: that we have come so far cannot be kept.
        """
        try:
            if end in {End.PLAIN, End.FORGOTTEN}:
                return False  # it goes on in another way
            left = Leftovers()
            if end is not End.LEFT:
                unread, more = await self._keyboard.rest()
                left = leftovers(
                    self._session, self._slot, [*self._asking.local, *unread], more=more
                )
            if not quiet:
                for line in left.lines():
                    self._screen.tell(line)
            worthless = self._is_worthless(end)
            if self._we.is_member and not worthless:
                await self._part()
        finally:
            await self._session.close()
        if worthless:
            self._slot.forget()
        return bool(left.kept)

    def _is_worthless(self, end: End) -> bool:
        """Whether there is nothing to go on with."""
        saved = self._session.saved
        gone = self._ready and not self._we.is_member
        return end is End.LEFT or not (saved and (saved.commands or (saved.joined and not gone)))

    async def _part(self) -> None:
        """Stay in the group, if we can come back, or leave it."""
        if not self._slot.kept:
            await self._session.leave(min(self._timeout, LEAVE_SECONDS))
        elif self._screen.interactive:
            name = self._we.name
            self._screen.tell(f"You stay in the group as {name}. Connect again to go on.")

    # What happens.

    def _handle(self, happening: Happening) -> None:
        self._told_silence = False
        match happening:
            case Told():
                self._screen.show(happening.line)
            case Result():
                self._result(happening)
            case WhoIsHere():
                self._who_is_here(happening)
            case Seen():
                self._seen(happening)
            case _:
                self._handle_change(happening)

    def _handle_change(self, change: Ready | Outside | Behind | NoSessions | Lost) -> None:
        """Handle what has become of the session itself."""
        match change:
            case Ready():
                self._waiting = change.waiting
                if not change.resumed:
                    self._begin()
            case Outside():
                self._outside()
            case Behind():
                self._behind(change)
            case NoSessions():
                self._no_sessions(change.why)
            case Lost():
                self._lost(change)

    def _begin(self) -> None:
        """Take lines from now on."""
        self._ready = True
        self._tell_earlier()
        if self._screen.interactive:
            self._screen.tell(HELP)
        self._keyboard.start(self._session.wake)

    def _tell_earlier(self) -> None:
        for line in self._earlier.lines:
            self._screen.tell(line)
        self._earlier.lines.clear()

    def _result(self, result: Result) -> None:
        if self._earlier:
            if self._earlier.take(result):
                self._we.note(result.command)
            if self._ready:
                self._tell_earlier()
            return
        done = result.word == DONE
        if result.word == NOT_STORED_RESULT:
            self._screen.show(NOT_STORED)
        elif not done:
            self._refuse(result.command, why(result.word))
        if joins(result.command):
            self._asking.names_for = result.command if done else None
        if done:
            self._we.note(result.command)
        if result.command == b"4" and result.word != NOT_STORED_RESULT:
            self._end = End.LEFT

    def _refuse(self, command: bytes, reason: str) -> None:
        """Show that *command* was refused, and tell why. In a pipe each reason is told once, for
        whoever starts us may not read standard error, and then much of it would be waited for."""
        self._screen.show(ILLEGAL_REQUEST)
        if self._screen.interactive:
            self._screen.tell(f"({reason})")
        elif reason not in self._reasons:
            self._reasons.add(reason)
            self._screen.flush()  # what it is about comes first
            self._screen.tell(f"Not done: {shown(command)} ({reason})")

    def _who_is_here(self, who: WhoIsHere) -> None:
        line, self._asking.names_for = self._asking.names_for, None
        if line is None:
            return  # he has not joined, so it is not told
        if not who.member:
            self._refuse(line, Reason.NOT_A_MEMBER.value)
        elif who.names:
            self._screen.show(", ".join(who.names).encode())
        elif line == WHO and self._screen.interactive:
            self._screen.tell("(nobody else)")

    def _seen(self, seen: Seen) -> None:
        if not self._ready:
            self._resume(seen)
        elif not seen.member:
            self._refuse(SEEN, Reason.NOT_A_MEMBER.value)
        elif not self._session.said:
            self._screen.show(b"nothing said yet")
        elif seen.position >= self._session.said:
            self._screen.show(b"seen by all")
        else:
            self._screen.show(b"not yet seen by all")

    def _resume(self, seen: Seen) -> None:
        """Say what is gone on with."""
        name, as_name = self._we.name, self._we.as_name
        self._we.is_member = seen.member
        if seen.member:
            news = f"{self._waiting:,} new" if self._waiting else "nothing new"
            self._screen.tell(f"Resuming{as_name}; {news}.")
            self._asking.resumed = bool(name)
        elif name:
            self._screen.tell(f"You are not in the group any more{as_name}. {self._we.how_to_join}")
        self._begin()

    def _outside(self) -> None:
        was_member, self._we.is_member = self._we.is_member, False
        if self._ready and was_member:
            self._screen.tell(f"You are not in the group any more. {self._we.how_to_join}")

    def _behind(self, behind: Behind) -> None:
        self._earlier.give_up()
        what = ", ".join(shown(command) for command in behind.commands if command)
        self._screen.tell(
            "Your session had gone on since its file was copied, and goes on from there."
            + (f" Nobody knows what came of: {what}" if what else "")
        )

    def _no_sessions(self, why: str) -> None:
        if self._ready:
            raise Over("the server knows no sessions any more")
        if why:
            self._screen.tell(f"The server gives no session ({why}); going on without.")
        elif self._resumed:
            self._screen.tell("The server knows no sessions now; going on without the one it had.")
        self._end = End.PLAIN

    def _lost(self, lost: Lost) -> None:
        for line in Leftovers(unknown=lost.commands).lines():
            self._screen.tell(line)
        as_name, join = self._we.as_name, self._we.how_to_join
        self._slot.forget()
        first = self._keyboard.first
        begins = first is not None and joins(first)
        if self._ready or (self._keyboard.piped and not begins):
            raise Over(f"the server does not know you{as_name} any more. Connect again. {join}")
        what = "This is a new session." if begins else join
        self._screen.tell(f"The server does not know you{as_name} any more. {what}")
        self._end = End.FORGOTTEN

    def _silent(self, silent: Silent) -> None:
        if not self._told_silence:
            self._told_silence = True
            self._screen.tell(NO_ANSWER_YET)
        for_ever = self._ready and (self._screen.interactive or self._follow)
        if silent.seconds >= self._timeout and not for_ever:
            raise NoAnswer(silent.why or "no answer")

    # What is asked.

    def _go_on(self) -> End | None:
        """Ask for what is wanted next; return how it has ended, if it has."""
        if self._end is not None or not self._ready:
            return self._end
        if self._follow:
            self._keyboard.prompt()
        if not self._session.idle:
            return None
        self._asking.answered()
        if self._keyboard.first is not None:
            self._asking.ask(self._keyboard.first)
        elif not self._keyboard.ended:
            self._keyboard.prompt()
        elif not self._follow or self._screen.interactive:
            return End.DETACHED
        elif not self._we.is_member:
            raise Over("you are not in the group, so there is nothing to follow. Join: 1 NAME")
        return None
