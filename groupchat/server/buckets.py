"""Token buckets: how much somebody has had lately, and whether he may have more.

What lives here: the counting. What must not: whom it is for, and what becomes of whoever has had
too much.
"""

from math import inf
from typing import Final

from attrs import define

__all__ = ["SOURCES", "Buckets"]

SOURCES: Final = 50_000
"""Sources whose requests are counted at a time. More make the oldest be forgotten."""


@define(eq=False)
class _Bucket:
    tokens: float
    time: int


class Buckets:
    """Token buckets, one for each key: *rate* a second flow in, up to *burst*.

    Args:
        rate: tokens a second; None for as many as anybody wants.
        burst: seconds for which a key that has been quiet can go at twice the rate.
        debt: seconds for which one that has gone too fast is remembered at the most.
    """

    def __init__(self, rate: int | None, burst: float = 2.0, debt: float = 2.0) -> None:
        self._rate = rate
        self._full = 0.0 if rate is None else rate * burst
        self.floor = -inf if rate is None else -rate * debt
        """The greatest debt that is remembered. To be read."""
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, now: int, tokens: float = 1, *, owe: bool = True) -> float:
        """Take tokens and return how many are left: less than 0 is a debt.

        Args:
            key: whose tokens.
            now: the time, in milliseconds; it never goes back.
            tokens: how many; less than 0 gives some back.
            owe: whether they are taken if there are not so many, too.
        """
        if self._rate is None:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= SOURCES:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[key] = _Bucket(self._full, now)
        filled = (now - bucket.time) * self._rate / 1_000
        level = min(self._full, bucket.tokens + filled) - tokens
        bucket.time = now
        bucket.tokens = max(level if owe or level >= 0 else level + tokens, self.floor)
        return level

    def wait(self, left: float) -> float:
        """Return how many seconds a debt of ``-left`` tokens takes."""
        return -left / self._rate if self._rate and left < 0 else 0.0
