"""``python -m bench``: run everything and print a table."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bench.members import Comparison, compare_groups, compare_servers
from bench.memory import member_in_server, waiting_message_in_group, waiting_message_in_server

Result = TypeVar("Result")


@click.command()
@click.option("--members", default=10_000, show_default=True, help="Members of the large group.")
@click.option("--messages", default=100_000, show_default=True, help="Messages nobody fetches.")
@click.option("--rounds", default=41, show_default=True, help="Rounds of each comparison.")
@click.option("--round-messages", default=2_000, show_default=True, help="Messages in a round.")
def main(members: int, messages: int, rounds: int, round_messages: int) -> None:
    """Measure what a message costs. CPU time is that of the process measured; see bench/."""
    if not Path("/proc/self/schedstat").exists():
        raise click.ClickException("the figures come from Linux's /proc, which is not here")
    click.echo(f"A message of 64 bytes with {members:,} members, against 10 members (CPU time)")
    ratio("  the core alone", lambda: compare_groups(members, round_messages, rounds))
    ratio("  a server over UDP", lambda: compare_servers(members, round_messages, rounds))
    click.echo("Memory, in bytes")
    number(
        f"  a message of {messages:,} not fetched, core", waiting_message_in_group, messages, 256
    )
    number(f"  the same, server process ({messages:,})", waiting_message_in_server, messages, 256)
    number(f"  a member of {members:,}, server process", member_in_server, members, 1_024)


def ratio(title: str, measure: Callable[[], Comparison]) -> None:
    found = row(title, measure)
    low, high = found.spread
    click.echo(
        f"{found.small / 1_000:.2f} us -> {found.large / 1_000:.2f} us, "
        f"ratio {found.ratio:.3f} (quartiles {low:.3f} to {high:.3f}; at most 1.15)"
    )


def number(title: str, measure: Callable[[int], float], count: int, target: int) -> None:
    click.echo(f"{row(title, lambda: measure(count)):.1f} (at most {target})")


def row(title: str, measure: Callable[[], Result]) -> Result:
    click.echo(f"{title:<50}", nl=False)
    return measure()


main()
