"""A log that is written to seldom, whatever happens: bad input must not fill a disk.

What lives here: how often a line is written. What must not: what it says.
"""

import logging
from collections.abc import Callable
from typing import Final

__all__ = ["LOG_MILLISECONDS", "Quiet"]

log = logging.getLogger("groupchat")

LOG_MILLISECONDS: Final = 1_000
"""Milliseconds between two log lines about refusals: bad input must not fill a disk."""


class Quiet:
    """Writes to the log, but no more than one line a second.

    Args:
        monotonic: returns the time, in milliseconds; it never goes back.
    """

    def __init__(self, monotonic: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._quiet_until = 0
        self._unsaid = 0

    def say(self, line: str, level: int = logging.INFO) -> bool:
        """Write *line*, or count it. Return whether it is written."""
        now = self._monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return False
        more = f"; {self._unsaid:,} more before" if self._unsaid else ""
        log.log(level, "%s%s", line, more)
        self._quiet_until, self._unsaid = now + LOG_MILLISECONDS, 0
        return True
