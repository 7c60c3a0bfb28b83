"""What the server needs of the world: the time, chance, and to be called again.

Two interfaces and no code, so that a test or a simulator can be the world.
"""

from collections.abc import Callable
from typing import Protocol

__all__ = ["Handle", "Scheduler"]


class Handle(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Do not call it."""


class Scheduler(Protocol):
    """The world."""

    def time(self) -> int:
        """Return the time, in milliseconds since 1970-01-01 00:00 UTC. It can be set, also back."""

    def monotonic(self) -> int:
        """Return the time in milliseconds since any moment. Nobody can set it."""

    def draw(self) -> bytes:
        """Return 16 unguessable bytes."""

    def call_soon(self, call: Callable[[], None]) -> object:
        """Have *call* called once, soon, but not at once."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Handle:
        """Have *call* called once, in so many seconds."""
