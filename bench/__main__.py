"""``python -m bench``: run everything and print a table."""

import sys
import time
from collections.abc import Mapping
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
from bench.table import HEAD, line, markdown, write_json

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
@click.option("--to", "folder", type=Path, metavar="FOLDER", help="Write and draw it there, too.")
def main(only: str, quick: bool, folder: Path | None) -> None:
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
    tables: dict[str, list[Row]] = {}
    click.echo(HEAD)
    for count, experiment in enumerate(chosen, 1):
        began = time.monotonic()
        _progress(f"[{count}/{len(chosen)}] {experiment.title} ...")
        rows = measured(experiment, min(experiment.repetitions, 3) if quick else 0)
        _progress("")
        click.echo(f"\n{experiment.title} ({time.monotonic() - began:.0f} s)")
        for row in rows:
            click.echo(line(row))
        tables[experiment.title] = rows
    verdicts = [row.verdict for rows in tables.values() for row in rows]
    click.echo(
        f"\n{verdicts.count('met')} met, {verdicts.count('missed')} missed, "
        f"{verdicts.count('skipped')} skipped"
    )
    if folder is not None:
        _write(tables, folder)


def _write(tables: Mapping[str, list[Row]], folder: Path) -> None:
    rows = [row for table in tables.values() for row in table]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "figures.json", rows)
    (folder / "table.md").write_text(markdown(tables))
    try:
        draw(rows, folder)
    except Skipped as why:
        click.echo(f"No plots: {why}")
    click.echo(f"Written to {folder}")


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
