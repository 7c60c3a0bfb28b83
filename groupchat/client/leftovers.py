"""What is left when a conversation ends: what was asked for, or read, and has not been answered.

What lives here: what is said of it.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from groupchat.client.session import Session
from groupchat.client.slots import Slot
from groupchat.core.quantity import counted

__all__ = ["SHOWN_CHARACTERS", "Leftovers", "leftovers", "shown"]

SHOWN_CHARACTERS: Final = 100
"""Characters of a line that are enough to know it by."""


@frozen
class Leftovers:
    """What is left."""

    kept: Sequence[bytes] = ()
    """What was asked, and will be asked again the next time."""
    unknown: Sequence[bytes] = ()
    """What was asked, and perhaps done."""
    unsent: Sequence[bytes] = ()
    """What was read, and not sent."""
    more: bool = False
    """Whether more may follow in the input."""

    def lines(self) -> list[str]:
        """Return lines for people."""
        lines = [
            f"Not answered yet, and to be asked again the next time: {shown(command)}"
            for command in self.kept
        ]
        lines += [f"Nobody knows what came of: {shown(command)}" for command in self.unknown]
        if self.unsent:
            lines.append(
                f"Not sent: {counted(len(self.unsent), 'line')}"
                + (", of which the first is" if len(self.unsent) > 1 else "")
                + f": {shown(self.unsent[0])}"
                + (" (and whatever follows in the input)" if self.more else "")
            )
        return lines


def leftovers(session: Session, slot: Slot, unread: Sequence[bytes], *, more: bool) -> Leftovers:
    """Return what is left.

    Args:
        session: by which something was asked.
        slot: where it is kept.
        unread: what was read, and not asked for by the session.
        more: whether more may follow in the input.
    """
    saved, kept = session.saved, slot.saved
    under_way = list(saved.commands) if saved else []
    if saved and saved.command:
        under_way[-1:] = [saved.command]
    under_way = list(filter(None, under_way))  # what was no request is not known any more
    unsent = [*session.unsent, *unread]
    if not slot.kept:
        return Leftovers(unknown=under_way, unsent=unsent, more=more)
    if saved and (kept is None or kept.number != saved.number):  # it could not be written
        return Leftovers(unsent=[*under_way, *unsent], more=more)
    return Leftovers(kept=under_way, unsent=unsent, more=more)


def shown(command: bytes) -> str:
    """Return *command* as people are shown it."""
    text = command.decode(errors="replace")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
