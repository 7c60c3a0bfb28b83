"""What a server puts up with.

What lives here: each limit with its name, unit and default, and the token buckets that count
requests. What must not: what happens to whoever goes over a limit.
"""

from typing import Any, Final

import attrs
from attrs import define, field, frozen

__all__ = ["NO_LIMITS", "SOURCES", "Buckets", "Limits"]

SOURCES: Final = 50_000
"""Sources whose requests are counted at a time. More make the oldest be forgotten."""


def _limit(default: int, text: str) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"help": text})


@frozen
class Limits:
    """All limits; None is no limit."""

    members: int | None = _limit(10_000, "Members that the group can have.")
    connections: int | None = _limit(1_000, "Connections at a time.")
    connections_a_source: int | None = _limit(250, "Connections at a time from one address.")
    requests: int | None = _limit(5_000, "Requests a second from one member.")
    stranger_requests: int | None = _limit(
        50, "Requests a second from one address, outside of the group."
    )
    silence: int | None = _limit(60, "Seconds that a connection may be open and not join.")
    idle: int | None = _limit(
        7 * 24 * 3600, "Seconds without a request after which a member leaves."
    )
    reply: int | None = _limit(1 << 20, "Bytes of one reply on a connection; the rest waits.")
    unsent: int | None = _limit(1 << 16, "Bytes that wait for one slow reader.")
    stray: int | None = _limit(
        8_192,
        "Bytes a second to one address by plain UDP, where replies can be longer than requests "
        "and nobody knows who asks.",
    )


NO_LIMITS: Final = Limits(**{limit.name: None for limit in attrs.fields(Limits)})
"""Nothing is limited: for tests, and for links that can be trusted."""


@define(eq=False)
class _Bucket:
    tokens: float
    time: int


class Buckets:
    """Token buckets, one for each key: *rate* a second flow in, up to *burst*.

    Args:
        rate: tokens a second; None for as many as anybody wants.
        burst: seconds for which a key that has been quiet can go at twice the rate.
    """

    def __init__(self, rate: int | None, burst: float = 2.0) -> None:
        self._rate = rate
        self._full = 0.0 if rate is None else rate * burst
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, now: int, tokens: float = 1) -> float:
        """Take tokens and return how many are left: less than 0 is a debt. A debt is no greater
        than the burst.

        Args:
            key: whose tokens.
            now: the time, in milliseconds.
            tokens: how many.
        """
        if self._rate is None:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= SOURCES:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[key] = _Bucket(self._full, now)
        elapsed = max(0, now - bucket.time)  # a clock can be set back
        level = min(self._full, bucket.tokens + elapsed * self._rate / 1_000) - tokens
        bucket.time = now
        bucket.tokens = max(level, -self._full)
        return level

    def wait(self, left: float) -> float:
        """Return how many seconds a debt of ``-left`` tokens takes."""
        return -left / self._rate if self._rate and left < 0 else 0.0
