"""What a client wants to be told, besides what comes of its commands.

What lives here: which of that is still to be asked for. What must not: when it is asked, and what
is done with the news.
"""

from groupchat.core.sessions.happenings import Happening, Seen
from groupchat.core.sessions.listing import Listing
from groupchat.core.sessions.replies import Answer
from groupchat.core.sessions.requests import Ask

__all__ = ["Wishes"]


class Wishes:
    """What one session wants to be told.

    Args:
        more: whether there is news to be asked for, as far as anybody knows.
    """

    def __init__(self, more: bool) -> None:
        self.more = more
        """Whether to ask for news, or to say how far we are."""
        self.seen = False
        """Whether to ask how far everybody else has come."""
        self.listens = 0
        """For how many seconds a request for news may be held, while there is nothing else to
        ask; 0: there is none."""
        self.follows = False
        """Whether a connection is to tell all news by itself."""
        self._who: Listing | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to ask for at once."""
        return self.more or self.seen or self._who is not None

    @property
    def who(self) -> int | None:
        """The position before which those joined whose names are wanted; 0 for everybody's, None
        for nobody's."""
        return None if self._who is None else self._who.before

    def ask_who(self) -> None:
        """Want to know who is here."""
        if self._who is None:
            self._who = Listing()

    def answered(self, ask: Ask, answer: Answer) -> list[Happening]:
        """Take what *answer* tells of what was asked by *ask*, news aside."""
        happenings: list[Happening] = []
        if ask.seen:
            self.seen = False
            seen = answer.seen
            happenings.append(Seen(0, member=False) if seen is None else Seen(seen))
        if ask.who is not None and self._who is not None:
            whole = self._who.take(answer)
            if whole is not None:
                self._who = None
                happenings.append(whole)
        return happenings
