"""``groupchat connect`` by sessions, interrupted: what was under way is done once, and nothing
is missed.
"""

import random
import signal

import pytest

from tests.client.command import TRANSPORTS, connect
from tests.client.proxy import GOOD, Proxy
from tests.processes import Member, Program, RunningServer, news_until, run
from tests.transports.recorder import POSIX


@POSIX
@TRANSPORTS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_it_stays_in_the_group(
    server: RunningServer, watcher: Member, transport: str, number: signal.Signals
) -> None:
    with Program("connect", f"{transport}://127.0.0.1:{server.port}") as program:
        program.type("1 Alice")
        assert program.out.next() == "Watcher"
        program.process.send_signal(number)
        assert program.wait() == 0
        assert program.out.rest() == program.err.rest() == []
    watcher.ask(b"2 hi")
    assert connect(server, b"5\n") == ("Watcher: hi\n", "Resuming as Alice; 1 new.\n")


@POSIX
@pytest.mark.parametrize("arrives", [True, False], ids=["carried out", "not yet"])
def test_what_was_under_way_when_it_was_ended_is_done_once(
    server: RunningServer, watcher: Member, arrives: bool
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            if arrives:
                proxy.mute = True
            else:
                proxy.down = True
            program.type("2 hi")
            assert program.err.next() == "no answer yet, still trying"
            program.process.send_signal(signal.SIGINT)
            assert program.wait() == 0
            assert program.err.rest() == [
                "Not answered yet, and to be asked again the next time: 2 hi",
            ]
        if arrives:
            news_until(watcher, b"Alice: hi")
        proxy.mute = proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"2 ho\n")
        assert done.stdout == b""
        assert done.stderr == b"Resuming as Alice; nothing new.\nDone, from before: 2 hi\n"
    seen = news_until(watcher, b"Alice: ho")
    assert seen.count(b"Alice: hi") == (0 if arrives else 1)


def kill_unanswered(program: Program, proxy: Proxy, line: str) -> None:
    """Have *program* ask *line*, which does not arrive, and kill it while it asks again."""
    proxy.down = True
    program.type(line)
    assert program.err.next() == "no answer yet, still trying"
    program.process.kill()
    program.wait()


def terminate_unanswered(program: Program) -> None:
    """Have *program*, whose request does not arrive, end while it asks again."""
    assert program.err.next() == "no answer yet, still trying"
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0


@POSIX
def test_what_was_under_way_can_turn_out_to_be_refused(
    server: RunningServer, watcher: Member
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            kill_unanswered(program, proxy, "3 Bob")
        assert watcher.ask(b"3 Bob") == b"Alice has joined"
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"who\n5\n")
    assert done.stdout == b"Bob\nWatcher changed his name to Bob\n"
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; 1 new.",
        "Not done, from before: 3 Bob (the name is in use)",
    ]


@POSIX
@pytest.mark.parametrize(
    ("lines", "kept"),
    [(b"6\n", ["6"]), (b"2 hi\n6\n", ["2 hi", "6"]), (b"2 caf\xe9\n", ["2 caf\ufffd"])],
    ids=["alone", "behind a request", "not UTF-8"],
)
def test_what_is_no_request_is_kept_as_well(
    server: RunningServer, watcher: Member, lines: bytes, kept: list[str]
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            proxy.down = True
            program.stdin.write(lines)
            program.stdin.flush()
            terminate_unanswered(program)
            assert program.err.rest() == [
                f"Not answered yet, and to be asked again the next time: {line}" for line in kept
            ]
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"2 ho\n")
    *_, last = done.stderr.decode().splitlines()
    assert last == f"Not done, from before: {kept[-1]} (not a request)"
    said = b"Alice: hi\n" if len(kept) > 1 else b""
    assert watcher.ask(b"5") == b"Alice has joined\n" + said + b"Alice: ho"


@POSIX
def test_a_join_that_was_under_way_makes_a_member(server: RunningServer, watcher: Member) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("6")
            assert program.out.next() == "Illegal request"
            assert program.err.next() == "Not done: 6 (not a request)"
            kill_unanswered(program, proxy, "1 Alice")
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"who\n")
    assert done.stdout == b"Watcher\n"
    assert done.stderr.decode().splitlines() == [
        "Resuming as Alice; nothing new.",
        "Done, from before: 1 Alice",
    ]
    assert watcher.ask(b"5") == b"Alice has joined"


@POSIX
def test_a_long_message_of_which_only_a_part_was_sent_goes_on(
    server: RunningServer, watcher: Member
) -> None:
    with Proxy(server.port, GOOD) as proxy:
        with Program("connect", "127.0.0.1", str(proxy.port)) as program:
            program.type("1 Alice")
            assert program.out.next() == "Watcher"
            proxy.down = True
            program.type("2 " + "x" * 2_000 + "\n2 after")
            terminate_unanswered(program)
            kept, unsent = program.err.rest()
            assert kept.startswith("Not answered yet, and to be asked again the next time: 2 xx")
            assert unsent == "Not sent: 1 line: 2 after (and whatever follows in the input)"
        proxy.down = False
        done = run("connect", "127.0.0.1", str(proxy.port), stdin=b"2 hi\n")
    first, second = done.stderr.decode().splitlines()
    assert first == "Resuming as Alice; nothing new."
    assert second.startswith("Done, from before: 2 xxx")
    assert watcher.ask(b"5") == b"Alice has joined\nAlice: %b\nAlice: hi" % (b"x" * 2_000)


@POSIX
@TRANSPORTS
def test_who_is_killed_at_any_moment_misses_nothing(
    server: RunningServer, watcher: Member, transport: str
) -> None:
    """The one window: what is shown and not yet written down is shown once more."""
    connect(server, b"1 Alice\n")
    dice = random.Random(transport)
    shown: list[list[str]] = []
    said = 0
    for _ in range(12):
        url = f"{transport}://127.0.0.1:{server.port}"
        with Program("connect", "--follow", "--as", "Alice", url) as program:
            assert program.err.next().startswith("Resuming as Alice; ")
            for _ in range(dice.randrange(60)):
                watcher.ask(b"2 %d" % said)
                said += 1
            program.process.kill()
            program.wait()
            shown.append(program.out.rest())
    out, _ = connect(server, b"5\n", transport=transport)
    shown.append(out.splitlines())
    numbers: list[int] = []
    for lines in shown:
        run_of = [int(line.removeprefix("Watcher: ")) for line in lines]
        assert run_of == sorted(set(run_of))  # no process shows anything twice
        again = [number for number in numbers if run_of and number >= run_of[0]]
        assert again[: len(run_of)] == run_of[: len(again)]
        numbers += run_of[len(again) :]
    assert numbers == list(range(said))
