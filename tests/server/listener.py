"""A session in the server's world, which asks, waits and follows."""

from groupchat.core.sessions.replies import Answer, Opened, Prove, decode_reply
from groupchat.core.sessions.requests import Ask, Open
from groupchat.core.sessions.wire import Mark
from tests.core.sessions.desk import NONCE
from tests.world import Recorder, World

__all__ = ["Listener", "lines"]


class Listener:
    """A session in a world, at a peer."""

    def __init__(self, world: World, name: str, datagram: bool = False) -> None:
        self.world = world
        self.number = 0
        self.mark = Mark(0)
        kind, most = (("udp", 65_507), ("tcp", None))[not datagram]
        self.peer = Recorder(f"{kind} {name}", most)
        reply = self.asked(Open("main", NONCE))
        if isinstance(reply, Prove):
            reply = self.asked(Open("main", NONCE, reply.cookie))
        assert isinstance(reply, Opened)
        self.token = reply.token
        assert self.ask(b"1 " + name.encode()).results == ("done",)

    def redials(self) -> Recorder:
        """Go on by a newer connection, and return the one before."""
        before, self.peer = self.peer, Recorder("tcp elsewhere")
        for peer in (before, self.peer):
            assert self.world.server.come(peer).wanted
        return before

    def asked(self, request: Open | Ask) -> object:
        key = request.nonce if isinstance(request, Open) else request.token
        return decode_reply(self.world.ask(self.peer, request.encode()) or b"", key)

    def next(self, *commands: bytes, wait: int = 0, follow: bool = False, who: bool = False) -> Ask:
        self.number += 1
        return Ask(self.token, self.number, self.mark, commands, wait, follow, 0 if who else None)

    def ask(self, *commands: bytes, **options: bool) -> Answer:
        """Ask, and take the answer that comes at once."""
        before = len(self.peer.replies)
        self.asked(self.next(*commands, **options))
        assert len(self.peer.replies) == before + 1
        return self.last()

    def waits(self, seconds: int = 20) -> None:
        """Ask for news, and wait for it."""
        before = len(self.peer.replies)
        self.asked(self.next(wait=seconds))
        assert len(self.peer.replies) == before

    def last(self) -> Answer:
        """Take the answer that came last."""
        answer = decode_reply(self.peer.replies[-1] or b"", self.token)
        assert isinstance(answer, Answer)
        self.mark = answer.stop
        return answer

    def pushes(self) -> list[bytes]:
        """Return the lines of each message that came unasked, without their stamps."""
        answers = [decode_reply(data, self.token) for data in self.peer.pushed]
        assert all(isinstance(answer, Answer) and not answer.number for answer in answers)
        return [lines(answer) for answer in answers]


def lines(answer: object) -> bytes:
    """Return the lines in *answer*, without their stamps."""
    assert isinstance(answer, Answer)
    return b"|".join(line.split(b" ", 3)[3] for line in answer.body.split(b"\n")[:-1])
