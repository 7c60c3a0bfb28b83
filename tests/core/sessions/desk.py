"""The server's half of sessions at work, without a server; and a client as the protocol's page has
it, without a network.
"""

from collections.abc import Iterator
from typing import Any

from attrs import define, evolve, field

from groupchat.core import Group, Join, Send
from groupchat.core.chat import Chat
from groupchat.core.group import Draft
from groupchat.core.pages import NOBODY
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.replies import Refused
from groupchat.core.sessions.answers import Answers, Heard
from groupchat.core.sessions.replies import Answer, Opened, Prove, Reply, decode_reply
from groupchat.core.sessions.requests import Ask, Open, Request
from groupchat.core.sessions.server import Sessions, sender_of
from groupchat.core.sessions.wire import Mark
from groupchat.core.timeline import Timeline

__all__ = ["DATAGRAM", "NONCE", "Desk", "Visitor", "al"]

DATAGRAM = 1_200
NONCE = "0f" * 8
"""Of everybody who opens a session."""

START = Mark(0)


class Desk:
    """Takes requests one at a time, and answers them; what is accepted is in its log.

    Args:
        page_bytes: how soon a page of the timeline is full.
    """

    def __init__(self, page_bytes: int = 65_536) -> None:
        self.page_bytes = page_bytes
        self.chat = Chat(Group(Timeline(page_bytes)))
        self.log: list[str] = []
        self.full = False
        """Whether the disk is full, and nothing can be stored."""
        self.now = 1_000_000
        self._tokens = (bytes([number]) * 16 for number in range(1, 256))
        self._secrets = (bytes([number]) for number in range(256))
        self.sessions = Sessions(self.chat, next(self._secrets), self._draw)
        self.answers = Answers(self.chat)

    def restart(self) -> None:
        """Lose all but the log."""
        self.chat = Chat(Group(Timeline(self.page_bytes)))
        for line in self.log:
            self.chat.apply(Record.decode(line))
        self.sessions = Sessions(self.chat, next(self._secrets), self._draw)
        self.answers = Answers(self.chat)

    def hear(
        self, request: bytes, address: str = "udp a", datagram: int | None = DATAGRAM
    ) -> Heard | bytes | Refused | None:
        """Have the sessions hear *request*; nothing is carried out."""
        draft = Draft(self.chat.group)
        return self.sessions.hear(request, address, datagram is not None, draft, self.now)

    def carry_out(self, heard: Heard) -> Heard:
        """Write down what *heard* asks for, unless the disk is full."""
        if heard.record is None:
            return heard
        if not self.full:
            self.log.append(heard.record.encode())
            self.chat.apply(heard.record)
        return self.sessions.stored(heard, not self.full)

    def answer(
        self, request: bytes, address: str = "udp a", datagram: int | None = DATAGRAM
    ) -> bytes | Refused | None:
        """Do all that a server does with *request*, and return what goes back."""
        what = self.hear(request, address, datagram)
        if not isinstance(what, Heard):
            return what
        reply = self.answers.answer(self.carry_out(what), datagram).encode()
        assert datagram is None or len(reply) <= datagram
        return reply

    def keep(self) -> None:
        """Have nothing forgotten that happens from now on, however much everybody reads."""
        self.chat.group.timeline.open(author=-2)

    def plain(self, name: str, *texts: str) -> None:
        """Have the plain member called *name* join, if he has not, and say *texts*."""
        if name not in self.chat.group:
            self._plain(Record(self.now, name, 0, (Join(name),), -1))
        for text in texts:
            standing = self.chat.group.standing(name)
            self._plain(Record(self.now, name, standing, (Send(text),), -1))

    def drop(self, before: int) -> None:
        """Let go of the events before position *before*, at the time 777."""
        record = Record(777, SERVER, 0, (Drop(before),))
        self.log.append(record.encode())
        self.chat.apply(record)

    def lines(self, start: int = 0, author: str = "") -> list[bytes]:
        """Return all lines from *start* that are kept, with their stamps, but those of *author*."""
        member = self.chat.group.members.get(author)
        excerpt = self.chat.group.timeline.excerpt(start, member.joined if member else NOBODY)
        return b"".join(span.stamped()[0] for span in excerpt).split(b"\n")[:-1]

    def _plain(self, record: Record) -> None:
        self.log.append(record.encode())
        self.chat.apply(record)

    def _draw(self) -> bytes:
        return next(self._tokens)


