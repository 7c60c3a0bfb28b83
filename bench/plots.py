"""The plots in README and documentation, of what was measured.

What lives here: how they look. What must not: a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.experiment import Point, Row, Skipped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

OURS: Final = "#1f6feb"
THEIRS: Final = ("#6e7781", "#afb8c1")
INK: Final = "#24292f"
_STYLE: Final = {
    "svg.hashsalt": "groupchat",  # so that the same numbers make the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Draw the plots that there are points for, and return where they are.

    Raises:
        Skipped: there is no matplotlib.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415  who only measures need not have it
        from matplotlib.figure import Figure  # noqa: PLC0415  likewise
    except ImportError:
        raise Skipped("for the plots, install matplotlib") from None
    points: dict[str, dict[str, list[Point]]] = {}
    for row in rows:
        for point in row.figures.points if row.figures else ():
            series = points.setdefault(point.plot, {}).setdefault(point.what, [])
            if all(point.x != other.x for other in series):
                series.append(point)
    drawn = []
    with mpl.rc_context(_STYLE):
        if "cost" in points:
            figure = Figure(figsize=(7, 4), layout="constrained")
            _cost(figure.subplots(), points["cost"])
            drawn.append(_saved(figure, folder / "cost.svg"))
        if "fanout-cpu" in points:
            figure = Figure(figsize=(7, 2.6), layout="constrained")
            left, right = figure.subplots(1, 2)
            _bars(left, points["fanout-cpu"], "CPU time a delivery, in µs")
            _bars(right, points["fanout-rate"], "million deliveries a second")
            right.set_yticklabels([])
            drawn.append(_saved(figure, folder / "fanout.svg"))
    return drawn


def _saved(figure: "Figure", path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None})
    return path


def _cost(axes: "Axes", lines: Mapping[str, Sequence[Point]]) -> None:
    for (what, points), color in zip(lines.items(), (*THEIRS, OURS), strict=True):
        xs, ys = [point.x for point in points], [point.y for point in points]
        axes.plot(xs, ys, "o-", color=color, linewidth=2, markersize=5, label=what)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = [point.x for point in next(iter(lines.values()))]
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("members in the group")
    axes.set_ylabel("CPU time a message, in µs")
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.legend(frameon=False, loc="upper left")


def _bars(axes: "Axes", bars: Mapping[str, Sequence[Point]], label: str) -> None:
    names = sorted(bars, key=_is_ours)[::-1]
    values = [bars[name][0].y for name in names]
    colors = [OURS if _is_ours(name) else THEIRS[0] for name in names]
    drawn = axes.barh(names, values, color=colors, height=0.6)
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set_xlabel(label)
    axes.margins(x=0.18)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)


def _is_ours(name: str) -> bool:
    return name.startswith("groupchat")
