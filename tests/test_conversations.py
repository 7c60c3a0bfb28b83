"""Random conversations over real UDP and TCP at once, against a naive model.

Every member sees every later event but his own, in one order, once; however his transport cuts
what waits for him.
"""

import random
import threading
from collections.abc import Iterator
from typing import Final

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from groupchat.core import ILLEGAL_REQUEST
from groupchat.core.plain import REPLY_BYTES
from tests.processes import DEADLINE, Member, RunningServer, serving

CONVERSATIONS: Final = 200
"""Random conversations to try; each has 20 to 80 requests of up to 6 members."""

STORM_MEMBERS: Final = 8
STORM_REQUESTS: Final = 250
"""Members who ask all at the same time, and requests of each."""


@pytest.fixture(scope="module")
def hall() -> Iterator[RunningServer]:
    """The one server of this module; whoever comes leaves at the end of his conversation."""
    with serving("--no-limits", "0") as running:
        yield running


@define(eq=False)
class Talker:
    """A member as the naive model has him, and the real one."""

    member: Member
    budget: int | None
    name: str | None = None
    pending: list[str] = field(factory=list)

    def take(self) -> bytes:
        """Take as many lines as one reply holds off what is pending."""
        taken = self.pending[:1]
        for line in self.pending[1:]:
            if self.budget and len("\n".join([*taken, line]).encode()) > self.budget:
                break
            taken.append(line)
        del self.pending[: len(taken)]
        return "\n".join(taken).encode()


class Model:
    """The naive model: a list of pending strings a member."""

    def __init__(self, talkers: list[Talker]) -> None:
        self.talkers = talkers
        self.roster: list[Talker] = []  # the newest first

    def ask(self, talker: Talker, kind: str, argument: str) -> bytes:
        """Return the reply that *talker* must get."""
        name = talker.name
        taken = argument.lower() in [(other.name or "").lower() for other in self.roster]
        if (kind == "1") == (name is not None) or (kind in "13" and taken):
            return ILLEGAL_REQUEST
        if kind == "1":
            self._tell(talker, f"{argument} has joined")
            reply = ", ".join(str(other.name) for other in self.roster).encode()
            self.roster.insert(0, talker)
            talker.name, talker.pending = argument, []
            return reply
        if kind == "4":
            self._tell(talker, f"{name} has left the group")
            self.roster.remove(talker)
            talker.name, talker.pending = None, []
            return b""
        if kind == "2":
            self._tell(talker, f"{name}: {argument}")
        elif kind == "3":
            self._tell(talker, f"{name} changed his name to {argument}")
            talker.name = argument
        return talker.take()

    def _tell(self, talker: Talker, line: str) -> None:
        for other in self.roster:
            if other is not talker:
                other.pending.append(line)


NAMES = st.sampled_from("Alice ALICE alice Bob Zoë ZOË Δημήτρης 名前 🦊".split())
TEXTS = st.one_of(
    st.sampled_from(["hi", "hi\tthere", "Bob: I resign", "Alice has joined", "👨\u200d👩\u200d👧"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30),
    st.integers(1, 4_000).map(lambda size: "x" * size),
)
REQUESTS = st.one_of(
    st.tuples(st.just("2"), TEXTS),
    st.tuples(st.just("2"), TEXTS),  # twice, so that conversations are about talking
    st.tuples(st.sampled_from("13"), NAMES),
    st.tuples(st.sampled_from("455"), st.just("")),
)
TRANSPORTS = st.lists(st.sampled_from(["udp", "tcp"]), min_size=2, max_size=6)


@settings(max_examples=CONVERSATIONS)
@given(
    transports=TRANSPORTS,
    joined=st.integers(0, 6),
    requests=st.lists(st.tuples(st.integers(0, 5), REQUESTS), min_size=20, max_size=80),
)
def test_every_member_sees_every_later_event_but_his_own_in_one_order_once(
    hall: RunningServer,
    transports: list[str],
    joined: int,
    requests: list[tuple[int, tuple[str, str]]],
) -> None:
    with hall.sockets.pop_all():  # the sockets of the conversation before
        pass
    talkers = [
        Talker(hall.member(transport), REPLY_BYTES if transport == "udp" else None)
        for transport in transports
    ]
    model = Model(talkers)

    def ask(talker: Talker, kind: str, argument: str = "") -> None:
        request = f"{kind} {argument}" if argument else kind
        assert talker.member.ask(request.encode()) == model.ask(talker, kind, argument)

    try:
        for number, talker in enumerate(talkers[:joined]):
            ask(talker, "1", f"Member {number}")
        for number, (kind, argument) in requests:
            ask(talkers[number % len(talkers)], kind, argument)
        for talker in talkers:
            while talker.pending:
                ask(talker, "5")
            ask(talker, "5")
    finally:
        for talker in talkers:
            talker.member.ask(b"4")


def test_members_who_all_ask_at_once_see_one_order(hall: RunningServer) -> None:
    watcher = hall.tcp()
    assert watcher.ask(b"1 Watcher") == b""
    views: dict[str, list[str]] = {}

    def talk(number: int, member: Member) -> None:
        name, dice, view = f"M{number}", random.Random(number), []
        member.ask(f"1 {name}".encode())
        for count in range(STORM_REQUESTS):
            request = (
                f"2 {name} {count} {'x' * dice.randrange(400)}" if dice.random() < 0.5 else "5"
            )
            view.append(member.ask(request.encode()).decode())
        together.wait(DEADLINE)
        while news := member.ask(b"5").decode():
            view.append(news)
        views[name] = "\n".join(filter(None, view)).split("\n")

    together = threading.Barrier(STORM_MEMBERS)
    members = [hall.member("udp" if number % 2 else "tcp") for number in range(STORM_MEMBERS)]
    threads = [
        threading.Thread(target=talk, args=(number, member))
        for number, member in enumerate(members)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order = watcher.ask(b"5").decode().split("\n")
    for name, view in views.items():
        later = order[order.index(f"{name} has joined") + 1 :]
        assert view == [line for line in later if not line.startswith(f"{name}: ")]
    assert len(views) == STORM_MEMBERS
    for member in [watcher, *members]:
        assert member.ask(b"4") == b""
