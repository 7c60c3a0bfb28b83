"""The worked packet trace of docs/protocol.md, byte for byte.

Its requests are handed, in their order, to the server's half of sessions, whose secret, tokens
and clock are fixed; its replies must be what that answers.
"""

import re
from pathlib import Path

from groupchat.core import ILLEGAL_REQUEST, Refused
from groupchat.core.chat import Chat
from groupchat.core.group import Draft
from groupchat.core.plain import decode
from groupchat.core.records import Record
from groupchat.core.sessions.answers import Answers, Heard
from groupchat.core.sessions.server import Sessions

PAGE = Path(__file__).parents[1] / "docs" / "protocol.md"
BEGIN = 1_763_848_800_000  # 2025-11-22 22:00:00 UTC
STEP = 1_000
ADDRESSES = {"C": "udp 192.0.2.7:40001", "D": "udp 198.51.100.9:51000", "P": "udp 192.0.2.8:40002"}


class Server:
    """One chat and its sessions, without a socket."""

    def __init__(self) -> None:
        self.chat = Chat()
        tokens = iter(bytes([n]) * 16 for n in (0x5F, 0x6F))
        self.sessions = Sessions(self.chat, bytes(16), lambda: next(tokens))
        self.time = BEGIN

    def answer(self, request: bytes, who: str) -> bytes | None:
        self.time += STEP
        draft = Draft(self.chat.group)
        if who == "P":  # somebody without a session
            command = decode(request)
            assert not isinstance(command, Refused)
            accepted = draft.accept(command, ADDRESSES[who])
            assert not isinstance(accepted, Refused)
            self.chat.apply(Record(self.time, ADDRESSES[who], 0, (accepted,), 1_024))
            return None
        heard = self.sessions.hear(request, ADDRESSES[who], True, draft, self.time)
        if isinstance(heard, Refused):
            return ILLEGAL_REQUEST
        if not isinstance(heard, Heard):
            return heard
        if heard.record:
            self.chat.apply(heard.record)
            heard = self.sessions.stored(heard, True)
        return Answers(self.chat).answer(heard, 65_507).encode()


def exchanges() -> list[tuple[str, bytes, bytes | None]]:
    """Return who sent what, and the reply if the page shows one."""
    (trace,) = re.findall(
        r"^```text\n(P  .*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    found: list[tuple[str, bytes, bytes | None]] = []
    for line in trace.splitlines():
        who, text = line[:1], line[3:].replace("\u241e", "\x1e").encode()
        if who in ADDRESSES:
            found.append((who, text, None))
        elif who == "S":
            found[-1] = (*found[-1][:2], text)
        elif line.startswith("   "):
            sender, request, reply = found[-1]
            found[-1] = (sender, request, (reply or b"") + b"\n" + text)
    return found


def test_the_trace_is_what_the_server_says() -> None:
    server = Server()
    trace = exchanges()
    assert len(trace) >= 10
    for who, request, reply in trace:
        answer = server.answer(request, who)
        if reply is not None:
            assert answer == reply
