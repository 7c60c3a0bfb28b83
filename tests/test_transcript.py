"""The conversation that started the project, over raw sockets, byte for byte."""

import pytest

from groupchat.client.transcript import Exchange, load
from tests.processes import RunningServer

TRANSCRIPT = load()


def play(server: RunningServer, transports: dict[str, str]) -> list[Exchange]:
    """Play the transcript with the members on *transports*; return what really happened."""
    members = {name: server.member(transport) for name, transport in transports.items()}
    return [
        Exchange(e.step, e.member, e.request, members[e.member].ask(e.request)) for e in TRANSCRIPT
    ]


def test_the_transcript_is_whole() -> None:
    assert [e.step for e in TRANSCRIPT] == "1 2 3 5 6 6 8 10 11 12 13 15 16 17".split()
    assert TRANSCRIPT[0] == Exchange("1", "Alice", b"1 Alice", b"")
    assert TRANSCRIPT[-1].reply.endswith(b"Chari has left the group\nBob: :)")


@pytest.mark.parametrize(
    "transports",
    [
        {"Alice": "udp", "Bob": "udp", "Charlie": "udp"},
        {"Alice": "tcp", "Bob": "tcp", "Charlie": "tcp"},
        {"Alice": "udp", "Bob": "tcp", "Charlie": "udp"},
        {"Alice": "tcp", "Bob": "udp", "Charlie": "tcp"},
    ],
    ids=["udp", "tcp", "mixed", "mixed the other way"],
)
def test_a_server_keeps_to_the_transcript(
    server: RunningServer, transports: dict[str, str]
) -> None:
    assert play(server, transports) == TRANSCRIPT
