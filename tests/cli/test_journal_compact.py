"""``groupchat journal compact``: what it says, and what it leaves."""

from pathlib import Path

from tests.cli.journals import TOLD, ask, break_row, lengthened, rows_of
from tests.journal.making import fingerprint
from tests.processes import serving


def test_it_says_how_much_smaller_the_file_is(tmp_path: Path) -> None:
    path = lengthened(tmp_path / "chat.journal", 1_000, size=100)
    text, before = ask("export", path).out, path.stat().st_size
    done = ask("compact", path)
    after = path.stat().st_size
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{path}: {before:,} bytes before, {after:,} bytes now.\n"
    assert after < before
    assert ask("export", path).out == text
    assert ask("check", path).out.endswith("Everything is as it should be.\n")


def test_what_was_damaged_is_said(path: Path) -> None:
    break_row(path, rows_of(path).pages[0], offset=200)
    done = ask("compact", path)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == ("Made again from the log: page 0 is not what was written.")
    assert ask("check", path).code == 0
    assert ask("replay", path).out == TOLD


def test_a_damaged_log_is_refused_and_untouched(path: Path) -> None:
    break_row(path, rows_of(path).batches[4])
    before = fingerprint(path)
    done = ask("compact", path)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"Error: {path} is damaged: batch 5 is damaged or missing (1 record). "
        f"Save what can be read: python -m groupchat journal export {path} > saved.txt\n"
    )
    assert fingerprint(path) == before


def test_beside_a_running_server_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.journal"
    with serving("--journal", str(path), "0") as server:
        alice, bob = server.udp(), server.udp()
        alice.ask(b"1 Alice")
        bob.ask(b"1 Bob")
        before = fingerprint(path)
        done = ask("compact", path)
        assert (done.code, done.out) == (1, "")
        assert done.err == f"Error: {path} is in use. Stop the server first.\n"
        assert fingerprint(path) == before
        alice.ask(b"2 still here")
        assert bob.ask(b"5") == b"Alice: still here"
        server.stop()
    assert ask("compact", path).code == 0
    with serving("--journal", str(path), "0") as server:
        assert server.udp().ask(b"1 Carol") == b"Bob, Alice"
