"""Members by the plain protocol, which cannot tell a lost reply from one that says nothing.

What lives here: members whose link is good: datagrams on the server's own machine, and
connections. What must not: what they are told, which is compared by
:class:`tests.simulation.readers.PlainReader`.

Theory. A member asks for one thing at a time and waits for the reply, for as long as the
server lives that has got the request. If that is killed, he does not know what came of it, and
goes on; if it stops by itself, nothing came of it. By a connection he is a member until it ends.
"""

from typing import Final

from groupchat.core.plain import ILLEGAL_REQUEST, NOT_STORED, REPLY_BYTES, TOO_MANY
from groupchat.core.sessions.replies import DONE
from tests.simulation.checker import Account, Checker
from tests.simulation.connection import Connection
from tests.simulation.disk import FAILURES
from tests.simulation.network import Network
from tests.simulation.readers import PlainReader
from tests.simulation.world import MILLISECOND, SECOND, Violation, World

__all__ = ["PlainMember"]

PATIENCE: Final = 60 * SECOND
"""After which a request is given up although the server lives: it asked too much."""

_REFUSALS: Final = {ILLEGAL_REQUEST: "refused", NOT_STORED: "not-stored", TOO_MANY: "too-many"}


class PlainMember:
    """One who talks, by the plain protocol.

    Args:
        world: drives it.
        network: where the server is.
        checker: watches it.
        number: tells it from the others.
        think: milliseconds between two things that it does, on average.
        by_connection: whether that is how it talks.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        checker: Checker,
        number: int,
        think: int,
        by_connection: bool,
    ) -> None:
        self.world = world
        self.network = network
        self.checker = checker
        self.who = f"{'t' if by_connection else 'u'}{number}"
        self.peaceful = False
        """Whether it only wants to be here and be told everything."""
        self.by_connection = by_connection
        self._number = number
        self._think = think * MILLISECOND
        self._connection: Connection | None = None
        self._account = Account(self.who)
        self._reader = PlainReader(checker.truth, "")
        self._joined = False
        self._request = ""  # under way
        self._since = self._failures = 0
        self._sent_to: object = None  # the server that it was sent to
        self._counter = 0
        self._last_said = False
        if not by_connection:
            self._address = f"127.0.0.1:{50_000 + number}"
            network.bind(self._address, self._receive)
            self._become(f"udp {self._address}")
        self._again()

    @property
    def settled(self) -> bool:
        """Whether it has everything that there is to be had, and nothing is left to do."""
        return self._joined and self._last_said and not self._request and self._reader.has_all

    @property
    def sender(self) -> str:
        """Who he is in the log; empty without a connection."""
        return "" if self.by_connection and self._connection is None else self._reader.sender

    def server_gone(self, *, stopped: bool = False) -> None:
        """The server is gone. If it was *stopped*, all that it has carried out it has answered."""
        if self.by_connection:
            return  # the connection breaks, and with it all ends
        truth, sender = self.checker.truth, self._reader.sender
        unanswered = bool(self._request) and not stopped
        self._request = ""
        joined = sender in truth.members
        if joined and not self._joined:
            self._reader.joined()
        self._joined = joined
        if joined:
            self._reader.server_gone(unanswered=unanswered)

    def break_connection(self) -> None:
        """Have its connection break, if it has one."""
        if self._connection is not None:
            self._connection.broken()

    def _become(self, sender: str) -> None:
        self.checker.accounts[sender] = self._account
        self._reader = PlainReader(self.checker.truth, sender)
        self._joined = False
        self._request = ""

    def _connect(self) -> None:
        address = f"10.1.0.{self._number}:{50_000 + self.world.below(3)}"
        connection = Connection(
            self.network, address, self._receive, lambda: self._changed(connection)
        )
        self._connection = connection

    def _changed(self, connection: Connection) -> None:
        if connection is not self._connection:
            return
        if connection.state == "open":
            self._become(connection.sender)
        else:
            self._connection = None
            self._joined, self._request = False, ""

    # What it does.

    def _again(self) -> None:
        wait = self.world.between(1, 2 * self._think)
        if self.by_connection and not self.peaceful and self.world.chance(0.2):
            wait += 4 * SECOND  # so that much waits for him
        self.world.call_later(wait, self._act)

    def _act(self) -> None:
        self._again()
        if self._request:
            if self.world.now - self._since > PATIENCE:
                self.world.counts["plain requests given up"] += 1
                self.server_gone()
                self.break_connection()
            return
        if self.by_connection and self._connection is None:
            self._connect()
        if self._connection is None or self._connection.state == "open":
            self._ask(self._wish())

    def _wish(self) -> str:
        chance = self.world.below(100)
        if not self._joined:
            if chance < 5 and not self.peaceful:
                return "5"
            return f"1 {self._name()}"
        if self.peaceful:
            if self._last_said:
                return "5"
            self._last_said = True
            return f"2 {self._text(10)}"
        if chance < 45:
            return f"2 {self._text(self.world.below(100))}"
        if chance < 50:
            return f"2 {self._text(self.world.between(900, 3_000))}"
        if chance < 54:
            return f"3 {self._name()}"
        if chance < 56:
            return "4"
        if chance < 58:
            return "6"
        return "5"

    def _name(self) -> str:
        self._counter += 1
        return f"{self.who.upper()} {self._counter}"

    def _text(self, size: int) -> str:
        self._counter += 1
        return f"{self.who}.{self._counter} {'p' * size}"

    def _ask(self, request: str) -> None:
        if self.network.service is None:
            return
        self._request, self._since = request, self.world.now
        self._failures = self._count_failures()
        self._account.submit(request)
        if self._connection is not None:
            self._connection.send(request.encode())
        else:
            self.network.send(self._address, request.encode())

    # What it is told.

    def _receive(self, reply: bytes, horizon: int) -> None:
        request, self._request = self._request, ""
        if not request:
            raise Violation(f"{self.who} was told {reply!r}, unasked")
        word = _REFUSALS.get(reply, DONE)
        self.world.counts[f"plain {word}"] += 1
        if request == "6":
            self._account.allowed["6"] -= 1
            if word == DONE:
                raise Violation(f"{self.who} was answered {reply!r}")
            return
        self._account.result(request, word, horizon)
        if word != DONE:
            if word == "not-stored" and request.startswith("2 ") and self.peaceful:
                self._last_said = False
            if word == "refused" and self._joined:
                self._check_refusal(request)
            return
        self._done(request, reply, horizon)

    def _check_refusal(self, request: str) -> None:
        """He was refused although he thinks that he is a member; was he sent away?"""
        here = self._reader.sender in self.checker.truth.members
        # Or was he to be, together with his request, and that could not be written down?
        if request[0] != "3" and here and self._failures == self._count_failures():
            raise Violation(f"{self.who} was refused {request!r}")
        self._joined = here

    def _count_failures(self) -> int:
        return sum(self.world.counts[kind] for kind in FAILURES)

    def _done(self, request: str, reply: bytes, horizon: int) -> None:
        reader, truth = self._reader, self.checker.truth
        if request.startswith("1 "):
            self._joined = True
            reader.joined()
            position = truth.stays[reader.sender][-1].joined
            if horizon == position + 1 and truth.end == horizon:
                expected = ", ".join(truth.roster(reader.sender, position)).encode()
                if reply != expected:
                    raise Violation(f"{self.who} joined {expected!r}, and was told {reply!r}")
        elif request == "4":
            self._joined = False
            if reply:
                raise Violation(f"{self.who} left, and was told {reply!r}")
        else:
            lines = reply.split(b"\n") if reply else []
            if not self.by_connection and len(reply) > REPLY_BYTES and len(lines) > 1:
                raise Violation(f"{self.who} was sent {len(reply)} bytes")
            self.world.counts["lines told"] += len(lines)
            reader.told(lines, horizon)
