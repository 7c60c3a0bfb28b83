"""The table: each target beside what was measured, on the terminal and in files."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.experiment import Figures, Row, Target

__all__ = ["HEAD", "line", "markdown", "write_json"]

_WIDTHS: Final = (62, 15, 11, 21)


def _columns(what: str, target: str, measured: str, spread: str, verdict: str) -> str:
    cells = zip((what, target, measured, spread), _WIDTHS, strict=True)
    return "  ".join([*(f"{text:<{width}}" for text, width in cells), verdict]).rstrip()


HEAD: Final = _columns("what", "target", "measured", "quartiles", "")


def line(row: Row) -> str:
    """Return *row* as a line, with its finding or what is missing in lines of their own."""
    target, figures = row.target, row.figures
    if figures is None:
        return _columns(target.what, _wanted(target), "-", "", f"skipped: {row.skipped}")
    middle, spread = number(figures.middle, target.unit), _spread(figures, target)
    text = _columns(target.what, _wanted(target), middle, spread, row.verdict)
    if figures.absolute:
        text += f"\n    {figures.absolute}"
    if row.verdict == "missed" and target.finding:
        text += f"\n    why: {target.finding}"
    return text


def markdown(tables: Mapping[str, Iterable[Row]]) -> str:
    """Return *tables*, by their titles, as one page of Markdown."""
    lines: list[str] = []
    for title, rows in tables.items():
        lines += [
            f"**{title}**",
            "",
            "| | target | measured | quartiles |",
            "| --- | --- | --- | --- |",
        ]
        why: dict[str, str] = {}
        for row in rows:
            target, figures = row.target, row.figures
            if figures is None:
                cells = [target.what, _wanted(target), "skipped", row.skipped]
            else:
                middle = number(figures.middle, target.unit)
                shown = f"**{middle}**" if row.verdict == "met" else middle
                cells = [target.what, _wanted(target), shown, _spread(figures, target)]
                if row.verdict == "missed" and target.finding:
                    why[target.finding] = ""
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *(f"Why not: {finding}.\n" for finding in why)]
    return "\n".join(lines)


def _wanted(target: Target) -> str:
    return f"at {'least' if target.least else 'most'} {number(target.bound, target.unit)}"


def _spread(figures: Figures, target: Target) -> str:
    low, high = figures.spread
    return f"{number(low, target.unit)} to {number(high, target.unit)}"


def number(value: float, unit: str) -> str:
    """Return *value*, a ratio or a number of *unit*, with three digits."""
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return digits + ("x" if unit == "x" else f" {unit}")


def write_json(path: Path, rows: Iterable[Row]) -> None:
    """Write all that was measured to *path*."""
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
    }
    path.write_text(
        json.dumps({"machine": machine, "rows": [_plain(row) for row in rows]}, indent=1) + "\n"
    )


def _plain(row: Row) -> dict[str, object]:
    target: Target = row.target
    figures: Figures | None = row.figures
    each: Sequence[float] = figures.each if figures else ()
    return {
        "what": target.what,
        "bound": target.bound,
        "at_least": target.least,
        "unit": target.unit,
        "each": [round(figure, 6) for figure in each],
        "median": figures.middle if figures else None,
        "quartiles": figures.spread if figures else None,
        "absolute": figures.absolute if figures else "",
        "verdict": row.verdict,
        "finding": target.finding if row.verdict == "missed" else "",
        "skipped": row.skipped,
    }
