"""The group beside a model so simple that it can be seen to be right: a list of strings for each
member, to which every event is copied. Hypothesis looks for a conversation in which they differ.
"""

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from groupchat.core import (
    Command,
    Group,
    Join,
    Leave,
    News,
    Refused,
    Rename,
    Roster,
    Send,
    Update,
    encode,
    is_legal_text,
    name_key,
    render,
    tidy_name,
)
from groupchat.core.timeline import Timeline
from tests.core.strategies import legal_names, wild_names, wild_texts

SENDERS = range(5)
BUDGETS = st.none() | st.integers(0, 120)
NAMES = (
    st.sampled_from(["Alice", "alice", "Bob", "Zo\u00eb", "Zoe\u0308"]) | legal_names | wild_names
)


@define
class ModelMember:
    name: str
    roster: list["ModelMember"]
    pending: list[str] = field(factory=list)
    here: bool = True


class Model:
    """What the group must do, done the slow way."""

    def __init__(self) -> None:
        self.members: dict[int, ModelMember] = {}

    def apply(self, command: Command, sender: int, budget: int | None) -> str | None:
        """Return the reply's text, or None for a refusal."""
        member = self.members.get(sender)
        match command:
            case Join() if member is None:
                name = self.free(command.name)
                if name is None:
                    return None
                self.happened(f"{name} has joined", None)
                member = ModelMember(name, list(reversed(self.members.values())))
                self.members[sender] = member
                return self.names(member, budget)
            case Update() if member:
                return self.answer(member, budget)
            case Send() if member and is_legal_text(command.text):
                reply = self.answer(member, budget)
                self.happened(f"{member.name}: {command.text}", member)
                return reply
            case Rename() if member:
                name = self.free(command.name)
                if name is None:
                    return None
                reply = self.answer(member, budget)
                self.happened(f"{member.name} changed his name to {name}", member)
                member.name = name
                return reply
            case Leave() if member:
                del self.members[sender]
                member.here = False
                self.happened(f"{member.name} has left the group", None)
                return ""
        return None

    def free(self, name: str) -> str | None:
        tidy = tidy_name(name)
        used = {name_key(member.name) for member in self.members.values()}
        return None if tidy is None or name_key(tidy) in used else tidy

    def happened(self, line: str, author: ModelMember | None) -> None:
        for member in self.members.values():
            if member is not author:
                member.pending.append(line)

    def answer(self, member: ModelMember, budget: int | None) -> str:
        return self.names(member, budget) or self.cut(member.pending, "\n", budget)

    def names(self, member: ModelMember, budget: int | None) -> str:
        untold = [other for other in member.roster if other.here]
        names = [other.name for other in untold]
        reply = self.cut(names, ", ", budget)
        member.roster = untold[len(untold) - len(names) :]
        return reply

    @staticmethod
    def cut(waiting: list[str], separator: str, budget: int | None) -> str:
        """Take as many strings as fit, but at least one, off *waiting*."""
        taken = waiting[:1]
        while len(taken) < len(waiting):
            longer = separator.join(waiting[: len(taken) + 1])
            if budget is not None and len(longer.encode()) > budget:
                break
            taken = waiting[: len(taken) + 1]
        del waiting[: len(taken)]
        return separator.join(taken)


class GroupBesideModel(RuleBasedStateMachine):
    """Both get the same commands, and must give the same replies."""

    @initialize(page_bytes=st.sampled_from([1, 20, 100, 65_536]))
    def start(self, page_bytes: int) -> None:
        self.group = Group(Timeline(page_bytes))  # so that short conversations fill pages
        self.model = Model()
        self.time = 0

    @rule(
        sender=st.sampled_from(SENDERS),
        command=st.one_of(
            st.builds(Join, NAMES),
            st.builds(Send, wild_texts | st.text("xyz", min_size=1)),
            st.builds(Rename, NAMES),
            st.just(Update()),
        ),
        budget=BUDGETS,
    )
    def one_asks(self, sender: int, command: Command, budget: int | None) -> None:
        self.both(command, sender, budget)

    @rule(sender=st.sampled_from(SENDERS), name=legal_names, text=st.text("xyz", min_size=1))
    def one_is_here_and_writes(self, sender: int, name: str, text: str) -> None:
        self.both(Join(name), sender, None)
        self.both(Send(text), sender, 1)

    @rule(sender=st.sampled_from(SENDERS))
    def one_leaves(self, sender: int) -> None:
        self.both(Leave(), sender, None)

    def both(self, command: Command, sender: int, budget: int | None) -> None:
        self.time += 1
        expected = self.model.apply(command, sender, budget)
        reply = self.group.apply(command, sender, time=self.time, budget=budget)
        if expected is None:
            assert isinstance(reply, Refused)
            return
        assert isinstance(reply, Roster | News)
        assert b"".join(encode(reply)).decode() == expected
        if isinstance(reply, News) and expected:
            assert [render(event).decode() for event in reply] == expected.split("\n")
            times = [event.time for event in reply]
            assert times == sorted(times)
            assert times[-1] < self.time
            positions = [event.position for event in reply]
            assert positions == sorted(set(positions))

    @invariant()
    def they_agree_on_who_is_here(self) -> None:
        names = [member.name for member in self.model.members.values()]
        assert list(self.group) == names[::-1]
        assert all((sender in self.group) == (sender in self.model.members) for sender in SENDERS)

    def teardown(self) -> None:
        """Everybody reads to the end."""
        for sender, member in list(self.model.members.items()):
            while member.pending or any(other.here for other in member.roster):
                self.both(Update(), sender, 50)
            self.both(Update(), sender, None)


TestGroupBesideModel = GroupBesideModel.TestCase
TestGroupBesideModel.settings = settings(max_examples=200, stateful_step_count=40)
