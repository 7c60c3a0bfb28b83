"""What is measured: an experiment, the figures that come of it, and what they are to be."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import TypeAlias

from attrs import frozen

__all__ = ["Experiment", "Figures", "Point", "Row", "Run", "Skipped", "Target"]


class Skipped(Exception):
    """It cannot be measured here. The message says what is missing, and how to get it."""


@frozen
class Target:
    """What a figure is to be."""

    what: str
    """What is measured, and against what."""
    bound: float
    unit: str = "x"
    """``x`` for a ratio."""
    least: bool = False
    """Whether *bound* is the least that will do; else it is the most."""
    finding: str = ""
    """If it is known not to be met: why not, in a line."""

    def is_met(self, figure: float) -> bool:
        """Whether *figure* is as it is to be."""
        return figure >= self.bound if self.least else figure <= self.bound


@frozen
class Point:
    """One point of a plot (:mod:`bench.plots`)."""

    plot: str
    """Of which."""
    what: str
    """Whose it is: the name of a line, or of a bar."""
    y: float
    x: float = 0.0


@frozen
class Figures:
    """What came of measuring one thing several times."""

    each: Sequence[float]
    """One figure a repetition. A ratio is that of two things measured in the same repetition."""
    absolute: str = ""
    """What the ratios are made of, to be read by people: ``13.1 us against 12.5 us``."""
    points: Sequence[Point] = ()
    """What a plot shows of it."""

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.each)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile."""
        if len(self.each) < 2:
            return self.each[0], self.each[0]
        low, _, high = quantiles(self.each, n=4, method="inclusive")
        return low, high


Run: TypeAlias = Callable[[int], Mapping[str, Figures]]
"""Called with how many repetitions to make, returns figures by the keys of the targets. Raises
:class:`Skipped`."""


@frozen
class Experiment:
    """Some figures that are measured together."""

    title: str
    targets: Mapping[str, Target]
    run: Run
    repetitions: int


@frozen
class Row:
    """A target, and what was measured."""

    target: Target
    figures: Figures | None
    skipped: str = ""
    """Why it was not measured."""

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``skipped``."""
        if self.figures is None:
            return "skipped"
        return "met" if self.target.is_met(self.figures.middle) else "missed"
