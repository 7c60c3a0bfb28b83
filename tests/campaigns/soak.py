"""The server killed again and again, at any moment, under load; nothing acknowledged may be lost.

``make soak`` runs it 200 times. Eight members with sessions, five by UDP and three by TCP, say
something whenever they are not waiting for an answer. The server is killed with SIGKILL after a
random time, perhaps while it is still reading its journal, and started again on the same one. In
the end everybody's account is compared with everybody else's, and with the journal's.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from tests.campaigns.member import SocketMember, Verdict, compare, drive
from tests.ports import free_port

__all__ = ["soak"]

MEMBERS = 8
UNDER_WAY = 3
"""Messages that a member has under way at the most."""
PATIENCE = 60.0
"""Seconds for everybody to get everything, in the end."""


def soak(rounds: int, seed: int, folder: Path, *, show: bool = True) -> tuple[Verdict, int]:
    """Kill a server *rounds* times.

    Returns:
        What the members' accounts say, and how many of the acknowledged messages are missing in
        the journal, or are there twice.
    """
    randomness = random.Random(seed)
    port = free_port()
    journal = folder / "soak.journal"
    members = [SocketMember(f"m{n}", port, "udp" if n < 5 else "tcp") for n in range(MEMBERS)]
    server = _serve(journal, port)
    try:
        if not drive(members, lambda: all(m.session.idle for m in members), PATIENCE):
            raise RuntimeError("the members could not join")
        for number in range(rounds):
            _chat(members, randomness)
            server.kill()
            server.wait()
            server = _serve(journal, port)
            if show:
                total = sum(len(member.acknowledged) for member in members)
                _progress(f"{number + 1} of {rounds} kills, {total:,} messages acknowledged")
        for member in members:
            member.session.listen(1)
        wanted = sum(len(member.said) for member in members)

        def all_told() -> bool:
            return all(
                len(m.acknowledged) == len(m.said)
                and sum(told.kind == "s" for told in m.told) >= wanted - len(m.said)
                for m in members
            )

        drive(members, all_told, PATIENCE)
    finally:
        server.kill()
        server.wait()
        for member in members:
            member.close()
    if show:
        _progress("")
    return compare(members), _missing(journal, members)


def _chat(members: list[SocketMember], randomness: random.Random) -> None:
    """Have *members* chat for a while."""
    end = time.monotonic() + randomness.uniform(0.0, 0.8)

    def time_is_up() -> bool:
        for member in members:
            while len(member.said) - len(member.acknowledged) < UNDER_WAY:
                member.say(f"{len(member.said)} {randomness.random()}".encode())
                if randomness.random() < 0.5:
                    member.session.submit(b"5")
        return time.monotonic() > end

    drive(members, time_is_up, PATIENCE, tick=0.001)


def _missing(journal: Path, members: list[SocketMember]) -> int:
    """Return how many messages are not exactly once in the exported journal, or not in the order
    in which each member said them."""
    export = subprocess.run(
        [sys.executable, "-m", "groupchat", "journal", "export", "--format", "json", str(journal)],
        capture_output=True,
        check=True,
    )
    events = [json.loads(line) for line in export.stdout.splitlines()]
    said = [(event["name"], event["text"]) for event in events if event["kind"] == "said"]
    return sum(
        _astray(member, [text for name, text in said if name == member.name]) for member in members
    )


def _astray(member: SocketMember, found: list[str]) -> int:
    """Return how many of *member*'s messages are not once, or not in their order, in *found*."""
    said = {text.decode(): place for place, text in enumerate(member.said)}
    missing = {text.decode() for text in member.acknowledged} - set(found)
    places = [said.get(text, -1) for text in found]
    return len(missing) + sum(a >= b for a, b in pairwise([-1, *places]))


def _serve(journal: Path, port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            *[sys.executable, "-m", "groupchat", "serve", "--no-limits"],
            *["--journal", str(journal), str(port)],
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line:70}", end="" if line else "\r", file=sys.stderr, flush=True)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        verdict, missing = soak(arguments.rounds, arguments.seed, Path(folder))
    print(f"{arguments.rounds} kills in {time.monotonic() - began:.0f} s, seed {arguments.seed}.")
    print(f"{verdict}. Not exactly once in the journal: {missing}.")
    for failure in verdict.failures:
        print(failure)
    sys.exit(not verdict.good or bool(missing))


if __name__ == "__main__":
    main()
