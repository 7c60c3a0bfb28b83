"""What a server puts up with.

What lives here: each limit with its name, unit and default. What must not: what happens to whoever
goes over a limit.
"""

from typing import Any, Final

import attrs
from attrs import field, frozen

__all__ = ["NO_LIMITS", "Limits"]


def _limit(default: int, text: str) -> Any:  # noqa: ANN401  as attrs has it, for any field
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
    silence: int | None = _limit(60, "Seconds that a connection may be open and be no member's.")
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
