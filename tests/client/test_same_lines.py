"""The same conversations by sessions and by the plain protocol: the same lines on standard output.

What they must be is what a server answers by raw TCP.
"""

import contextlib
import random
from collections.abc import Sequence

import pytest

from tests.client.proxy import GOOD, Proxy
from tests.processes import Program, RunningServer, TcpMember, news_until, run, serving

REFUSED = "6"

REASONS = [
    "Not done: 5 (not a member)",
    "Not done: 1 a:b (not a legal name)",
    "Not done: 6 (not a request)",
    "Not done: 1 Alice (already a member)",
    "Not done: 3 bob (the name is in use)",
]

MODES = {
    "plain udp": ["--plain", "--transport", "udp"],
    "plain tcp": ["--plain", "--transport", "tcp"],
    "session udp": ["--new", "--transport", "udp"],
    "session tcp": ["--new", "--transport", "tcp"],
}

Script = Sequence[tuple[str, str]]

SCRIPTS: dict[str, Script] = {
    "the conversation that started the project": [
        ("Alice", "1 Alice"),
        ("Bob", "1 Bob"),
        ("Bob", "2 Hi Alice"),
        ("Charlie", "1 Charlie"),
        ("Charlie", "2 Hiii"),
        ("Charlie", "2 Whatsupp?"),
        ("Alice", "5"),
        ("Alice", "2 welcome"),
        ("Alice", "345ft"),
        ("Charlie", "3 Chari"),
        ("Charlie", "2 Yoooo"),
        ("Charlie", "4"),
        ("Bob", "2 :)"),
        ("Alice", "5"),
        ("Alice", "4"),
        ("Bob", "4"),
    ],
    "refusals of all kinds": [
        ("Alice", "5"),
        ("Alice", "2 hi"),
        ("Alice", "3 Alice"),
        ("Alice", "1"),
        ("Alice", "1 "),
        ("Alice", "1 a:b"),
        ("Alice", "@0000 open 1 main"),
        ("Alice", "1 Alice"),
        ("Alice", "1 Alice"),
        ("Alice", "3 ALICE"),
        ("Bob", "1 alice"),
        ("Bob", "1 Bob"),
        ("Alice", "3 bob"),
        ("Alice", "2"),
        ("Alice", "2 a\x1e4"),
        ("Alice", "2 bell\x07"),
        ("Alice", "2 " + "x" * 4_001),
        ("Alice", "5 "),
        ("Alice", "who is it"),
        ("Alice", "5"),
        ("Bob", "4"),
        ("Alice", "4"),
    ],
    "long texts": [
        ("Alice", "1 Alice"),
        ("Bob", "1 Bob"),
        ("Alice", "2 " + "x" * 4_000),
        ("Alice", "2 " + "é" * 2_000),
        ("Bob", "5"),
        ("Alice", "2 after"),
        ("Bob", "5"),
        ("Bob", "2 " + "🦊" * 1_000),
        ("Alice", "5"),
        ("Bob", "4"),
        ("Alice", "4"),
    ],
    "what comes with which request": [
        ("Alice", "1 Alice"),
        ("Bob", "1 Bob"),
        ("Alice", "6"),
        ("Alice", "2 first"),
        ("Bob", "2 second"),
        ("Alice", "3 bob"),
        ("Alice", "3 Zoe"),
        ("Alice", "5"),
        ("Bob", "4"),
        ("Alice", "4"),
    ],
}


def random_script(seed: int) -> Script:
    """Return what three people might ask for, many of it wrongly."""
    dice = random.Random(seed)
    script = []
    for _ in range(60):
        name = dice.choice(["Alice", "Bob", "Charlie"])
        request = dice.choice(
            [
                f"1 {name}",
                f"2 {dice.random()}",
                f"2 {dice.random()} {'y' * dice.randrange(1_500)}",
                f"3 {dice.choice(['Alice', 'Bob', 'Zoe', 'a:b'])}",
                "5",
                "5",
                dice.choice(["6", "5 x", "2 \x07", "1"]),
            ]
        )
        script.append((name, request))
    return [*script, *((name, "4") for name in ("Alice", "Bob", "Charlie"))]


