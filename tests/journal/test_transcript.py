"""What was said, shown to people and programs, and who was told which."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupchat.core import Command, Join, Leave, Rename, Send, Update
from groupchat.core.events import Joined, Left, Renamed, Said
from groupchat.core.lines import render
from groupchat.core.replies import News
from groupchat.journal import reader
from groupchat.journal.files import lock
from groupchat.journal.history import Entry
from groupchat.journal.retention import Retention
from groupchat.journal.rows import BATCH, seal
from groupchat.journal.transcript import (
    Hole,
    LetGo,
    Membership,
    Transcript,
    as_json,
    as_text,
    called,
    seen_by,
    show_time,
)
from groupchat.journal.verification import verify
from tests.cli.journals import break_row, made, replace_row, rows_of
from tests.core.logs import Drops, Step, steps
from tests.journal.making import (
    START,
    Keeper,
    batch,
    conversation,
    journal,
    many,
    put_into_the_file,
)

JOINED, SAID = Joined(3, START, "Zo\u00eb"), Said(4, START + 1_005, "Zo\u00eb", 'tab\t "\u2744"')
RENAMED, LEFT = Renamed(5, START, "Zo\u00eb", "Z"), Left(6, START, "Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "chat.journal")


def read(path: Path) -> tuple[list[Entry | Hole | LetGo], Transcript]:
    with Transcript(path) as transcript:
        return list(transcript), transcript


def holes(found: list[Entry | Hole | LetGo]) -> list[str]:
    return [str(entry) for entry in found if isinstance(entry, Hole)]


# As text and as JSON.


@pytest.mark.parametrize(
    ("event", "text", "fields"),
    [
        (JOINED, "22:00:00.000Z  Zo\u00eb has joined", {"kind": "joined", "name": "Zo\u00eb"}),
        (
            SAID,
            '22:00:01.005Z  Zo\u00eb: tab\t "\u2744"',
            {"kind": "said", "name": "Zo\u00eb", "text": 'tab\t "\u2744"'},
        ),
        (
            RENAMED,
            "22:00:00.000Z  Zo\u00eb changed his name to Z",
            {"kind": "renamed", "name": "Zo\u00eb", "new": "Z"},
        ),
        (LEFT, "22:00:00.000Z  Z has left the group", {"kind": "left", "name": "Z"}),
    ],
)
def test_an_event_is_a_line(
    event: Joined | Said | Renamed | Left, text: str, fields: dict[str, object]
) -> None:
    entry = Entry(event, "udp 127.0.0.1:5", 3)
    assert as_text(entry).decode() == f"2025-11-22T{text}"
    line = as_json(entry)
    assert b"\n" not in line
    assert list(json.loads(line).items()) == [
        ("position", event.position),
        ("time", "2025-11-22T" + text[:13]),
        *fields.items(),
        ("sender", "udp 127.0.0.1:5"),
    ]


def test_json_is_as_readable_as_it_can_be() -> None:
    assert as_json(Entry(SAID, "udp 1", 3)).decode() == (
        '{"position": 4, "time": "2025-11-22T22:00:01.005Z", "kind": "said", '
        '"name": "Zo\u00eb", "text": "tab\\t \\"\u2744\\"", "sender": "udp 1"}'
    )


def test_a_name_that_nobody_knows_is_null() -> None:
    entry = Entry(Said(4, START, "<udp 1>", "Hi"), "udp 1", None, known=False)
    assert json.loads(as_json(entry))["name"] is None
    assert as_text(entry) == b"2025-11-22T22:00:00.000Z  <udp 1>: Hi"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_763_848_800_007, "2025-11-22T22:00:00.007Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "253402300800.000Z"),  # no clock has ever said so
        (1 << 61, "2305843009213693.952Z"),
    ],
)
def test_times_are_in_utc(milliseconds: int, shown: str) -> None:
    assert show_time(milliseconds) == shown


# All of it, and what is missing.


def test_a_whole_journal_is_all_that_happened(path: Path) -> None:
    found, transcript = read(path)
    one = Keeper(now=START)
    conversation(one)
    happened = list(News(one.chat.group.timeline.excerpt(0)))
    assert [entry.event for entry in found if isinstance(entry, Entry)] == happened
    assert len(found) == len(happened)
    assert (transcript.holes, transcript.troubles) == (0, [])
    assert (transcript.let_go, transcript.members) == (0, [])


def test_after_a_hole_positions_and_times_are_right_again(path: Path) -> None:
    whole, _ = read(path)
    break_row(path, rows_of(path).batches[4])
    found, transcript = read(path)
    assert found == [
        *whole[:6],
        Hole("batch 5 is damaged or missing (1 record)", START + 3_000, START + 4_000),
        *whole[8:],
    ]
    assert (transcript.holes, transcript.troubles) == (1, [])


def test_a_hole_in_which_somebody_joined_costs_his_name(path: Path) -> None:
    whole, _ = read(path)
    break_row(path, rows_of(path).batches[0], offset=12)
    found, _ = read(path)
    assert found[0] == Hole("batch 1 is damaged or missing (2 records)", None, START + 1_000)
    assert [render(e.event) for e in found[1:4] if isinstance(e, Entry)] == [
        "<udp 1>: Hello \u2744".encode(),
        b"<udp 2> changed his name to Robert",
        b"Robert: It's me",
    ]
    positions = [entry.event.position for entry in found if isinstance(entry, Entry)]
    assert positions == [entry.event.position for entry in whole[2:] if isinstance(entry, Entry)]


def test_a_batch_that_makes_no_sense_is_a_hole_too(path: Path) -> None:
    whole, _ = read(path)
    row = rows_of(path).batches[4]
    head = row.body.partition(b"\n")[0]
    replace_row(path, "batches", seal(BATCH, 5, head + b"\nnonsense"))
    found, transcript = read(path)
    # The next says that it follows another one.
    between = "after 2025-11-22T22:00:03.000Z and before 2025-11-22T22:00:04.000Z"
    assert holes(found) == [
        f"batch 5 makes no sense, {between}",
        f"batch 6 does not follow the one before, {between}",
    ]
    assert [entry for entry in found if isinstance(entry, Entry)] == [*whole[:6], *whole[8:]]
    assert transcript.holes == 2


def test_the_end_can_be_missing(path: Path) -> None:
    whole, _ = read(path)
    break_row(path, rows_of(path).batches[-1])
    found, _ = read(path)
    assert found == [
        *whole[:-1],
        Hole("batch 12 is damaged or missing (1 record)", START + 9_000, None),
    ]


@pytest.mark.parametrize(
    ("after", "before", "shown"),
    [
        (None, None, "it is gone"),
        (0, None, "it is gone, after 1970-01-01T00:00:00.000Z"),
        (None, 0, "it is gone, before 1970-01-01T00:00:00.000Z"),
        (
            0,
            1,
            "it is gone, after 1970-01-01T00:00:00.000Z and before 1970-01-01T00:00:00.001Z",
        ),
    ],
)
def test_a_hole_says_between_when_and_when(
    after: int | None, before: int | None, shown: str
) -> None:
    assert str(Hole("it is gone", after, before)) == shown


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of which only Alice's second message is kept."""
    path = tmp_path / "old.journal"
    one = journal(path, Retention(milliseconds=60_000))
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")), ("udp 3", Join("Carol")))
    batch(one, ("udp 3", Leave()), ("udp 2", Rename("Rob")), ("udp 1", Send("one")))
    one.now += 200_000
    batch(one, ("udp 1", Send("two")))
    while one.tick():
        pass
    one.journal.close()
    return path


