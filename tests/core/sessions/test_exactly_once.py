"""Sessions over a network that loses, repeats, delays and reorders, with a server that is killed
again and again, may forget what is not in its log, and sometimes cannot write that: every message
is carried out once, and told to everybody else once, in one order.
"""

from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from groupchat.core import Group
from groupchat.core.chat import Chat
from groupchat.core.records import Record
from groupchat.core.sessions.replies import Answer, Prove, decode_reply
from groupchat.core.sessions.requests import Ask
from tests.core.sessions.desk import NONCE, Desk, Visitor

NAMES = ["Al", "Bo", "Cy"]
VISITORS = st.integers(0, 2)
TEXTS = st.sampled_from(["x", "y" * 40, "z" * 330])


@define(eq=False)
class Link:
    """What a visitor has under way: one request at a time, sent again and again."""

    visitor: Visitor
    queue: list[bytes] = field(factory=list)
    current: Ask | None = None
    said: list[bytes] = field(factory=list)
    """What the server has acknowledged, in that order."""
    moves: int = 0

    def next(self) -> bytes:
        """Return what to send now."""
        if self.current is None:
            commands, self.queue = self.queue[:3], self.queue[3:]
            self.current = self.visitor.request(*commands)
        return self.current.encode()

    def receive(self, data: bytes) -> None:
        """Take a reply, which may be any one, late or repeated."""
        reply = decode_reply(data, self.visitor.token or NONCE)
        if isinstance(reply, Prove) and self.current is not None:
            self.current = evolve(self.current, cookie=reply.cookie)
        if isinstance(reply, Answer) and self.current and reply.number == self.current.number:
            commands, self.current = self.current.commands, None
            assert len(reply.results) == len(commands)
            for command, result in zip(commands, reply.results, strict=True):
                assert result in {"done", "not-stored"}
                (self.said if result == "done" else self.queue).append(command)
            self.visitor.take(reply)


@define
class Packet:
    """A datagram on its way: to the server, from that address, or back."""

    link: Link
    address: str
    data: bytes
    to_server: bool


class LossyNetwork(RuleBasedStateMachine):
    @initialize(page_bytes=st.sampled_from([1, 60, 65_536]), datagram=st.sampled_from([300, 1_200]))
    def everybody_joins(self, page_bytes: int, datagram: int) -> None:
        self.desk = Desk(page_bytes)
        self.links = [
            Link(Visitor(self.desk, f"udp {name}", datagram).open().joined(name)) for name in NAMES
        ]
        self.packets: list[Packet] = []
        self.count = 0

    @rule(number=VISITORS, text=TEXTS)
    def one_says_something(self, number: int, text: str) -> None:
        self.count += 1
        self.links[number].queue.append(f"2 {self.count} {text}".encode())

    @rule(text=TEXTS)
    def a_plain_member_says_something(self, text: str) -> None:
        if not self.desk.full:
            self.desk.plain("udp plain", text)

    @rule(number=VISITORS)
    def one_sends_or_sends_again(self, number: int) -> None:
        link = self.links[number]
        self.packets.append(Packet(link, link.visitor.address, link.next(), to_server=True))

    @rule(which=st.integers(0, 20), repeated=st.booleans())
    def one_arrives(self, which: int, repeated: bool) -> None:
        if self.packets:
            which %= len(self.packets)
            self.deliver(self.packets[which])
            if not repeated:
                del self.packets[which]

    @rule(which=st.integers(0, 20))
    def one_is_lost(self, which: int) -> None:
        if self.packets:
            del self.packets[which % len(self.packets)]

    @rule(number=VISITORS)
    def one_gets_another_address(self, number: int) -> None:
        link = self.links[number]
        link.moves += 1
        link.visitor.address = f"{link.visitor.address.partition('#')[0]}#{link.moves}"

    @rule()
    def the_server_is_killed_and_starts_again(self) -> None:
        self.desk.restart()

    @rule(full=st.booleans())
    def the_disk_is_full_or_has_room(self, full: bool) -> None:
        self.desk.full = full

    @rule()
    def a_minute_passes(self) -> None:
        self.desk.now += 60_000

    def deliver(self, packet: Packet) -> None:
        link = packet.link
        if not packet.to_server:
            if packet.address == link.visitor.address:
                link.receive(packet.data)
            return
        reply = self.desk.answer(packet.data, packet.address, link.visitor.datagram)
        if isinstance(reply, bytes):
            self.packets.append(Packet(link, packet.address, reply, to_server=False))

    def teardown(self) -> None:
        """The network is well again, and everybody gets everything."""
        if not hasattr(self, "desk"):
            return
        self.packets.clear()
        self.desk.full = False
        for link in [*self.links, *self.links]:
            rounds = 0
            while link.queue or link.current or rounds < 1 or self.is_behind(link):
                rounds += 1
                assert rounds < 2_000
                self.packets.append(Packet(link, link.visitor.address, link.next(), to_server=True))
                while self.packets:
                    self.deliver(self.packets.pop())
        for name, link in zip(NAMES, self.links, strict=True):
            said_by_him = f" s {name}: ".encode()
            own_join = f" j {name} has joined".encode()
            joined = next(n for n, line in enumerate(self.all()) if line.endswith(own_join))
            others = self.all(but=link.visitor.sender)
            assert link.visitor.told == others[joined + 1 :]
            said = [line.partition(said_by_him)[2] for line in self.all() if said_by_him in line]
            assert said == [command.removeprefix(b"2 ") for command in link.said]

    def is_behind(self, link: Link) -> bool:
        return link.visitor.mark.position < self.desk.chat.group.timeline.end

    def all(self, but: str = "") -> list[bytes]:
        """Return all that the log holds, as lines with stamps, *but* those of that sender."""
        chat = Chat(Group())
        chat.group.timeline.open(author=-2)  # reads nothing, so everything is kept
        for line in self.desk.log:
            chat.apply(Record.decode(line))
        desk = Desk()
        desk.chat = chat
        return desk.lines(0, but)


TestLossyNetwork = LossyNetwork.TestCase
TestLossyNetwork.settings = settings(max_examples=150, stateful_step_count=60)
