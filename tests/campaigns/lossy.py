"""Five members on a link that loses three datagrams of ten, in both directions.

``make lossy`` has them say 1,000 messages each, a few at a time, through a proxy that also
repeats every tenth datagram and lets every fourth be overtaken. In the middle one of them changes
his port, and one goes on by TCP. In the end each must have each of the others' messages exactly
once, all in the same order.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.campaigns.member import SocketMember, Verdict, compare, drive
from tests.client.proxy import BAD, Proxy
from tests.processes import serving

__all__ = ["Link", "lossy"]

MEMBERS: Final = 5
UNDER_WAY: Final = 5
"""Messages that a member has under way at the most."""


@frozen
class Link:
    """What the members had to do with."""

    verdict: Verdict
    datagrams: dict[str, int]
    """What the proxy did, and to how many."""
    moves: int
    complete: bool
    """Whether everybody had everything before time was up."""


def lossy(messages: int, seed: int, folder: Path, patience: float) -> Link:
    """Have every member say *messages*, for *patience* seconds at the most."""
    with (
        serving("--no-limits", "--journal", str(folder / "lossy.journal"), "0") as server,
        Proxy(server.port, BAD, seed) as proxy,
    ):
        members = [SocketMember(f"m{number}", proxy.port) for number in range(MEMBERS)]
        complete = drive(members, lambda: all(m.session.idle for m in members), patience)
        for member in members:
            member.session.listen(10)
        moved: set[str] = set()

        def all_told() -> bool:
            for number, member in enumerate(members):
                under_way = len(member.said) - len(member.acknowledged)
                while len(member.said) < messages and under_way < UNDER_WAY:
                    member.say(f"{len(member.said)} of {messages}".encode())
                    under_way += 1
                if number < 2 and member.name not in moved and len(member.said) > messages // 2:
                    moved.add(member.name)
                    if number == 0:
                        member.move(proxy.port, "udp")
                    else:
                        member.move(server.port, "tcp")
            wanted = (MEMBERS - 1) * messages
            return all(
                len(member.acknowledged) == messages
                and sum(told.kind == "s" for told in member.told) >= wanted
                for member in members
            )

        complete = drive(members, all_told, patience, tick=0.005) and complete
        counts = dict(proxy.counts)
        for member in members:
            member.close()
    return Link(compare(members), counts, sum(member.moves for member in members), complete)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="make lossy", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000, help="by each member")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        link = lossy(arguments.messages, arguments.seed, Path(folder), patience=1_800)
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(link.datagrams.items()))
    print(f"{time.monotonic() - began:.0f} s, seed {arguments.seed}. Datagrams: {counts}.")
    print(f"{link.moves} members went on from elsewhere. {link.verdict}.")
    for failure in link.verdict.failures:
        print(failure)
    sys.exit(not (link.complete and link.verdict.good))


if __name__ == "__main__":
    main()
