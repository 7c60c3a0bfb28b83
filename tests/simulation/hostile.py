"""Somebody who wishes nobody well: junk, copies of what others sent, and other people's addresses.

What lives here: what reaches the server from those who keep to no rules. What must not: what it
does to anybody, which is for the others to notice.

Theory. What an attacker can do to a session without its token, he does here; and he sends in the
name of *victims*, addresses that have proved nothing, and must not be sent more than three times
what came from there. He answers members in the server's name, by guesses at what they have asked.
He has a session of his own, too, and asks in it, from a victim's address,
for much.
"""

from typing import Final

from groupchat.core.sessions.replies import (
    Answer,
    Behind,
    Opened,
    Prove,
    Reply,
    Unknown,
    decode_reply,
)
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from tests.simulation.checker import Checker
from tests.simulation.connection import Connection
from tests.simulation.network import Network
from tests.simulation.world import MILLISECOND, World

__all__ = ["Hostile"]

NONCE: Final = "e" * 16
_WORDS: Final = (b"1 ", b"2 ", b"3 ", b"4", b"5", b"@", b"\x1e", b"\n", b"open 1 main", b"wait=9")


class Hostile:
    """An attacker.

    Args:
        world: drives it.
        network: where the server is.
        checker: is told who may do as he likes.
        think: milliseconds between two attacks, on average.
    """

    def __init__(self, world: World, network: Network, checker: Checker, think: int) -> None:
        self.world = world
        self.network = network
        self._think = think * MILLISECOND
        self._over = False
        self._address = "10.9.0.1:666"
        self._token = self._cookie = ""
        self._number = 0
        self._checker = checker
        self._connection: Connection | None = None
        network.bind(self._address, self._receive)
        for number in range(4):
            checker.account("mallory", f"udp {self._victim(number)}", wild=True)
        checker.account("mallory", f"udp {self._address}", wild=True)
        self._again()

    def end(self) -> None:
        """No more of it."""
        self._over = True

    @staticmethod
    def _victim(number: int) -> str:
        return f"10.8.0.{number}:7"

    def _again(self) -> None:
        self.world.call_later(self.world.between(1, 2 * self._think), self._act)

    def _act(self) -> None:
        if self._over:
            return
        self._again()
        world, send = self.world, self.network.send
        world.counts["attacks"] += 1
        chance = world.below(100)
        if chance < 30:
            send(self._address, self._junk())
        elif chance < 45:
            send(self._address, self._copy())
        elif chance < 60:
            send(self._victim(world.below(2)), Open("main", NONCE).encode())
        elif chance < 65:
            # Two of the victims never sent anything that is not a session's.
            request = world.pick((b"1 Mallory", b"5", b"2 buy", b"4", self._junk()))
            send(self._victim(world.between(2, 3)), request)
        elif chance < 70:
            self._connect()
        elif chance < 80:
            self._forge()
        else:
            self._go_on()

    def _junk(self) -> bytes:
        world = self.world
        if world.chance(0.5):
            return world.draw(world.below(60))
        return b"".join(world.pick(_WORDS) for _ in range(world.between(1, 6)))

    def _copy(self) -> bytes:
        """Return what somebody else sent, perhaps changed."""
        world, lately = self.world, self.network.lately
        if not lately:
            return self._junk()
        copy = bytearray(world.pick(lately))
        if world.chance(0.5):
            copy[world.below(len(copy))] = world.below(256)
        return bytes(copy)

    def _forge(self) -> None:
        """Answer somebody in the server's name, with all but the key."""
        world = self.world
        addresses = [a for a in self.network.receivers if a.startswith("10.0.")]
        if not addresses:
            return
        number, position = world.between(1, 30), world.between(0, 60)
        line = b"%d 5 s M0: I resign\n" % position
        stop = Mark(position + 1)
        replies: tuple[Reply, ...] = (
            Answer(number, (), Mark(position), stop, position + 1, body=line, key=self._token),
            Answer(number, ("done",), Mark(0), stop, position + 1, body=line),
            Opened("f" * 32, key=self._token),
            Prove("f" * 16),
            Unknown(number),
            Behind(number, number + 5),
        )
        self.network.forge(world.pick(addresses), world.pick(replies).encode())

    def _connect(self) -> None:
        """Open a connection, and say nothing, or junk."""

        def said() -> None:
            if connection.state == "open" and self.world.chance(0.5):
                connection.send(b"6" + self._junk().replace(b"\n", b""))
            elif connection.state == "open":
                connection.close()

        connection = Connection(self.network, self._address, lambda *_: None, said)

    def _go_on(self) -> None:
        """Get a session; then use it to have a victim sent much."""
        if not self._token:
            self.network.send(self._address, Open("main", NONCE, self._cookie).encode())
            return
        self._number += 1
        commands = (b"1 Eve",) if self.world.chance(0.2) else (b"2 hi",)
        address = self._address if self.world.chance(0.5) else self._victim(self.world.below(2))
        cookie = self._cookie if address == self._address else ""
        ask = Ask(self._token, self._number, Mark(0), commands, cookie=cookie)
        self.network.send(address, ask.encode())

    def _receive(self, data: bytes, _: int) -> None:
        reply = decode_reply(data, NONCE) or decode_reply(data, self._token)
        if isinstance(reply, Prove):
            self._cookie = reply.cookie
        elif isinstance(reply, Opened) and not self._token:
            self._token = reply.token
            self._checker.account("eve", self._checker.sender_of(reply.token), wild=True)