def replies(script: Script) -> list[list[str]]:
    """Return the lines of the reply to each request, from a server by raw TCP."""
    with serving("--no-limits", "0") as server:
        members: dict[str, TcpMember] = {}
        lines = []
        for name, request in script:
            if name not in members:
                members[name] = server.tcp()
            reply = members[name].ask(request.encode())
            lines.append(reply.decode().split("\n") if reply else [])
        return lines


def check(script: Script, mode: str) -> None:
    """Play *script* by ``connect`` in *mode*; each reply must be what it is by raw TCP."""
    expected = replies(script)
    with serving("--no-limits", "0") as server, contextlib.ExitStack() as stack:
        programs: dict[str, Program] = {}
        for (name, request), lines in zip(script, expected, strict=True):
            if name not in programs:
                place = ["127.0.0.1", str(server.port)]
                programs[name] = stack.enter_context(Program("connect", *MODES[mode], *place))
            program = programs[name]
            program.type(request)
            if request == "4":
                assert program.out.rest() == lines
                assert program.wait() == 0
                assert all(line.startswith("Not done: ") for line in program.err.rest())
                continue
            program.type(REFUSED)  # whose refusal shows that all before it has been shown
            shown = [program.out.next() for _ in range(len(lines) + 1)]
            assert shown == [*lines, "Illegal request"], request


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_conversation_looks_the_same(name: str, mode: str) -> None:
    if (name, mode) == ("long texts", "plain udp"):
        pytest.skip("plain UDP cuts what waits to fit 1,024 bytes, and the rest comes later")
    check(SCRIPTS[name], mode)


@pytest.mark.parametrize("mode", ["session udp", "session tcp"])
@pytest.mark.parametrize("seed", range(2))
def test_any_conversation_looks_the_same(seed: int, mode: str) -> None:
    check(random_script(seed), mode)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_piped_in_at_once_looks_the_same(server: RunningServer, mode: str) -> None:
    """Nobody else says anything meanwhile, so it does not matter what travels together."""
    bob = server.tcp()
    bob.ask(b"1 Bob")
    piped = b"".join(
        [
            b"5\n1 a:b\n1 Alice\n2 one\n6\n2 two\n7\n5\n1 Alice\n3 bob\n3 Zoe\n",
            *(b"2 %d\n%s" % (number, b"8\n" * (number % 3 == 0)) for number in range(100)),
            b"5\n4\n5\n",
        ]
    )
    options = [*MODES[mode], "127.0.0.1", str(server.port)]
    done = run("connect", *options, stdin=piped)
    refused = "Illegal request\n"
    assert done.stdout.decode() == refused * 2 + "Bob\n" + refused * 4 + refused * 34
    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == (REASONS if mode.startswith("session") else [])
    seen = [line.decode() for line in news_until(bob, b"Zoe has left the group")]
    assert seen == [
        "Alice has joined",
        "Alice: one",
        "Alice: two",
        "Alice changed his name to Zoe",
        *(f"Zoe: {number}" for number in range(100)),
        "Zoe has left the group",
    ]


def test_in_a_session_what_is_piped_in_travels_together(server: RunningServer) -> None:
    """So over a link on which an answer takes a while it takes a fraction of the time."""
    piped = b"1 Alice\n" + b"".join(b"2 %d\n" % number for number in range(500)) + b"4\n"
    counts = {}
    for mode in ("--new", "--plain"):
        with Proxy(server.port, GOOD) as proxy:
            done = run("connect", mode, "127.0.0.1", str(proxy.port), stdin=piped)
            assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
            counts[mode] = proxy.counts["passed on"]
    assert counts["--plain"] >= 2 * 502
    assert counts["--new"] < 2 * 502 / 10
