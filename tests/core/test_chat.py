"""The chat: the records alone make its state, and a snapshot is as good as all before it."""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import Join, Leave, News, Rename, Roster, Send, Update, encode
from groupchat.core.chat import FORGET_MILLISECONDS, Chat, LastRequest
from groupchat.core.pages import Page
from groupchat.core.records import SERVER, Drop, Record
from tests.core.logs import (
    PAGE_BYTES,
    Asks,
    Drops,
    Reads,
    Requests,
    SendsAway,
    Step,
    Waits,
    Writer,
    new_chat,
    steps,
)

AL, BO = "session a", "session b"
conversations = st.lists(steps, max_size=30)


def written(conversation: Iterable[Step]) -> Writer:
    writer = Writer()
    for step in conversation:
        writer.take(step)
    return writer


def play(chat: Chat, records: Iterable[Record]) -> list[bytes | None]:
    """Apply *records*, and return what their senders are told."""
    replies = [chat.apply(record) for record in records]
    return [None if reply is None else b"".join(encode(reply)) for reply in replies]


def content(chat: Chat) -> list[tuple[object, ...]]:
    """Return what stands in the pages of *chat*."""
    pages = [page.load() for page in chat.group.timeline.pages]
    return [
        (page.first, bytes(page.lines), *map(list, (page.times, page.authors, page.kinds)))
        for page in pages
    ]


def bring_from(pages: dict[int, Page]) -> Callable[[int], Page]:
    """Return what brings copies of *pages*; a journal's are copies, too."""
    return lambda first: deepcopy(pages[first])


def restored(snapshot: dict[str, Any], bring: Callable[[int], Page]) -> Chat:
    """Return the chat that comes from *snapshot* when that has been written as JSON."""
    chat = Chat.restore(json.loads(json.dumps(snapshot)), bring)
    chat.group.timeline._page_bytes = PAGE_BYTES
    return chat


