"""``groupchat journal``: read a journal, check it, make it smaller."""

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import click

from groupchat.cli.parameters import DEFAULT_PORT, MAX_PORT, default_journal
from groupchat.cli.printable import printable
from groupchat.cli.program import program
from groupchat.cli.progress import Progress
from groupchat.core.lines import removed_line, render
from groupchat.core.quantity import counted
from groupchat.journal import Damaged, Unusable
from groupchat.journal.compaction import compact as compact_journal
from groupchat.journal.files import FORMAT, InUse
from groupchat.journal.history import Entry
from groupchat.journal.transcript import (
    Hole,
    LetGo,
    Transcript,
    as_json,
    as_text,
    called,
    seen_by,
    show_time,
)
from groupchat.journal.verification import Findings, verify

__all__ = ["journal"]

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\xc2[\x80-\x9f]")
_OUTPUT_BYTES: Final = 65_536
_SHOWN_TROUBLES: Final = 20
_Show: TypeAlias = Callable[[Entry], bytes]
_FORMATS: Final[dict[str, _Show]] = {"text": as_text, "json": as_json}


def _journal_file(value: str) -> Path:
    """Return the file that is meant by a path, or by the port of the server that keeps it in the
    usual place."""
    if re.fullmatch("[0-9]{1,5}", value) and int(value) <= MAX_PORT:
        return default_journal(int(value))
    return Path(value)


_file: Final = click.argument(
    "path", metavar="[PATH|PORT]", type=_journal_file, default=str(DEFAULT_PORT)
)


@click.group(short_help="Read a journal, check it, make it smaller.")
def journal() -> None:
    """Read the journal in which a server keeps the group, check it, make it smaller.

    PATH is the journal's file. In its place can stand the PORT of a server that keeps the group
    in the usual place; 12345 if neither is given. All but 'compact' work while the server runs.
    """


@journal.command(
    epilog="""\b
Examples:
  groupchat journal check                 the journal of the server on port 12345
  groupchat journal check 5000            of the one on port 5000
  groupchat journal check chat.journal    in that file
"""
)
@_file
def check(path: Path) -> None:
    """Check that a journal is whole.

    Checks every record, every page and snapshot, that they agree, and how the file is arranged. If
    something is damaged, it says where that begins, and what can be read all the same, and the
    exit code is 1.
    """
    with _user_errors(path), Progress(f"Checking {printable(path)}", _size(path, 2)) as progress:
        found = verify(path, progress.add)
    click.echo(_summary(path, found))
    if found.whole:
        click.echo("Everything is as it should be.")
        return
    for kind, troubles in (("Lost", found.lost), ("Damaged", found.derived)):
        for trouble in troubles[:_SHOWN_TROUBLES]:
            click.echo(f"{kind}: {trouble}.")
        if len(troubles) > _SHOWN_TROUBLES:
            click.echo(f"{kind}: ... and so on, {len(troubles):,} in all.")
    click.echo(_advice(path, found))
    sys.exit(1)


@journal.command(
    short_help="Write everything that happened to standard output.",
    epilog="""\b
Examples:
  groupchat journal export > chat.txt
  groupchat journal export --format json 5000 | jq -r 'select(.kind == "said").text'
""",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(_FORMATS, reverse=True)),
    default="text",
    show_default=True,
    help="A line of text for each event, or a JSON object on a line.",
)
@_file
def export(path: Path, form: str) -> None:
    """Write everything that happened to standard output, with times in UTC.

    Of a damaged journal, all that can be read is exported; what is missing is told on standard
    error, and the exit code is 1.
    """
    with _transcript(path, f"Exporting {printable(path)}") as transcript:
        _print(transcript, transcript, _FORMATS[form])


@journal.command(
    epilog="""\b
Examples:
  groupchat journal replay                the whole conversation
  groupchat journal replay --as Alice     what Alice was told
"""
)
@click.option("--as", "name", metavar="NAME", help="As the member saw it who was called that.")
@_file
def replay(path: Path, name: str | None) -> None:
    """Print the conversation as members saw it.

    With --as, what a member of that name was told: everything while he was in the group, but his
    own messages.
    """
    members = None
    if name is not None:
        with _transcript(path, f"Looking for {printable(name)}") as transcript:
            members = called(transcript, name)
        if not members:
            raise click.ClickException(f"nobody in {printable(path)} was ever called {name!r}.")
    with _transcript(path, f"Replaying {printable(path)}") as transcript:
        found = transcript if members is None else seen_by(transcript, members)
        _print(transcript, found, lambda entry: render(entry.event))


@journal.command(
    epilog="""\b
Example:
  groupchat journal compact chat.journal
"""
)
@_file
def compact(path: Path) -> None:
    """Make a journal smaller, and lose nothing.

    Writes it anew: what everybody has read is kept once and not twice, and small entries are put
    together. If pages or the snapshot are damaged, they are made again. The server must not run
    meanwhile.
    """
    with (
        _user_errors(path, "compact"),
        Progress(f"Compacting {printable(path)}", _size(path, 3)) as progress,
    ):
        done = compact_journal(path, progress.add)
    if done.mended:
        click.echo(f"Made again from the log: {done.mended}.")
    click.echo(f"{printable(path)}: {done.before:,} bytes before, {done.after:,} bytes now.")


