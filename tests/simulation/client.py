"""Members by sessions, with the real client's half.

What lives here: a program that runs :class:`groupchat.core.sessions.client.SessionClient` as one
should: it writes down what the client says is to be written down, before it sends anything, and
goes on by that when it has crashed. What must not: whether what it is told is right, which is the
checker's.

Theory. What a member has shown, and where it stands, are written down in one step: a crash finds
both or neither. What it had submitted and not yet sent dies with it. It gives up an address
whenever it likes; a connection that has broken, or says nothing, it makes anew.
"""

from typing import Final

from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.happenings import (
    Behind,
    Happening,
    Lost,
    NoSessions,
    Outside,
    Ready,
    Result,
    Seen,
    Told,
    WhoIsHere,
)
from groupchat.core.sessions.replies import DONE
from groupchat.core.sessions.saved import Saved
from tests.simulation.checker import Account, Checker
from tests.simulation.link import Link
from tests.simulation.network import Network
from tests.simulation.readers import SessionReader
from tests.simulation.wishes import Wish, Wishes
from tests.simulation.world import MILLISECOND, SECOND, Call, Life, Violation, World

__all__ = ["Member"]

SILENCE: Final = 8 * SECOND
"""After which a connection that owes an answer is given up."""

UNREADABLE: Final = "e"
"""The kind of line that says that news cannot be read."""


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
        self.checker = checker
        self.who = f"m{number}"
        self.peaceful = False
        """Whether it only wants to be here and be told everything."""
        self._in_turn = world.chance(0.25)
        self._think = think * MILLISECOND
        # On its own disk.
        self._saved: Saved | None = None
        self._reader: SessionReader | None = None
        self._account = Account(self.who)
        # Its process.
        self._client: SessionClient | None = None
        self._life = Life()
        self._link = Link(network, number, self._receive, self._link_changed)
        self._wishes = Wishes(world, self.who)
        self._wake: Call | None = None
        self._joined = self._joining = False
        self._has_said_all = self._names_checked = False
        self._asked_at = 0  # who is here, when the truth ended there
        self.start()

    @property
    def settled(self) -> bool:
        """Whether it has everything that there is to be had, and nothing is left to do."""
        reader, client = self._reader, self._client
        is_there = client is not None and client.idle and self._names_checked
        return is_there and reader is not None and reader.has_all

    # Its process, and its network.

    def start(self) -> None:
        """Start, and go on with what is written down."""
        if self._client is not None:
            return
        self.world.note(self.who, b"starts")
        by_connection = self.world.chance(0.3)
        self._life = Life()
        self._client = SessionClient(
            not by_connection, self._saved, nonce=self.world.draw(8).hex(), in_turn=self._in_turn
        )
        self._joined = self._joining = False
        self._link.come(by_connection=by_connection)
        self._again()
        self._pump()

    def crash(self) -> None:
        """Stop at once."""
        if self._client is not None:
            self.world.note(self.who, b"crashes")
            self.world.counts["clients crashed"] += 1
            self._end()

    def _stumble(self) -> None:
        self.crash()
        self.world.call_later(self.world.between(1, 500) * MILLISECOND, self.start)

    def move(self) -> None:
        """Go on from another address, or by another transport."""
        if self._client is not None:
            self.world.counts["moves"] += 1
            by_connection = self.world.chance(0.4)
            self._link.come(by_connection=by_connection)
            self._client.reconnect(datagram=not by_connection)
            self._pump()

    def break_connection(self) -> None:
        """Have its connection break, if it has one."""
        self._link.fail()

    def _end(self) -> None:
        self._life.over = True
        self._client = self._wake = None
        self._link.leave()

    def _link_changed(self) -> None:
        if self._client is not None and self._link.is_up:
            self._pump()
        elif self._client is not None:
            later = self.world.between(5, 800) * MILLISECOND
            self.world.call_later(later, self._reconnect, self._life)

    def _reconnect(self) -> None:
        if not self._link.is_up:
            self.move()

    # What goes out and comes in.

    def _pump(self) -> None:
        """Send what is to be sent, and be woken when there is more."""
        client, now = self._client, self.world.now // MILLISECOND
        if client is None or not self._link.is_up:
            return
        due = client.next_time()
        while due is not None and due <= now:
            request = client.send(now)
            if request is None:
                break
            self._write_down(client)
            self._link.send(request)
            if b"\x1e~" in request and not self.peaceful and self.world.chance(0.03):
                # Of a long text one part is under way, and others are not.
                later = self.world.between(0, 60) * MILLISECOND
                self.world.call_later(later, self._stumble, self._life)
            due = client.next_time()
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
            if self._reader is not None and self._reader.sender in self.checker.truth.stays:
                self._account.forgotten()
                self.world.counts["sessions forgotten"] += 1
            sender = self.checker.sender_of(saved.token)
            self.checker.accounts[sender] = self._account
            self._reader = SessionReader(self.checker.truth, self.who, sender)
            self.checker.readers[sender] = self._reader
        self._saved = saved

    def _receive(self, data: bytes, horizon: int) -> None:
        client = self._client
        if client is None:
            return
        happenings = client.receive(data, self.world.now // MILLISECOND)
        for happening in happenings:
            self._happen(happening, horizon)
        if any(isinstance(happening, Lost | NoSessions) for happening in happenings):
            self._saved = None
            self._end()
            self.start()
            return
        self._write_down(client)
        if self._reader is not None and self._saved is not None:
            self._reader.come_to(client.position, horizon)
        self._pump()

    # What is told.

    def _happen(self, happening: Happening, horizon: int) -> None:
        count, reader = self.world.counts, self._reader
        if isinstance(happening, Ready):
            count["sessions resumed" if happening.resumed else "sessions"] += 1
        elif isinstance(happening, Lost):
            self._lost()
        elif isinstance(happening, NoSessions):
            # Several replies to damaged requests look like a server of another kind.
            count["sessions given up"] += 1
            if not (count["datagrams damaged"] or count["datagrams cut"]):
                raise Violation(f"{self.who} was told that there are no sessions: {happening.why}")
        elif isinstance(happening, Behind):
            raise Violation(f"{self.who} was told that what it has written down is old")
        elif isinstance(happening, Told) and happening.kind == UNREADABLE:
            if not count["rows not readable"]:
                raise Violation(f"{self.who} was told {happening}")
        else:
            assert reader is not None
            self._learn(happening, reader, horizon)

    def _learn(
        self,
        happening: Told | Result | WhoIsHere | Seen | Outside,
        reader: SessionReader,
        horizon: int,
    ) -> None:
        count = self.world.counts
        if isinstance(happening, Told):
            count["events told"] += 1
            reader.told(happening, horizon)
        elif isinstance(happening, Result):
            count[f"result {happening.word}"] += 1
            self._result(happening.command.decode(), happening.word, reader, horizon)
        elif isinstance(happening, Outside):
            count["told to be outside"] += 1
            self._joined = False
            reader.outside(horizon)
        elif isinstance(happening, Seen):
            count["asked how far all are"] += 1
            if happening.member:
                self.checker.seen(happening.position, reader, horizon)
        elif happening.member:
            count["asked who is here"] += 1
            now = self.peaceful and self._asked_at == self.checker.truth.end
            self.checker.who_is_here(happening.names, reader, now=now)
            self._names_checked = now

    def _result(self, request: str, word: str, reader: SessionReader, horizon: int) -> None:
        if not request or request.startswith("~"):
            return  # asked for before a crash, and all that is known of it
        if request.startswith("+"):
            request = self._wishes.whole(request)
        self._account.result(request, word, horizon)
        joins = request.startswith("1 ")
        self._joining = self._joining and not joins
        if word == DONE and joins:
            self._joined = True
            reader.joined(horizon)
        elif word == DONE and request == "4":
            self._joined = False
            reader.left()
        elif word in {"not-a-member", "already-a-member"}:
            self._joined = word == "already-a-member"
        elif word == "not-stored" and (self.peaceful or self.world.chance(0.8)):
            self._submit(request)

    def _lost(self) -> None:
        """The server does not know the session any more. It may forget it when its member has
        left."""
        assert self._reader is not None
        if self._reader.sender in self.checker.truth.members:
            raise Violation(f"{self.who} is a member, and the server does not know its session")
        self.world.counts["sessions lost"] += 1

    # What it does.

    def _again(self) -> None:
        self.world.call_later(self.world.between(1, 2 * self._think), self._act, self._life)

    def _act(self) -> None:
        client, owed_since = self._client, self._link.owed_since
        assert client is not None
        if owed_since is not None and self.world.now - owed_since > SILENCE:
            self.break_connection()
        if not self._joined:
            if not self._joining:
                self._joining = True
                self._submit(self._wishes.join(() if self.peaceful else self._others()))
        elif not self.peaceful:
            self._act_at_will(client)
        elif client.idle:
            self._act_peacefully(client)
        self._pump()
        self._again()

    def _act_peacefully(self, client: SessionClient) -> None:
        if not self._has_said_all:
            self._has_said_all = True
            self._submit(self._wishes.say(20))
        elif self._reader is None or not self._reader.has_all:
            self._submit("5")
        elif not self._names_checked or self._asked_at != self.checker.truth.end:
            self._names_checked = False
            self._asked_at = self.checker.truth.end
            client.ask_who()

    def _act_at_will(self, client: SessionClient) -> None:
        wish = self._wishes.wish()
        for request in self._wishes.requests(wish, self._others()):
            self._joining = self._joining or request.startswith("1 ")
            self._submit(request)
        if wish is Wish.WHO:
            client.ask_who()
        elif wish is Wish.SEEN:
            client.ask_seen()
        elif wish is Wish.ACKNOWLEDGE:
            client.acknowledge()
        elif wish is Wish.LISTEN and not self._in_turn:
            client.listen(self.world.pick((0, 1, 2, 5)))
        elif wish is Wish.FOLLOW and not self._in_turn:
            client.follow()

    def _others(self) -> list[str]:
        return list(self.checker.truth.members.values())

    def _submit(self, request: str) -> None:
        client = self._client
        assert client is not None
        self._account.submit(request)
        client.submit(request.encode())
