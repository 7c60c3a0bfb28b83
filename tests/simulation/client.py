"""Members by sessions, with the real client's half.

What lives here: a program that runs :class:`groupchat.core.sessions.client.SessionClient` as one
should: it writes down what the client says is to be written down, before it sends anything, and
goes on by that when it has crashed. What must not: whether what it is told is right, which is the
checker's.

Theory. What a member has shown, and where it stands, are written down in one step: a crash finds
both or neither. What it had submitted and not yet sent dies with it. By datagrams it gives up an
address whenever it likes; a connection that has broken, or says nothing, it makes anew.
"""

from typing import Final

from groupchat.core.sessions.client import (
    Happening,
    Lost,
    NoSessions,
    Ready,
    Result,
    Saved,
    Seen,
    SessionClient,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.messages import DATAGRAM_BYTES, DONE
from tests.simulation.checker import Account, Checker
from tests.simulation.connection import Connection
from tests.simulation.network import Network
from tests.simulation.readers import SessionReader
from tests.simulation.world import MILLISECOND, SECOND, Call, Life, Violation, World

__all__ = ["Member"]

SILENCE: Final = 8 * SECOND
"""After which a connection that owes an answer is given up."""

_FILLERS: Final = ("", "", "ok ", "hm, well, I do not know ", "\u00e4\u00f6\u00fc \u6f22\u5b57 \U0001f600 ")


class Member:
    """One who talks, by sessions.

    Args:
        world: drives it.
        network: where the server is.
        checker: watches it.
        number: tells it from the others.
        think: milliseconds between two things that it does, on average.
    """

    def __init__(
        self, world: World, network: Network, checker: Checker, number: int, think: int
    ) -> None:
        self.world = world
        self.network = network
        self.checker = checker
        self.who = f"m{number}"
        self.peaceful = False
        """Whether it only wants to be here and be told everything."""
        self.reader: SessionReader | None = None
        self._number = number
        self._in_turn = world.chance(0.25)
        self._think = think * MILLISECOND
        self._saved: Saved | None = None  # on its own disk, like the reader and the account
        self._account = Account(self.who)
        self._texts: dict[str, str] = {}  # long ones, by their last word
        self._names = self._said = self._ports = 0
        self._client: SessionClient | None = None
        self._life = Life()
        self._address = ""
        self._connection: Connection | None = None
        self._wake: Call | None = None
        self._owed_since: int | None = None  # an answer, by the connection
        self._joined = self._joining = False
        self._names_checked = False
        self._asked_at = 0  # when the truth ended there
        self._last_said = ""
        self.start()

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._client is not None

    @property
    def by_connection(self) -> bool:
        """Whether it talks by a connection."""
        return self._connection is not None

    @property
    def settled(self) -> bool:
        """Whether it has everything that there is to be had, and nothing is left to do."""
        reader, client = self.reader, self._client
        return (
            client is not None
            and reader is not None
            and client.idle
            and reader.has_all
            and self._names_checked
        )

    # Its process.

    def start(self) -> None:
        """Start, and go on with what is written down."""
        if self._client is not None:
            return
        self.world.note(self.who, b"starts")
        self._life = Life()
        self._begin(self._saved)
        self._again()

    def crash(self) -> None:
        """Stop at once."""
        if self._client is None:
            return
        self.world.note(self.who, b"crashes")
        self.world.counts["clients crashed"] += 1
        self._life.over = True
        self._client = self._wake = None
        self._leave_network()

    def _begin(self, saved: Saved | None) -> None:
        by_connection = self.world.chance(0.3)
        self._client = SessionClient(not by_connection, saved, in_turn=self._in_turn)
        self._joined, self._joining = False, False
        self._enter_network(by_connection)

    # Its network.

    def move(self) -> None:
        """Go on from another address, or by another transport."""
        if self._client is None:
            return
        by_connection = self.world.chance(0.35)
        self.world.counts["moves"] += 1
        self._leave_network()
        self._enter_network(by_connection)
        self._client.reconnect(datagram=not by_connection)
        self._pump()

    def break_connection(self) -> None:
        """Have its connection break, if it has one."""
        if self._connection is not None:
            self._connection.broken()

    def _enter_network(self, by_connection: bool) -> None:
        self._ports += 1
        self._address = f"10.0.{self.world.below(3)}.{self._number}:{40_000 + self._ports}"
        self._owed_since = None
        if by_connection:
            self.world.counts["connections"] += 1
            connection = Connection(
                self.network, self._address, self._receive, lambda: self._changed(connection)
            )
            self._connection = connection
        else:
            self.network.bind(self._address, self._receive)

    def _leave_network(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            self.network.unbind(self._address)
        else:
            connection.close()

    def _changed(self, connection: Connection) -> None:
        if connection is not self._connection or self._client is None:
            return
        if connection.state == "open":
            self._pump()
        else:
            self._connection = None
            self.world.call_later(
                self.world.between(5, 800) * MILLISECOND, self._reconnect, self._life
            )

    def _reconnect(self) -> None:
        if self._client is not None and self._connection is None:
            by_connection = self.world.chance(0.5)
            self.network.unbind(self._address)
            self._enter_network(by_connection)
            self._client.reconnect(datagram=not by_connection)
            self._pump()

    @property
    def _is_reachable(self) -> bool:
        if self._connection is None:
            return self._address in self.network.receivers
        return self._connection.state == "open"

    # What goes out and comes in.

    def _pump(self) -> None:
        """Send what is to be sent, and be woken when there is more."""
        client, now = self._client, self.world.now // MILLISECOND
        if client is None or not self._is_reachable:
            return
        while True:
            due = client.next_time()
            if due is None or due > now:
                break
            request = client.send(now)
            if request is None:
                break
            self._write_down(client)
            self._transmit(request)
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if due is not None:
            wait = max(0, due * MILLISECOND - self.world.now)
            self._wake = self.world.call_later(wait, self._pump, self._life)

    def _write_down(self, client: SessionClient) -> None:
        saved = client.saved()
        if saved is None:
            return
        if self._saved is None or saved.token != self._saved.token:
            if self.reader is not None and self.reader.sender in self.checker.truth.stays:
                self._account.forgotten()
                self.world.counts["sessions forgotten"] += 1
            sender = self.checker.sender_of(saved.token)
            self.checker.accounts[sender] = self._account
            self.reader = SessionReader(self.checker.truth, self.who, sender)
            self.checker.readers[sender] = self.reader
        self._saved = saved

    def _transmit(self, request: bytes) -> None:
        if self._connection is not None:
            if self._owed_since is None:
                self._owed_since = self.world.now
            self._connection.send(request)
            return
        if len(request) > DATAGRAM_BYTES:
            raise Violation(f"{self.who} sent a datagram of {len(request)} bytes")
        self.network.send(self._address, request)

    def _receive(self, data: bytes, horizon: int) -> None:
        client = self._client
        if client is None:
            return
        self._owed_since = None
        happenings = client.receive(data, self.world.now // MILLISECOND)
        over = False
        for happening in happenings:
            over = over or isinstance(happening, Lost | NoSessions)
            self._happen(happening, horizon)
        if over:
            self._end_session()
            return
        self._write_down(client)
        if self.reader is not None and self._saved is not None:
            self.reader.come_to(client.position, horizon)
        self._pump()

    # What is told.

    def _happen(self, happening: Happening, horizon: int) -> None:
        reader = self.reader
        if isinstance(happening, Ready):
            self.world.counts["sessions resumed" if happening.resumed else "sessions"] += 1
            return
        if isinstance(happening, Lost):
            self._lost()
            return
        if isinstance(happening, NoSessions):
            # Three replies to damaged requests look like a server of another kind.
            if not (self.world.counts["datagrams damaged"] or self.world.counts["datagrams cut"]):
                raise Violation(f"{self.who} was told that there are no sessions: {happening.why}")
            self.world.counts["sessions given up"] += 1
            return
        assert reader is not None
        if isinstance(happening, Told) and happening.kind == "e":
            if not self.world.counts["rows not readable"]:
                raise Violation(f"{self.who} was told {happening}")
        elif isinstance(happening, Told):
            self.world.counts["events told"] += 1
            reader.told(happening, horizon)
        elif isinstance(happening, Result):
            self._result(happening, reader, horizon)
        elif isinstance(happening, Seen):
            self.world.counts["asked how far all are"] += 1
            if happening.member:
                self.checker.seen(happening.position, reader, horizon)
        elif isinstance(happening, WhoIsHere):
            self.world.counts["asked who is here"] += 1
            if happening.member:
                now = self.peaceful and self._asked_at == self.checker.truth.end
                self.checker.who_is_here(happening.names, reader, now=now)
                self._names_checked = now

    def _result(self, result: Result, reader: SessionReader, horizon: int) -> None:
        request, word = result.command.decode(), result.word
        self.world.counts[f"result {word}"] += 1
        if not request or request.startswith("~"):
            return  # asked for before a crash, and all that is known of it
        if request.startswith("+"):
            request = self._texts[request.rpartition(" ")[2]]
        self._account.result(request, word, horizon)
        if request.startswith("1 "):
            self._joining = False
        if word == DONE:
            if request.startswith("1 "):
                self._joined = True
                reader.joined(horizon)
            elif request == "4":
                self._joined = False
                reader.left()
        elif word == "not-a-member":
            self._joined = False
        elif word == "already-a-member":
            self._joined = True
        elif word == "not-stored" and (self.peaceful or self.world.chance(0.8)):
            self._submit(request)

    def _lost(self) -> None:
        """The server does not know the session any more. It may forget it when its member has
        left, or when nothing has ever been done by it."""
        assert self.reader is not None
        if self.reader.sender in self.checker.truth.members:
            raise Violation(f"{self.who} is a member, and the server does not know its session")
        self.world.counts["sessions lost"] += 1

    def _end_session(self) -> None:
        self._saved = None
        self._leave_network()
        self._life.over = True
        self._client = None
        self._life = Life()
        self._begin(None)
        self._again()
        self._pump()

    # What it does.

    def _again(self) -> None:
        wait = self.world.between(1, 2 * self._think)
        self.world.call_later(wait, self._act, self._life)

    def _act(self) -> None:
        client = self._client
        if client is None:
            return
        if self._owed_since is not None and self.world.now - self._owed_since > SILENCE:
            self.break_connection()
        if self.peaceful:
            self._act_peacefully(client)
        elif not self._joined and not self._joining:
            self._join()
        else:
            self._act_at_will(client)
        self._pump()
        self._again()

    def _act_peacefully(self, client: SessionClient) -> None:
        if not client.idle:
            return
        if not self._joined:
            if not self._joining:
                self._join()
        elif not self._last_said:
            self._last_said = self._text(20)
            self._submit(f"2 {self._last_said}")
        elif self.reader is not None and self.reader.has_all:
            self._names_checked = False
            self._asked_at = self.checker.truth.end
            client.ask_who()
        else:
            self._submit("5")

    def _act_at_will(self, client: SessionClient) -> None:
        world = self.world
        chance = world.below(100)
        if chance < 50:
            self._submit(f"2 {self._text(world.below(90))}")
        elif chance < 55:
            for _ in range(world.between(2, 12)):
                self._submit(f"2 {self._text(world.below(60))}")
        elif chance < 61:
            self._submit(f"2 {self._text(world.between(900, 3_800))}")
        elif chance < 64:
            self._submit(f"3 {self._name()}")
        elif chance < 66:
            self._submit("4")
        elif chance < 67:
            self._submit("4")
            self._join()
        elif chance < 69:
            self._submit("2 \x07")
        elif chance < 73:
            client.ask_who()
        elif chance < 79:
            client.ask_seen()
        elif chance < 81:
            client.acknowledge()
        elif chance < 88 and not self._in_turn:
            client.listen(world.pick((0, 1, 2, 5)))
        elif chance < 93 and not self._in_turn:
            client.follow()
        else:
            self._submit("5")

    def _join(self) -> None:
        self._joining = True
        self._submit(f"1 {self._name()}")

    def _submit(self, request: str) -> None:
        client = self._client
        assert client is not None
        self._account.submit(request)
        client.submit(request.encode())

    def _name(self) -> str:
        """Return a new name, or one that somebody has."""
        taken = list(self.checker.truth.members.values())
        if taken and not self.peaceful and self.world.chance(0.15):
            return self.world.pick(taken).upper()
        self._names += 1
        name = f"{self.who.upper()} {self._names}"
        self.checker.names.add(name)
        return name

    def _text(self, size: int) -> str:
        """Return a text that is like no other, of about so many bytes."""
        self._said += 1
        word = f"{self.who}.{self._said}"
        filler = self.world.pick(_FILLERS) or "x"
        text = f"{word} {filler * (size // len(filler.encode()))} {word}"
        self._texts[word] = f"2 {text}"
        return text