class _CannotWrite(Exception):
    """Standard output takes no more."""

    def __init__(self, error: OSError) -> None:
        self.error = error


@contextlib.contextmanager
def _user_errors(path: Path, what: str = "read") -> Iterator[None]:
    """Turn what can be wrong with the journal *path* into one line."""
    try:
        yield
    except InUse as error:
        raise click.ClickException(printable(f"{error.problem}. Stop the server first.")) from error
    except Unusable as error:
        raise click.ClickException(printable(f"{error.problem}.")) from error
    except Damaged as error:
        raise click.ClickException(
            f"{printable(path)} is damaged: {error}. "
            f"Save what can be read: {program()} journal export {_quoted(path)} > saved.txt"
        ) from error
    except FileNotFoundError as error:
        raise click.ClickException(f"there is no journal at {printable(path)}.") from error
    except _CannotWrite as error:
        raise error.error from None  # this has nothing to do with the journal
    except OSError as error:
        raise click.ClickException(
            f"cannot {what} {printable(path)}: {error.strerror or error}."
        ) from error


@contextlib.contextmanager
def _transcript(path: Path, label: str) -> Iterator[Transcript]:
    shows = sys.stdout is not None and sys.stdout.isatty()  # there one sees how far it is
    with (
        _user_errors(path),
        Progress(label, _size(path), hidden=shows) as progress,
        Transcript(path, progress.add) as transcript,
    ):
        yield transcript


def _print(transcript: Transcript, found: Iterable[Entry | Hole | LetGo], show: _Show) -> None:
    """Print what was found, and tell of what was not; then exit with 1."""
    if transcript.let_go:
        _say(_removed(transcript.let_go))
    out = _Output()
    for entry in found:
        if isinstance(entry, Entry):
            out.write(show(entry))
        elif isinstance(entry, LetGo):
            _say(_removed(entry.events))
        elif transcript.holes <= _SHOWN_TROUBLES:
            _say(f"Lost: {entry}.")
    out.flush()
    if transcript.holes > _SHOWN_TROUBLES:
        _say(f"Lost: ... and so on, {transcript.holes:,} in all.")
    for trouble in transcript.troubles:
        _say(f"Damaged: {trouble}.")
    if transcript.holes:
        _say("Who joined or was renamed in what is missing may have a wrong name above.")
    if transcript.holes or transcript.troubles:
        sys.exit(1)


class _Output:
    """Standard output, a large piece at a time."""

    def __init__(self) -> None:
        self._lines = bytearray()
        self._terminal = sys.stdout is not None and sys.stdout.isatty()

    def write(self, line: bytes) -> None:
        """Write *line*, soon."""
        if self._terminal:  # a journal can be anybody's
            line = _CONTROL.sub("\ufffd".encode(), line)
        self._lines += line
        self._lines += b"\n"
        if len(self._lines) >= _OUTPUT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write all of it."""
        if sys.stdout is None:
            raise _CannotWrite(OSError("the output cannot be written: it is closed"))
        try:
            sys.stdout.buffer.write(self._lines)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise _CannotWrite(error) from error
        self._lines.clear()


def _summary(path: Path, found: Findings) -> str:
    lines = [f"{printable(path)}: {_size(path):,} bytes, format {FORMAT}."]
    if found.first_time is not None and found.last_time is not None:
        lines.append(
            f"{counted(found.records, 'record')} in {counted(found.batches, 'batch', 'batches')}, "
            f"{show_time(found.first_time)} to {show_time(found.last_time)}."
        )
    else:
        lines.append("No records.")
    if found.let_go:
        lines.append(f"Events before, not kept any more: {found.let_go:,}.")
    snapshot = "" if found.snapshot is None else f", snapshot after batch {found.snapshot:,}"
    lines.append(
        f"{counted(found.events, 'event')}, {counted(found.members, 'member')}, "
        f"{counted(found.pages, 'page')}{snapshot}."
    )
    return "\n".join(lines)


def _advice(path: Path, found: Findings) -> str:
    if found.lost and not found.records:
        return "Nothing can be read. Take the newest backup, if there is one."
    if found.lost:
        return (
            f"{counted(found.records, 'record')} can be read. "
            f"Save them: {program()} journal export {_quoted(path)} > saved.txt"
        )
    return (
        "The log is whole: nothing that was said is lost. Stop the server, and have the rest made "
        f"again: {program()} journal compact {_quoted(path)}"
    )


def _removed(events: int) -> str:
    """Return the line that members are told for them, but in good English."""
    line = removed_line(events).decode()
    return line.replace("events are", "event is") if events == 1 else line


def _say(line: str) -> None:
    click.echo(line, err=True)


def _quoted(path: Path) -> str:
    return shlex.quote(printable(path))


def _size(path: Path, times: int = 1) -> int:
    try:
        return path.stat().st_size * times
    except OSError:
        return 0