def test_of_what_was_let_go_it_is_known_how_much_and_who_was_there(old: Path) -> None:
    found, transcript = read(old)
    assert [str(entry.event) for entry in found if isinstance(entry, Entry)] == [
        str(Said(6, START + 202_000, "Alice", "two"))
    ]
    assert transcript.let_go == 6
    assert transcript.members == [("udp 1", "Alice", 0), ("udp 2", "Rob", 1)]


def test_a_damaged_base_costs_the_names(old: Path) -> None:
    base = rows_of(old).base
    assert base
    break_row(old, base)
    found, transcript = read(old)
    said = [render(entry.event) for entry in found if isinstance(entry, Entry)]
    assert said == [b"<udp 1>: two"]
    assert transcript.troubles == [f"base {base.number} is not what was written"]


class Served:
    """A journal of 3,002 events, read while a server has it that keeps what is not older than 100
    seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.one = journal(path, Retention(milliseconds=100_000))
        many(self.one, 3_000, size=300, a_batch=2)
        batch(self.one, ("udp 3", Join("Cy")), ("udp 2", Rename("Robert")))
        many(self.one, 500, size=300, a_batch=2)
        put_into_the_file(self.one)
        self.let_go = False

    def let_go_of_all(self, *last: tuple[str, Command]) -> None:
        """Do so once, and then write down what was said *last*."""
        if not self.let_go:
            self.let_go = True
            self.one.now += 10_000_000
            while self.one.tick():
                pass
            if last:
                batch(self.one, *last)
            put_into_the_file(self.one)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(reader, "_PAUSE_SECONDS", 0)
    served = Served(tmp_path / "served.journal")
    with closing(lock(served.path)):
        yield served
    served.one.journal.close()


def test_what_is_let_go_meanwhile_is_told_and_names_and_positions_stay_right(
    served: Served,
) -> None:
    with Transcript(served.path) as transcript:
        found = []
        for entry in transcript:
            found.append(entry)
            served.let_go_of_all(("udp 3", Send("I am Cy")), ("udp 2", Send("I am Robert")))
        assert (transcript.holes, transcript.troubles) == (0, [])
    (gone,) = [at for at, entry in enumerate(found) if isinstance(entry, LetGo)]
    assert found[gone] == LetGo(
        3_504 - gone, [("udp 1", "Alice", 0), ("udp 2", "Robert", 1), ("udp 3", "Cy", 3_002)]
    )
    rest = [entry for entry in found[gone + 1 :] if isinstance(entry, Entry)]
    assert [(entry.event.position, render(entry.event)) for entry in rest] == [
        (3_504, b"Cy: I am Cy"),
        (3_505, b"Robert: I am Robert"),
    ]


def test_what_is_let_go_to_the_end_is_told_too(served: Served) -> None:
    with Transcript(served.path) as transcript:
        entries = iter(transcript)
        served.let_go_of_all()
        *_, last = entries
        assert isinstance(last, LetGo)
        assert last.events == 3_504


def test_who_came_in_what_is_let_go_meanwhile_was_told_the_rest(served: Served) -> None:
    said = ("udp 1", Send("the end"))
    with Transcript(served.path) as transcript:
        entries = iter(transcript)
        served.let_go_of_all(said)
        assert [render(e.event) for e in entries if isinstance(e, Entry)] == [b"Alice: the end"]
    with Transcript(served.path) as transcript:
        assert called(transcript, "Cy") == {("udp 3", 3_002)}
    assert told(served.path, "Cy") == [b"Alice: the end"]


def test_to_check_what_is_let_go_meanwhile_finds_no_loss(served: Served) -> None:
    found = verify(served.path, lambda _: served.let_go_of_all(("udp 3", Send("the end"))))
    assert served.let_go
    assert found.whole, (found.lost, found.derived)
    assert found.events + found.let_go == 3_505


# Who was told what.


def told(path: Path, name: str) -> list[bytes]:
    with Transcript(path) as transcript:
        members = called(transcript, name)
    with Transcript(path) as transcript:
        return [
            render(entry.event)
            for entry in seen_by(transcript, members)
            if isinstance(entry, Entry)
        ]


def test_a_member_is_told_all_but_his_own_from_his_join_on(path: Path) -> None:
    assert told(path, "Robert") == [
        "Alice: Hello \u2744".encode(),
        b"Carol has joined",
        b"Carol: a",
        b"Carol: b",
        *(b"Alice: %d of 5, with a tab\t." % number for number in range(5)),
    ]
    assert told(path, "Dora") == [b"Alice: the end"]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("Alice", {("udp 1", 0)}),
        ("ALICE", {("udp 1", 0)}),  # the same by RFC 8266
        ("Bob", {("udp 2", 1)}),
        ("Robert", {("udp 2", 1)}),
        ("Nobody", set()),
        ("", set()),
    ],
)
def test_who_was_ever_called_so(path: Path, name: str, members: set[Membership]) -> None:
    with Transcript(path) as transcript:
        assert called(transcript, name) == members


def test_who_was_there_before_the_log_begins(old: Path) -> None:
    with Transcript(old) as transcript:
        assert called(transcript, "rob") == {("udp 2", 1)}
    assert told(old, "Rob") == [b"Alice: two"]
    assert told(old, "Alice") == []
    assert told(old, "Carol") == []


def test_who_left_is_not_told_what_happened_until_he_came_again(tmp_path: Path) -> None:
    path = tmp_path / "again.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("Alice")), ("udp 2", Join("Bob")), ("udp 1", Send("before")))
    batch(one, ("udp 2", Leave()), ("udp 1", Send("between")), ("udp 2", Join("Rob")))
    batch(one, ("udp 1", Send("with Rob")), ("udp 2", Leave()), ("udp 2", Join("Bob")))
    batch(one, ("udp 1", Send("after")))
    one.journal.close()
    # As Rob he is another member, whom nobody has asked for.
    assert told(path, "Bob") == [b"Alice: before", b"Alice: after"]
    assert told(path, "Rob") == [b"Alice: with Rob"]


def test_two_who_had_the_name_were_told_what_either_was(tmp_path: Path) -> None:
    path = tmp_path / "two.journal"
    one = journal(path)
    batch(one, ("udp 1", Join("X")), ("udp 2", Join("Y")), ("udp 1", Send("from X")))
    batch(one, ("udp 1", Rename("Z")), ("udp 2", Rename("X")), ("udp 2", Send("from the new X")))
    one.journal.close()
    assert told(path, "X") == [
        b"Y has joined",
        b"X: from X",
        b"X changed his name to Z",
        b"Y changed his name to X",
        b"X: from the new X",
    ]


@settings(max_examples=50)
@given(st.lists(steps.filter(lambda step: not isinstance(step, Drops)), max_size=40))
def test_whatever_happens_a_member_is_told_what_the_group_has_for_him(script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.journal"
        one = journal(path)
        batch(one, ("watcher", Join("The watcher")))
        for step in script:
            one.take(step)
        news = one.chat.group.reply(Update(), "watcher")
        assert isinstance(news, News)
        assert told(path, "The watcher") == list(map(render, news))
        one.journal.close()


def test_nothing_is_written_to_what_is_read(path: Path) -> None:
    content = path.read_bytes()
    read(path)
    told(path, "Alice")
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "long.journal"
    one = journal(path)
    many(one, 2_100, size=50, a_batch=1)
    one.journal.close()
    steps: list[int] = []
    with Transcript(path, steps.append) as transcript:
        for _ in transcript:
            pass
    assert len(steps) >= 2
