"""What ``groupchat journal check`` says of journals that are damaged."""

from pathlib import Path

from tests.cli.journals import ask
from tests.journal.making import fingerprint

__all__ = ["WHEN", "damaged", "make_again", "save"]

WHEN = "2025-11-22T22:00:00.000Z to 2025-11-22T22:00:10.000Z"


def damaged(path: Path, *lines: str) -> None:
    """Check that this and nothing else is said to be damaged, and nothing is touched."""
    before = fingerprint(path)
    done = ask("check", path)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[3:] == list(lines)
    assert fingerprint(path) == before


def save(path: Path, count: int) -> str:
    """Return the advice to whom something is lost."""
    return (
        f"{count} records can be read. "
        f"Save them: python -m groupchat journal export {path} > saved.txt"
    )


def make_again(path: Path) -> str:
    """Return the advice to whom nothing is."""
    return (
        "The log is whole: nothing that was said is lost. Stop the server, and have the rest made "
        f"again: python -m groupchat journal compact {path}"
    )