@define
class Visitor:
    """A client that does what the page about the protocol says, and no more."""

    desk: Desk
    address: str = "udp a"
    datagram: int | None = DATAGRAM
    token: str = ""
    number: int = 0
    mark: Mark = START
    told: list[bytes] = field(factory=list)
    """All lines, with their stamps."""
    _part: bytes = b""

    def pushed(self, position: int) -> Answer | None:
        """Return what is told from *position* on, unasked, if anything is."""
        news = self.desk.answers.push(self.sender, position)
        if news is None:
            return None
        reply = decode_reply(news.encode(self.token), self.token)
        assert isinstance(reply, Answer)
        assert (reply.stop.position, reply.number, reply.results) == (news.stop, 0, ())
        return reply

    def send(self, request: Request) -> Reply | Refused | None:
        """Send *request* and return the reply."""
        what = self.desk.answer(request.encode(), self.address, self.datagram)
        if not isinstance(what, bytes):
            return what
        reply = decode_reply(what, request.nonce if isinstance(request, Open) else request.token)
        assert reply is not None
        return reply

    def proved(self, request: Open | Ask) -> Reply | Refused | None:
        """Send *request*, once more with the cookie if it is asked for."""
        reply = self.send(request)
        return (
            self.send(evolve(request, cookie=reply.cookie)) if isinstance(reply, Prove) else reply
        )

    def open(self) -> "Visitor":
        """Open a session."""
        reply = self.proved(Open("main", NONCE))
        assert isinstance(reply, Opened)
        self.token = reply.token
        return self

    def request(self, *commands: bytes, **options: Any) -> Ask:  # noqa: ANN401
        """Return the next request."""
        self.number += 1
        return Ask(self.token, self.number, self.mark, commands, **options)

    def answer(self, *commands: bytes, **options: Any) -> Answer:  # noqa: ANN401
        """Make the next request, and return its answer, which is lost."""
        reply = self.proved(self.request(*commands, **options))
        assert isinstance(reply, Answer)
        return reply

    def ask(self, *commands: bytes, **options: Any) -> Answer:  # noqa: ANN401
        """Make the next request, take its answer, and return it."""
        answer = self.answer(*commands, **options)
        self.take(answer)
        return answer

    def take(self, answer: Answer) -> None:
        """Take the lines of *answer*: of no line twice, and of none a part alone."""
        if answer.begin == self.mark:
            body = self._part + answer.body
        elif answer.begin.offset or answer.stop <= self.mark:
            return
        else:
            body = answer.body
        *lines, self._part = body.split(b"\n")
        self.told += [line for line in lines if int(line.split()[0]) >= self.mark.position]
        self.mark = answer.stop

    def joined(self, name: str) -> "Visitor":
        """Join as *name* and return himself."""
        assert self.ask(b"1 " + name.encode()).results == ("done",)
        return self

    @property
    def sender(self) -> str:
        """Who he is in the group and in the log."""
        return sender_of(self.token.encode())

    @property
    def position(self) -> int:
        """Where the server has his cursor."""
        return self.desk.chat.group.standing(self.sender)

    def until_the_end(self, **options: Any) -> Iterator[Answer]:  # noqa: ANN401
        """Ask for news until there is no more."""
        yield (answer := self.ask(**options))
        while answer.stop.position < answer.end:
            yield (answer := self.ask(**options))

    def read_all(self) -> list[bytes]:
        """Ask for news until there is no more, and return all that he was ever told."""
        for _ in self.until_the_end():
            pass
        return self.told


def al(page_bytes: int = 65_536, datagram: int | None = DATAGRAM) -> Visitor:
    """Return a visitor who has joined, the first, at a desk of his own."""
    return Visitor(Desk(page_bytes), datagram=datagram).open().joined("Al")
