"""A server of the kind that groupchat began with, as a competent person would write it.
``python -m bench.seed once`` or ``python -m bench.seed each``.

One loop that waits for a datagram, carries it out and answers it. Members are in a dict by
address, and each has a list of the lines that wait for him. What is said is formatted (once; or,
with ``each``, anew for every other member) and goes to the end of their lists. The reply to a
request is the member's own list, which is then empty.

It is as well tuned as can be without becoming another server: large buffers, no needless work.
Only ``each`` is needless, but it is what is found: a copy a member is how one message among 1,000
members comes to take 121 KB. Other habits are kept on purpose, too: nothing is on a disk; a
reply may have any length, although clients read 1,024 bytes; and one that is lost is lost.
"""

import socket
import sys
from typing import Final, TypeAlias

from bench.echo import BUFFER_BYTES
from bench.process import LOOPBACK

__all__: list[str] = []

Address: TypeAlias = tuple[str, int]

_MAX_DATAGRAM_BYTES: Final = 65_508
_ILLEGAL: Final = "Illegal request"


class _Member:
    __slots__ = ("name", "pending")

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending: list[str] = []

    def take(self) -> str:
        """Return what waits for the member."""
        lines = "\n".join(self.pending)
        self.pending.clear()
        return lines


class _Group:
    def __init__(self, once: bool) -> None:
        self._once = once
        self._members: dict[Address, _Member] = {}

    def answer(self, request: str, address: Address) -> str:
        """Carry out a *request*, and return the reply."""
        kind, _, argument = request.partition(" ")
        member = self._members.get(address)
        if member is None:
            return self._join(argument, address) if kind == "1" and argument else _ILLEGAL
        if kind == "2" and argument:
            self._say(member, argument)
        elif kind == "3" and argument:
            self._tell(member, f"{member.name} changed his name to {argument}")
            member.name = argument
        elif request == "4":
            del self._members[address]
            self._tell(member, f"{member.name} has left the group")
            return ""
        elif request != "5":
            return _ILLEGAL
        return member.take()

    def _join(self, name: str, address: Address) -> str:
        names = ", ".join(member.name for member in reversed(self._members.values()))
        member = self._members[address] = _Member(name)
        self._tell(member, f"{name} has joined")
        return names

    def _say(self, author: _Member, text: str) -> None:
        if self._once:
            self._tell(author, f"{author.name}: {text}")
            return
        for member in self._members.values():
            if member is not author:
                member.pending.append(f"{author.name}: {text}")

    def _tell(self, author: _Member, line: str) -> None:
        for member in self._members.values():
            if member is not author:
                member.pending.append(line)


def _serve(once: bool) -> None:
    group = _Group(once)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        sock.bind((LOOPBACK, 0))
        print(f"Listening on udp {LOOPBACK}:{sock.getsockname()[1]}", flush=True)
        while True:
            request, address = sock.recvfrom(_MAX_DATAGRAM_BYTES)
            sock.sendto(group.answer(request.decode(), address).encode(), address)


if __name__ == "__main__":
    _serve(once=sys.argv[1] == "once")
