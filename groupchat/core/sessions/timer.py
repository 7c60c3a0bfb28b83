"""How long to wait for a reply before asking again (RFC 6298).

The time that replies have taken, smoothed, and four times how much it varies. Unlike TCP, every
reply says which try it answers, so each is a measurement, repeated or not (RFC 6298, section 3).
The floor is lower than the RFC's second: on a LAN, a reply that has not come in a twentieth of
that is not coming. And the wait is doubled only from the third try on: on a link that loses half of
what it carries, as bad radio links do, one or two tries without a reply say nothing about how
busy it is.
"""

from typing import Final

__all__ = ["EQUAL_TRIES", "FIRST_MILLISECONDS", "MAX_MILLISECONDS", "MIN_MILLISECONDS", "Timer"]

FIRST_MILLISECONDS: Final = 500
"""How long to wait before anything is known."""

MIN_MILLISECONDS: Final = 50
"""The shortest wait for a reply."""

MAX_MILLISECONDS: Final = 5_000
"""The longest wait for a reply."""

EQUAL_TRIES: Final = 3
"""So many tries have the same wait; from then on, each has twice that of the one before."""


class Timer:
    """Measures replies."""

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._variation = 0.0

    def measured(self, milliseconds: int) -> None:
        """Take note that a reply has taken so long."""
        if self._smoothed is None:
            self._smoothed, self._variation = float(milliseconds), milliseconds / 2
            return
        difference = abs(self._smoothed - milliseconds)
        self._variation += (difference - self._variation) / 4
        self._smoothed += (milliseconds - self._smoothed) / 8

    def wait(self, tries: int) -> int:
        """Return how many milliseconds to wait for a reply to what has been sent *tries* times."""
        first = float(FIRST_MILLISECONDS)
        if self._smoothed is not None:
            first = self._smoothed + 4 * self._variation
        bounded = max(MIN_MILLISECONDS, first) * 2 ** min(max(0, tries - EQUAL_TRIES), 16)
        return int(min(MAX_MILLISECONDS, bounded))
