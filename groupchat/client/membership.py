"""Who we are in the group.

What lives here: our name, and whether we are in it, as the results of our commands tell.
"""

from groupchat.client.slots import Slot
from groupchat.core.names import name_key, tidy_name

__all__ = ["Membership"]


class Membership:
    """Whether we are in the group, and as whom.

    Args:
        slot: where the name is kept.
    """

    def __init__(self, slot: Slot) -> None:
        self.is_member = False
        """Whether we are in the group, as far as we know."""
        self._slot = slot

    @property
    def name(self) -> str:
        """Our name; may be empty."""
        return self._slot.name

    @property
    def as_name(self) -> str:
        """What says in a sentence as whom."""
        return f" as {self.name}" if self.name else ""

    @property
    def how_to_join(self) -> str:
        """What to do when we are not in the group."""
        return f"To join again: 1 {self.name or 'NAME'}"

    def note(self, command: bytes) -> None:
        """Take note that *command* has been carried out."""
        if command.startswith((b"1 ", b"3 ")):
            name = command[2:].decode(errors="replace")  # a server can call anything done
            self._slot.name = tidy_name(name) or name
            self.is_member = True
        elif command == b"4":
            self.is_member = False

    def is_ours(self, join: bytes) -> bool:
        """Whether *join* is a request to join by the name that we have."""
        return bool(self.name) and name_key(join[2:].decode(errors="replace")) == name_key(
            self.name
        )
