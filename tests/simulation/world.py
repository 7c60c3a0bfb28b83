"""The world: a clock, an order of what happens, chance, and a trace of it all.

What lives here: what everything else in the simulator is driven by. What must not: anything that
knows what a chat is.

Theory. Everything that happens is a *call*, due at a time; the world makes one after the other,
in the order in which they are due, and those due at once in the order in which they were
asked for. One call is one *step*. Time is a number that jumps to the next call's; nothing waits.
All chance is drawn from one generator, and only by its method whose results Python promises never
to change. So a seed decides everything, and the hash of all that was noted shows whether two
runs were the same.
"""

import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

__all__ = ["MILLISECOND", "SECOND", "Call", "Life", "Violation", "World"]

MILLISECOND: Final = 1_000
"""Of the world's microseconds."""

SECOND: Final = 1_000_000

LAST_LINES: Final = 60
"""Lines of the trace that are kept, for a failure to show."""

T = TypeVar("T")


class Violation(AssertionError):
    """Something happened that must not. The message says what."""


class Life:
    """That of a process. What it has asked for is not done when it is over."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class Call:
    """Something that is yet to happen."""

    __slots__ = ("call", "life")

    def __init__(self, call: Callable[[], None], life: Life | None) -> None:
        self.call: Callable[[], None] | None = call
        self.life = life

    def cancel(self) -> None:
        """Have it not happen."""
        self.call = None


class World:
    """One run.

    Args:
        seed: decides everything.
        show: called with each line of the trace, as it comes.
    """

    def __init__(self, seed: int, show: Callable[[str], object] | None = None) -> None:
        self.now = 0
        """Microseconds since the run began."""
        self.steps = 0
        """How many calls were made."""
        self.counts: Counter[str] = Counter()
        """How often things happened, to see what a run has covered."""
        self._random = random.Random(seed).random
        self._calls: list[tuple[int, int, Call]] = []
        self._asked = 0
        self._hash = hashlib.blake2b(digest_size=8)
        self._lines: deque[tuple[int, str, bytes]] = deque(maxlen=LAST_LINES)
        self._show = show

    # Time.

    def call_later(
        self, microseconds: int, call: Callable[[], None], life: Life | None = None
    ) -> Call:
        """Have *call* called in so many microseconds, unless its *life* is over by then."""
        made = Call(call, life)
        self._asked += 1
        heapq.heappush(self._calls, (self.now + max(0, microseconds), self._asked, made))
        return made

    def step(self) -> bool:
        """Make the next call. Return whether there was one."""
        while self._calls:
            due, number, made = heapq.heappop(self._calls)
            call, life = made.call, made.life
            if call is None or (life is not None and life.over):
                continue
            self.now = due
            self.steps += 1
            self._hash.update(b"%d %d\n" % (due, number))
            call()
            return True
        return False

    # Chance.

    def chance(self, probability: float) -> bool:
        """Return whether something happens that does with this *probability*."""
        return probability > 0 and self._random() < probability

    def below(self, count: int) -> int:
        """Return one of the numbers from 0, without *count*."""
        return int(self._random() * count)

    def between(self, least: int, most: int) -> int:
        """Return one of the numbers from *least* to *most*."""
        return least + int(self._random() * (most - least + 1))

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return choices[int(self._random() * len(choices))]

    def draw(self, count: int) -> bytes:
        """Return *count* bytes."""
        return b"".join(self.below(1 << 32).to_bytes(4, "big") for _ in range((count + 3) // 4))[
            :count
        ]

    # The trace.

    def note(self, who: str, what: bytes) -> None:
        """Put a line into the trace."""
        self._hash.update(b"%b: %b\n" % (who.encode(), what))
        self._lines.append((self.now, who, what))
        if self._show is not None:
            self._show(_line(self.now, who, what))

    @property
    def digest(self) -> str:
        """The hash of all that has happened."""
        return self._hash.hexdigest()

    @property
    def last_lines(self) -> list[str]:
        """The end of the trace."""
        return [_line(*line) for line in self._lines]


def _line(time: int, who: str, what: bytes) -> str:
    shown = what.decode("ascii", "backslashreplace").replace("\x1e", " <RS> ")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return f"{time / SECOND:11.6f}  {who:<22} {shown[:400]}{'...' if len(shown) > 400 else ''}"
