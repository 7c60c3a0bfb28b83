"""What is left when a conversation ends: what was asked for, or read, and has not been answered.

What lives here: what is said of it.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

__all__ = ["SHOWN_CHARACTERS", "Leftovers", "shown"]

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
            count = len(self.unsent)
            lines.append(
                f"Not sent: {count:,} line{'s, of which the first is' if count > 1 else ''}: "
                f"{shown(self.unsent[0])}"
                + (" (and whatever follows in the input)" if self.more else "")
            )
        return lines


def shown(command: bytes) -> str:
    """Return *command* as people are shown it."""
    text = command.decode(errors="replace")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