BUSY: list[Step] = [
    Asks("udp 1", Join("Zed")),
    Requests(AL, (Join("Al"), Send("x" * 60), Rename("Alan"), Join("Al"))),
    Requests(BO, (Join("Bo"), Update())),
    Asks("udp 1", Send("y" * 60), 0),
    Asks("udp 2", Join("Yves"), -1),
    Reads(AL, 2),
    Reads("udp 2", 2),
    Requests(BO, (Send("hi"), Leave()), 3),
    Drops(4),
    Waits(FORGET_MILLISECONDS // 2),
    SendsAway(AL),
    Asks("udp 2", Leave()),
    Asks("udp 1", Send("z" * 60)),
    Waits(FORGET_MILLISECONDS // 2),
    Asks("udp 1", Send("z" * 60)),
    Requests(BO, (Join("Bo"),)),
]


@given(conversations)
@example(BUSY)
def test_the_records_alone_lead_to_the_same_state_after_each_of_them(
    conversation: list[Step],
) -> None:
    """What members read in between is in no record; but nobody is told anything else for that,
    and a member who is put where he stood is where he was."""
    writer = Writer()
    replayed = new_chat()
    for step in conversation:
        before = len(writer.records)
        writer.take(step)
        told = play(replayed, writer.records[before:])
        assert told == writer.replies[before:]
    again = new_chat()
    for record in writer.records:
        again.apply(record)
    assert again.snapshot() == replayed.snapshot()
    assert content(again) == content(replayed)
    live, group = writer.chat.group, replayed.group
    assert replayed.sessions == writer.chat.sessions
    assert replayed.time == writer.chat.time
    for sender in live.members:
        group.stand(sender, live.standing(sender))
    members = [
        [
            (sender, m.name, m.joined, m.cursor.position, m.untold)
            for sender, m in chat.group.members.items()
        ]
        for chat in (replayed, writer.chat)
    ]
    assert members[0] == members[1]
    assert content(writer.chat) == content(replayed)[-len(content(writer.chat)) :]


def test_the_rest_of_a_long_roster_is_in_a_snapshot() -> None:
    writer = written(Asks(f"udp {name}", Join(name)) for name in ("Al", "Bo", "Cy"))
    writer.take(Asks("udp D", Join("Di"), 2))
    assert writer.replies[-1] == b"Cy"
    again = restored(writer.chat.snapshot(), bring_from(writer.pages))
    assert b"".join(encode(again.group.reply(Update(), "udp D"))) == b"Bo, Al"


@given(conversations, st.data())
def test_to_replay_up_to_a_record_is_to_have_stopped_there(
    conversation: list[Step], data: st.DataObject
) -> None:
    records = written(conversation).records
    stop = data.draw(st.integers(0, len(records)))
    whole, part = new_chat(), new_chat()
    snapshots = []
    for record in records:
        snapshots.append(whole.snapshot())
        whole.apply(record)
    snapshots.append(whole.snapshot())
    play(part, [Record.decode(record.encode()) for record in records[:stop]])
    assert part.snapshot() == snapshots[stop]


@given(conversations, st.data())
@example(BUSY, None)
def test_a_snapshot_and_the_records_after_it_are_as_good_as_all(
    conversation: list[Step], data: st.DataObject | None
) -> None:
    """Its last page may have been written again since, with more lines."""
    writer = written(conversation)
    records, pages = writer.records, writer.pages
    stops = [data.draw(st.integers(0, len(records)))] if data else range(len(records) + 1)
    for stop in stops:
        whole = new_chat()
        play(whole, records[:stop])
        part = restored(whole.snapshot(), bring_from({0: Page(0)} | pages))
        assert part.snapshot() == whole.snapshot()
        assert content(part) == content(whole)
        assert play(part, records[stop:]) == play(whole, records[stop:])
        assert part.snapshot() == whole.snapshot()
        assert content(part) == content(whole)


def test_pages_of_a_snapshot_are_brought_when_somebody_reads_them() -> None:
    writer = Writer()
    for sender in (AL, BO):
        writer.take(Requests(sender, (Join(sender[-1]), *[Send("x" * 60)] * 3)))
    asked: list[int] = []

    def bring(first: int) -> Page:
        asked.append(first)
        return deepcopy(writer.pages[first])

    chat = restored(writer.chat.snapshot(), bring)
    firsts = [page.first for page in chat.group.timeline.pages]
    assert len(firsts) > 3
    assert asked == [firsts[-1]]
    chat.group.reply(Update(), AL)
    assert asked == [firsts[-1]]
    news = chat.group.reply(Update(), AL)
    assert isinstance(news, News)


def test_what_each_of_the_senders_is_told() -> None:
    chat = Chat()
    assert chat.apply(Record(5, "u", 0, (Join("Al"),))) == Roster()
    assert chat.apply(Record(6, BO, 0, (Join("Bo"), Send("x")), None, 1, "done,done")) is None
    assert chat.apply(Record(7, SERVER, 0, (Drop(0),))) is None
    (reply,) = play(chat, [Record(8, "u", 1, (Send("y"),), 20)])
    assert reply == b"Bo has joined\nBo: x"
    assert chat.sessions == {BO: LastRequest(1, "done,done", 6)}
    assert chat.time == 8


def test_a_record_can_drop_and_go_on() -> None:
    chat = Chat()
    chat.apply(Record(5, "u", 0, (Join("Al"),)))
    chat.apply(Record(6, "u", 0, (Send("x"),)))
    chat.apply(Record(7, SERVER, 0, (Drop(1), Drop(2))))
    assert chat.group.timeline.start == 2


def test_a_session_that_joins_stands_past_its_join() -> None:
    """Who is here, it asks; what it sends in the same request is its own."""
    chat = Chat()
    chat.apply(Record(5, "u", 0, (Join("Al"),)))
    chat.apply(Record(6, BO, 0, (Join("Bo"), Send("x")), None, 1, "done,done"))
    assert chat.group.standing(BO) == 3
    chat.apply(Record(7, AL, 0, (Join("Cy"),), None, 1, "done"))
    assert chat.group.standing(BO) == 3
    chat.apply(Record(8, BO, 4, (Send("y"),), None, 2, "done"))
    assert chat.group.standing(BO) == 5


def test_no_record_moves_a_reader_back() -> None:
    chat = Chat()
    chat.apply(Record(6, AL, 0, (Join("Al"),), None, 1, "done"))
    for number in range(5):
        chat.apply(Record(6, "u" * (number + 1), 0, (Join(f"u {number}"),)))
    chat.apply(Record(7, AL, 4, (Send("x"),), None, 2, "done"))
    chat.apply(Record(7, AL, 2, (Send("x"),), None, 3, "done"))
    assert chat.group.standing(AL) == 4


@pytest.mark.parametrize(
    "record",
    [
        Record(0, "u", 0, (Send("x"),)),
        Record(0, AL, 0, (Leave(),), None, 1, "done"),
        Record(0, BO, 0, (Join("Bob"),)),
    ],
)
def test_what_no_draft_can_have_accepted_is_a_lookup_error(record: Record) -> None:
    chat = Chat()
    chat.apply(Record(0, BO, 0, (Join("Bo"),), None, 1, "done"))
    with pytest.raises(LookupError):
        chat.apply(record)


def remembered(*later: Step) -> list[str]:
    """Return whose sessions are remembered when Al and Bo have come, then *later*, and then
    somebody else has said something."""
    writer = written([Asks("udp 1", Join("Zed")), Requests(AL, (Join("Al"),)), *later])
    writer.take(Asks("udp 1", Send("x")))
    whole = list(writer.chat.sessions)
    part = restored(writer.chat.snapshot(), bring_from(writer.pages))
    assert list(part.sessions) == whole
    writer.take(Waits(1))
    writer.take(Asks("udp 1", Send("x")))
    part.apply(writer.records[-1])
    assert list(part.sessions) == list(writer.chat.sessions)
    return whole


LONG = FORGET_MILLISECONDS


@pytest.mark.parametrize(
    ("later", "who"),
    [
        ([], [AL]),
        ([Waits(100 * LONG)], [AL]),
        ([Requests(AL, (Leave(),))], [AL]),
        ([Requests(AL, (Leave(),)), Waits(LONG - 1)], [AL]),
        ([Requests(AL, (Leave(),)), Waits(LONG)], []),
        ([SendsAway(AL), Waits(LONG - 1)], [AL]),
        ([Waits(5 * LONG), SendsAway(AL), Waits(LONG - 1)], [AL]),
        ([Waits(5 * LONG), SendsAway(AL), Waits(LONG)], []),
        ([Requests(AL, (Leave(), Join("Al"), Leave()))], [AL]),
        ([Requests(AL, (Leave(),)), Requests(AL, (Join("Al"),)), Waits(LONG)], [AL]),
        (
            [
                Requests(BO, (Join("Bo"),)),
                Requests(BO, (Leave(),)),
                Waits(5),
                SendsAway(AL),
                Waits(LONG - 5),
            ],
            [AL],
        ),
        (
            [Requests(BO, (Join("Bo"),)), SendsAway(BO), SendsAway(AL), Waits(LONG)],
            [],
        ),
    ],
)
def test_a_session_is_remembered_while_it_is_a_member_and_ten_minutes_more(
    later: list[Step], who: list[str]
) -> None:
    assert FORGET_MILLISECONDS == 600_000
    assert remembered(*later) == who


def test_in_a_new_chat_nothing_has_happened() -> None:
    assert Chat().snapshot() == {
        "time": 0,
        "end": 0,
        "start": 0,
        "dropped_time": 0,
        "pages": [[0, 0]],
        "members": [],
        "sessions": [],
    }


EMPTY = Chat().snapshot()
NO_SNAPSHOTS: list[object] = [
    [],
    None,
    *({key: EMPTY[key] for key in EMPTY if key != missing} for missing in EMPTY),
    {**EMPTY, "pages": []},
    {**EMPTY, "pages": [[0]]},
    {**EMPTY, "pages": [[0, 1]], "end": 1},
    {**EMPTY, "end": 5},
    {**EMPTY, "members": [1]},
    {**EMPTY, "members": [["u", "Al"]]},
    {**EMPTY, "sessions": [[AL, 1]]},
    {**EMPTY, "sessions": 5},
]


def test_a_snapshot_of_nothing_is_one() -> None:
    assert Chat.restore(EMPTY, Page).snapshot() == EMPTY


@pytest.mark.parametrize("snapshot", NO_SNAPSHOTS)
def test_what_is_no_snapshot_is_a_value_error(snapshot: object) -> None:
    with pytest.raises(ValueError, match=r"not a snapshot|not enough values|the pages end"):
        Chat.restore(cast("dict[str, Any]", snapshot), Page)
