"""The time by which old events are let go of: what the clock says, as far as it can be believed.

What lives here: what becomes of a clock that jumps ahead. What must not: what is too old then.

Theory. What was let go of does not come back when the clock is put right. So the time goes on as
what nobody can set does, whatever the clock says, until a new time has held for so long that it is
no mistake. If the clock is put back, that is believed at once: then only more is kept.
"""

import logging
from collections.abc import Callable
from typing import Final

__all__ = ["DOUBT_MILLISECONDS", "SLACK_MILLISECONDS", "Calendar"]

log = logging.getLogger("groupchat")

DOUBT_MILLISECONDS: Final = 3_600_000
"""Milliseconds for which a clock that has jumped ahead is not believed."""

SLACK_MILLISECONDS: Final = 5_000
"""Milliseconds by which a clock can be put ahead and is believed all the same."""


class Calendar:
    """Tells the time.

    Args:
        clock: returns the time, in milliseconds since 1970; it can be set.
        monotonic: returns the time, in milliseconds; nobody can set it.
        newest: when the newest record was taken, in milliseconds since 1970; 0 if there is none.
    """

    def __init__(self, clock: Callable[[], int], monotonic: Callable[[], int], newest: int) -> None:
        self._clock = clock
        self._monotonic = monotonic
        now, said = monotonic(), clock()
        if newest > said + SLACK_MILLISECONDS:
            log.warning(
                "the clock is %s s behind the newest message; until it has caught up, what is said "
                "gets the time of that one",
                f"{(newest - said) // 1_000:,}",
            )
        self._believed = min(said, newest or said) - now  # by how much the clock is ahead of it
        self._doubted: int | None = said - now  # the same, as long as that is not believed
        self._doubted_since = now

    def time(self) -> int:
        """Return the time, in milliseconds since 1970. To be called every few seconds."""
        now = self._monotonic()
        ahead = self._clock() - now
        if ahead <= self._believed + SLACK_MILLISECONDS:
            self._believed, self._doubted = ahead, None
        else:
            self._doubt(ahead, now)
        return now + self._believed

    def _doubt(self, ahead: int, now: int) -> None:
        if self._doubted is None or abs(ahead - self._doubted) > SLACK_MILLISECONDS:
            self._doubted_since = now
            if self._doubted is None:
                log.warning(
                    "the clock has jumped ahead by %s s; nothing is let go of for that in the next "
                    "%d minutes",
                    f"{(ahead - self._believed) // 1_000:,}",
                    DOUBT_MILLISECONDS // 60_000,
                )
        self._doubted = ahead
        if now - self._doubted_since >= DOUBT_MILLISECONDS:
            self._believed, self._doubted = ahead, None
