"""What came of commands, in words for people.

What lives here: why something was refused, and what came of what an earlier program of ours had
asked for. What must not: to show it.
"""

from typing import Final

from groupchat.client.leftovers import shown
from groupchat.core import Reason
from groupchat.core.sessions.happenings import Result
from groupchat.core.sessions.replies import DONE, INCOMPLETE, code
from groupchat.core.sessions.saved import Saved

__all__ = ["Earlier", "why"]

_REASONS: Final = {code(reason): reason.value for reason in Reason}


def why(word: str) -> str:
    """Return the reason that a server gives by *word*."""
    return _REASONS.get(word, word)


class Earlier:
    """What another program had asked for by the session *saved*. Its results come before ours."""

    def __init__(self, saved: Saved | None) -> None:
        self.lines: list[str] = []
        """What came of it, for people. Whoever tells them, takes them out."""
        self._awaited = len(saved.commands) if saved else 0

    def __bool__(self) -> bool:
        """Whether the next result is of that."""
        return self._awaited > 0

    def give_up(self) -> None:
        """There will be no results of that."""
        self._awaited = 0

    def take(self, result: Result) -> bool:
        """Take the next result; return whether a whole command was done."""
        self._awaited -= 1
        if not result.command:
            return False  # it was no request
        text = shown(result.command)
        is_part = text.startswith("~")
        if text.startswith("+"):
            text = "the end of a long message"
        done = result.word == DONE and not is_part
        if done:
            self.lines.append(f"Done, from before: {text}")
        else:
            partly = is_part or result.word == INCOMPLETE
            reason = "only a part of it was sent" if partly else why(result.word)
            self.lines.append(f"Not done, from before: {text} ({reason})")
        return done
