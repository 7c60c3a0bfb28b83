"""A conversation by a session: lines in, replies out, as the plain protocol would have them.

What lives here: what a line means, what is shown of what happens, and when it is over. What must
not: reading, writing, sockets and files.

Theory. Lines are taken when nothing is under way, all that wait at once, and travel together. But
some are asked alone, because what is shown for them would otherwise depend on what came after:

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
that brings news, where a plain reply would be cut to fit a datagram.

To a session that is gone on with, ``1`` and the name that it has is no second join, but only asks
who is here. So what is piped in may begin with it, every time.
"""

from enum import Enum
from typing import Final

from groupchat.client.failures import NoAnswer
from groupchat.client.keyboard import Keyboard
from groupchat.client.patience import Silent
from groupchat.client.screen import Screen
from groupchat.client.session import Session
from groupchat.client.state import Slot
from groupchat.core import ILLEGAL_REQUEST, Reason
from groupchat.core.names import tidy_name
from groupchat.core.plain import NOT_STORED
from groupchat.core.sessions.client import Saved
from groupchat.core.sessions.happenings import (
    Happening,
    Lost,
    NoSessions,
    Ready,
    Result,
    Seen,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.messages import DONE, INCOMPLETE, NOT_STORED_RESULT, code

__all__ = ["HELP", "LEAVE_SECONDS", "PLAIN_HELP", "Conversation", "End", "Over"]

PLAIN_HELP: Final = "1 NAME joins, 2 TEXT says, 3 NAME renames, 5 asks for news, 4 leaves."
HELP: Final = f"{PLAIN_HELP} Also: who, seen."

NO_ANSWER_YET: Final = "no answer yet, still trying"

LEAVE_SECONDS: Final = 5.0
"""How long to wait for the answer when we leave because nothing can be kept."""

_WHO: Final = b"who"
_SEEN: Final = b"seen"
_REASONS: Final = {code(reason): reason.value for reason in Reason}


class End(Enum):
    """How a conversation has ended."""

    LEFT = "has left the group"
    DETACHED = "goes on another time"
    PLAIN = "the server knows no sessions"
    FORGOTTEN = "the server does not know the session, and a new one is to be begun"


class Over(Exception):
    """The session is over, and with it the conversation. The message says why."""


class Conversation:
    """One conversation.

    Args:
        session: by which it is held.
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
        self._resumed: Saved | None = slot.saved
        self._earlier = len(slot.saved.commands) if slot.saved else 0  # asked by another process
        self._waiting = 0
        self._ready = False
        self._member = False
        self._may_rejoin = False  # by the name that we have
        self._shows_names = False
        self._asked_who = False  # and not only joined
        self._told_silence = False
        self._end: End | None = None

    @property
    def _name(self) -> str:
        return self._slot.name

    async def run(self) -> End:
        """Hold it, and return how it has ended.

        Raises:
            NoAnswer: there was no answer for too long.
            Over: it cannot go on.
            Unwritable: nobody can see it.
        """
        if self._resumed is not None:
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
            end = self._go_on()
            if end is not None:
                self._session.settle()
                return end

    async def finish(self, end: End) -> None:
        """Do what is left to do when it has ended, or was interrupted.

        Raises:
            NoAnswer: we had to leave the group, and nobody knows whether we did.
        """
        saved = self._session.saved
        if end is End.PLAIN:
            return
        gone = self._ready and not self._member
        if end is End.LEFT or saved is None or not (saved.commands or (saved.joined and not gone)):
            self._slot.forget()
            return
        for command in filter(None, saved.commands):
            text = command.decode(errors="replace")
            self._screen.tell(f"Not answered yet, and to be asked again the next time: {text}")
        if self._slot.kept:
            if self._screen.interactive and self._member:
                self._screen.tell(f"You stay in the group as {self._name}. Connect again to go on.")
        elif self._member:
            await self._leave()

    async def _leave(self) -> None:
        """Leave the group, for the session cannot be kept."""
        self._session.submit(b"4")
        while not self._session.idle:
            for happening in await self._session.next():
                patience = min(self._timeout, LEAVE_SECONDS)
                if isinstance(happening, Silent) and happening.seconds > patience:
                    raise NoAnswer(happening.why or "no answer")

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
            case Ready():
                self._waiting = happening.waiting
                if not happening.resumed:
                    self._begin()
            case NoSessions():
                self._no_sessions(happening.why)
            case Lost():
                self._lost(happening)

    def _begin(self) -> None:
        """Take lines from now on."""
        self._ready = True
        if self._screen.interactive:
            self._screen.tell(HELP)
        self._keyboard.start(self._session.wake)

    def _result(self, result: Result) -> None:
        if self._earlier:
            self._earlier -= 1
            self._tell_earlier(result)
            return
        done = result.word == DONE
        if result.word == NOT_STORED_RESULT:
            self._screen.show(NOT_STORED)
        elif not done:
            self._screen.show(ILLEGAL_REQUEST)
            if self._screen.interactive:
                self._screen.tell(f"({_REASONS.get(result.word, result.word)})")
        if result.command.startswith(b"1 "):
            self._shows_names, self._asked_who = done, False
        if done:
            self._note(result.command)
        if result.command == b"4" and result.word != NOT_STORED_RESULT:
            self._end = End.LEFT

    def _note(self, command: bytes) -> None:
        """Take note of what *command* has made of our name."""
        if command.startswith((b"1 ", b"3 ")):
            name = command[2:].decode()
            self._slot.name = tidy_name(name) or name
            self._member = True
        elif command == b"4":
            self._member = False

    def _tell_earlier(self, result: Result) -> None:
        """Tell what came of what another process of ours has asked for."""
        if not result.command:
            return  # it was no request
        text = result.command.decode(errors="replace")
        if text.startswith("+"):
            text = "the end of a long message"
        if result.word == DONE and not text.startswith("~"):
            self._note(result.command)
            self._screen.tell(f"Done, from before: {text}")
        else:
            partly = text.startswith("~") or result.word == INCOMPLETE
            why = "only a part of it was sent" if partly else _REASONS.get(result.word, result.word)
            self._screen.tell(f"Not done, from before: {text} ({why})")

    def _who_is_here(self, who: WhoIsHere) -> None:
        if not self._shows_names:
            return  # he has not joined, so it is not told
        self._shows_names = False
        if not who.member:
            self._screen.show(ILLEGAL_REQUEST)
        elif who.names:
            self._screen.show(", ".join(who.names).encode())
        elif self._asked_who and self._screen.interactive:
            self._screen.tell("(nobody else)")

    def _seen(self, seen: Seen) -> None:
        if not self._ready:
            self._resume(seen)
        elif not seen.member:
            self._screen.show(ILLEGAL_REQUEST)
        elif not self._session.said:
            self._screen.show(b"nothing said yet")
        elif seen.position >= self._session.said:
            self._screen.show(b"seen by all")
        else:
            self._screen.show(b"not yet seen by all")

    def _resume(self, seen: Seen) -> None:
        """Say what is gone on with."""
        as_name = f" as {self._name}" if self._name else ""
        self._member = seen.member
        if seen.member:
            news = f"{self._waiting:,} new" if self._waiting else "nothing new"
            self._screen.tell(f"Resuming{as_name}; {news}.")
            self._may_rejoin = bool(self._name)
        elif self._name:
            self._screen.tell(f"You are not in the group any more{as_name}. {self._join()}")
        self._begin()

    def _join(self) -> str:
        return f"To join again: 1 {self._name or 'NAME'}"

    def _no_sessions(self, why: str) -> None:
        if self._ready:
            raise Over("the server knows no sessions any more")
        if why:
            self._screen.tell(f"The server gives no session ({why}); going on without.")
        elif self._resumed is not None:
            self._screen.tell("The server knows no sessions now; going on without the one it had.")
        self._end = End.PLAIN

    def _lost(self, lost: Lost) -> None:
        for command in lost.commands:
            text = command.decode(errors="replace")
            self._screen.tell(f"Nobody knows what came of: {text}")
        as_name, join = f" as {self._name}" if self._name else "", self._join()
        self._slot.forget()
        if self._ready:
            raise Over(f"the server does not know you{as_name} any more. Connect again. {join}")
        self._screen.tell(f"The server does not know you{as_name} any more. {join}")
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
        if self._keyboard.first is not None:
            self._ask()
        elif not self._keyboard.ended:
            self._keyboard.prompt()
        elif not self._follow:
            return End.DETACHED
        elif not self._member:
            raise Over("you are not in the group, so there is nothing to follow. Join: 1 NAME")
        return None

    def _ask(self) -> None:
        """Take lines that can travel together, and have them do so."""
        session, keyboard = self._session, self._keyboard
        line = keyboard.take()
        joins = line.startswith(b"1 ")
        if line == _SEEN:
            session.ask_seen()
        elif line == _WHO or (joins and self._is_ours(line)):
            self._shows_names, self._asked_who = True, line == _WHO
            session.ask_who()
        else:
            session.submit(line)
            if joins:
                session.ask_who()
        self._may_rejoin = self._may_rejoin and not joins
        if not self._alone(line):
            while (following := keyboard.first) is not None and not self._alone(following):
                session.submit(keyboard.take())

    def _is_ours(self, line: bytes) -> bool:
        return self._may_rejoin and tidy_name(line[2:].decode(errors="replace")) == self._name

    @staticmethod
    def _alone(line: bytes) -> bool:
        return line in {_WHO, _SEEN, b"4"} or line.startswith(b"1 ")
