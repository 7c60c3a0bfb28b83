"""What is asked for: lines in, commands of a session out.

What lives here: what a line means, and which lines travel together. What must not: what is shown.

Theory. Lines are taken when nothing is under way, all that wait at once, and travel together. But
some are asked alone, because what is shown for them would otherwise depend on what came after:
those that join, ``4``, and the words that are no commands but ask the session itself, ``who`` and
``seen``.

To a session that is gone on with, ``1`` and the name that it has is no second join, but only asks
who is here. So what is piped in may begin with it, every time. Another name is another member: what
follows it is not to be said by this one, so a pipe ends there.
"""

from typing import Final

from groupchat.client.failures import Over
from groupchat.client.keyboard import Keyboard
from groupchat.client.leftovers import shown
from groupchat.client.membership import Membership
from groupchat.client.session import Session

__all__ = ["SEEN", "WHO", "Asking", "joins"]

WHO: Final = b"who"
SEEN: Final = b"seen"
_LEAVE: Final = b"4"


class Asking:
    """Asks for what stands in lines.

    Args:
        session: what is asked.
        keyboard: where lines come from.
        we: who asks.
    """

    def __init__(self, session: Session, keyboard: Keyboard, we: Membership) -> None:
        self.names_for: bytes | None = None
        """The line for which names are to be shown, if one is."""
        self.local: list[bytes] = []
        """What was asked last, if it is no command of the session."""
        self.resumed = False
        """Whether we were a member of this name before anything was asked."""
        self._session = session
        self._keyboard = keyboard
        self._we = we
        self._may_rejoin = True

    def ask(self, line: bytes) -> None:
        """Take *line*, which is the first, and others that can travel with it, and ask for them.

        Raises:
            Over: it is not ours to ask. It has not been taken.
        """
        session, keyboard = self._session, self._keyboard
        rejoins = self._rejoins(line)
        keyboard.take()
        if line == SEEN:
            session.ask_seen()
        elif line == WHO or rejoins:
            self.names_for = line
            session.ask_who()
        else:
            session.submit(line)
            if joins(line):
                session.ask_who()
        self.local = [line] if line in {WHO, SEEN} or rejoins else []
        self._may_rejoin = self._may_rejoin and not joins(line)
        if not _alone(line):
            while (following := keyboard.first) is not None and not _alone(following):
                session.submit(keyboard.take())

    def answered(self) -> None:
        """Take note that all that was asked has been answered."""
        self.local = []

    def _rejoins(self, line: bytes) -> bool:
        """Whether *line* is to join as whom we are already."""
        if not (joins(line) and self.resumed and self._we.is_member):
            return False
        if self._we.is_ours(line):
            return self._may_rejoin
        if self._keyboard.piped:
            raise Over(
                f"this is your session{self._we.as_name}, and the input says: {shown(line)}. "
                "To be somebody else: --as NAME, or --new"
            )
        return False


def joins(line: bytes) -> bool:
    """Whether *line* is a request to join."""
    return line.startswith(b"1 ")


def _alone(line: bytes) -> bool:
    return line in {WHO, SEEN, _LEAVE} or joins(line)
