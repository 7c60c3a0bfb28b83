"""``python -m bench``: run everything and print a table."""

import sys
import time
from pathlib import Path

import click

from bench import (
    backlog,
    fanout,
    latency,
    members,
    memory,
    requests,
    restart,
    startup,
)
from bench.experiment import Experiment, Row, Skipped
from bench.plots import draw
from bench.table import HEAD, line, write_json

EXPERIMENTS = [
    *requests.EXPERIMENTS,
    *members.EXPERIMENTS,
    *fanout.EXPERIMENTS,
    *latency.EXPERIMENTS,
    *backlog.EXPERIMENTS,
    *memory.EXPERIMENTS,
    *restart.EXPERIMENTS,
    *startup.EXPERIMENTS,
]


@click.command()
@click.option("--only", default="", metavar="TEXT", help="Those with TEXT in their title.")
@click.option("--quick", is_flag=True, help="Three repetitions of each: rough, but soon there.")
@click.option("--json", "file", type=Path, metavar="PATH", help="Write it all down, too.")
@click.option("--plots", type=Path, metavar="FOLDER", help="Draw the plots of it there, too.")
def main(only: str, quick: bool, file: Path | None, plots: Path | None) -> None:
    """Measure what groupchat costs, side by side with other servers, and print each figure beside
    its target.

    CPU time is that of the server's process, user and system; each ratio is the median over
    repetitions in which the two took turns.
    """
    if not Path("/proc/self/schedstat").exists():
        raise click.ClickException("the figures come from Linux's /proc, which is not here")
    chosen = [one for one in EXPERIMENTS if only.lower() in one.title.lower()]
    if not chosen:
        titles = "\n  ".join(one.title for one in EXPERIMENTS)
        raise click.BadParameter(f"nothing has that title. There are:\n  {titles}")
    rows: list[Row] = []
    click.echo(HEAD)
    for count, experiment in enumerate(chosen, 1):
        began = time.monotonic()
        _progress(f"[{count}/{len(chosen)}] {experiment.title} ...")
        found = measured(experiment, min(experiment.repetitions, 3) if quick else 0)
        _progress("")
        click.echo(f"\n{experiment.title} ({time.monotonic() - began:.0f} s)")
        for row in found:
            click.echo(line(row))
        rows += found
    verdicts = [row.verdict for row in rows]
    click.echo(
        f"\n{verdicts.count('met')} met, {verdicts.count('missed')} missed, "
        f"{verdicts.count('skipped')} skipped"
    )
    if file is not None:
        write_json(file, rows)
    if plots is not None:
        try:
            for path in draw(rows, plots):
                click.echo(f"Drawn: {path}")
        except Skipped as why:
            click.echo(f"No plots: {why}")


def measured(experiment: Experiment, repetitions: int = 0) -> list[Row]:
    """Return what comes of *experiment*."""
    try:
        figures = experiment.run(repetitions or experiment.repetitions)
    except Skipped as why:
        return [Row(target, None, str(why)) for target in experiment.targets.values()]
    return [Row(target, figures[key]) for key, target in experiment.targets.items()]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


if __name__ == "__main__":
    main()
