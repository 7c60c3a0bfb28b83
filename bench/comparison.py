"""Several things measured side by side: they take turns.

Theory. Whatever else a machine does comes and goes within seconds, and slows down all that is
measured meanwhile. So the rounds are short, what is compared is measured one right after the other,
in this order and then in the reverse, and each ratio is that of two neighbours.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TypeAlias, TypeVar

from attrs import frozen

from bench.experiment import Figures

__all__ = ["Comparison", "Round", "in_turn"]

Result = TypeVar("Result")

Round: TypeAlias = Callable[[], float]
"""Plays one round, and returns the CPU time of one of the things it does, in microseconds."""


def in_turn(
    rounds: Mapping[str, Callable[[], Result]], repetitions: int
) -> dict[str, list[Result]]:
    """Have *rounds* take turns, after one of each that warms them up, and return what comes of
    them, by their names."""
    for play in rounds.values():
        play()
    results: dict[str, list[Result]] = {name: [] for name in rounds}
    for repetition in range(repetitions):
        for name in list(rounds)[:: -1 if repetition % 2 else 1]:
            results[name].append(rounds[name]())
    return results


@frozen
class Comparison:
    """What came of rounds that took turns."""

    microseconds: Mapping[str, Sequence[float]]
    """CPU time, of each repetition, by what was measured."""

    @classmethod
    def of(cls, rounds: Mapping[str, Round], repetitions: int) -> "Comparison":
        """Have *rounds* take turns."""
        return cls(in_turn(rounds, repetitions))

    def ratio(self, one: str, other: str, note: str = "") -> Figures:
        """Return how many times as long as *other* *one* takes. A *note* goes with it."""
        text = self._show(one, other) + note
        return Figures([a / b for a, b in self._pairs(one, other)], text)

    def difference(self, one: str, other: str) -> Figures:
        """Return how many milliseconds *one* takes more than *other*."""
        each = [(a - b) / 1_000 for a, b in self._pairs(one, other)]
        return Figures(each, self._show(one, other))

    def show(self, name: str) -> str:
        """Return what *name* takes, in the median, to be read by people."""
        middle = median(self.microseconds[name])
        return f"{middle / 1_000:,.1f} ms" if middle >= 1_000 else f"{middle:.1f} us"

    def _pairs(self, one: str, other: str) -> Iterable[tuple[float, float]]:
        return zip(self.microseconds[one], self.microseconds[other], strict=True)

    def _show(self, one: str, other: str) -> str:
        return f"{self.show(one)} against {self.show(other)}"
