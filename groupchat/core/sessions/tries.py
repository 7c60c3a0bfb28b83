"""One request and its tries: when it is sent, and sent again.

What lives here: how often it was sent, when that was, and when to send it next. What must not: what
is in it.

Theory. A reply says which try it answers. So a reply measures the round trip, repeated or not; and
one to a try before the server asked us to prove ourselves is not believed: perhaps the server was
started again since, has forgotten what it did not carry out, and is doing so now.
"""

from typing import Final

from groupchat.core.sessions.timer import Timer

__all__ = ["LISTEN_MILLISECONDS", "Tries"]

LISTEN_MILLISECONDS: Final = 3_000
"""How long a request that waits for news is left alone before it is sent again."""


class Tries:
    """Those of the request under way. Time is in milliseconds from any beginning."""

    def __init__(self) -> None:
        self.due: int | None = 0
        """When to send it; None for not again. To be read."""
        self.refusals = 0
        """How often, since :meth:`heard`, a try was refused as if there were no sessions."""
        self._timer = Timer()
        self._sent: list[int] = []  # when each was
        self._proved_by = 0  # the first with the cookie
        self._refused = 0  # the last that was refused

    @property
    def count(self) -> int:
        """How often it was sent."""
        return len(self._sent)

    def begin(self) -> None:
        """There is another request, or another way by which to send it."""
        self.due, self._sent, self._proved_by, self._refused = 0, [], 0, 0

    def send(self, now: int, datagram: bool, waits: bool) -> None:
        """Take note that it is sent.

        Args:
            now: the time.
            datagram: whether it can get lost.
            waits: whether its reply may be held until there is news.
        """
        self._sent.append(now)
        if not datagram:
            self.due = None
        elif waits and self.count > 1:
            self.due = now + LISTEN_MILLISECONDS
        else:
            self.due = now + self._timer.wait(self.count)

    def prove(self, now: int) -> None:
        """Have it sent at once, with a proof of where we are."""
        self._proved_by = self.count + 1
        self.due = now

    def done(self) -> None:
        """It is answered: the next can be sent."""
        self.due = 0

    def refused(self) -> None:
        """Take note of a refusal. Anybody can send those, again and again, so one a try counts."""
        if self._refused != self.count:
            self._refused = self.count
            self.refusals += 1

    def heard(self) -> None:
        """Take note that the server knows sessions."""
        self.refusals = 0

    def is_too_old(self, number: int) -> bool:
        """Whether the try with this *number* was before we had to prove ourselves."""
        return number < self._proved_by

    def measure(self, number: int, now: int) -> None:
        """Take note that the try with this *number* has been answered."""
        if number <= self.count:
            self._timer.measured(now - self._sent[number - 1])
