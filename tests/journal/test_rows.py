"""Rows: what is written, and that whatever is read is that, or is damaged."""

import json
from array import array
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core import Join, Send
from groupchat.core.chat import Chat
from groupchat.core.pages import Page
from groupchat.core.records import Record
from groupchat.core.timeline import Timeline
from groupchat.journal.rows import (
    BASE,
    BATCH,
    PAGE,
    SNAPSHOT,
    Header,
    State,
    batch_row,
    check,
    header_of,
    page_of,
    page_row,
    records_of,
    seal,
    state_of,
    state_row,
    time_of,
)
from groupchat.journal.storage import Damaged, Row
from tests.journal.making import Keeper, conversation

RECORDS = [
    Record(1_763_848_800_123, "udp 127.0.0.1:40001", 12, (Send("Hi all"),), 1_024),
    Record(1_763_848_800_125, "session 5f0c", 14, (Send("a"), Send("\tb")), None, 7, "done,done"),
]
BATCH_ROW = batch_row(3, RECORDS, before=99, records_before=8, events_before=7)


def state() -> State:
    keeper = Keeper()
    conversation(keeper)
    return State(12, 34, 56, keeper.chat.snapshot())


def page(*texts: bytes) -> Page:
    timeline = Timeline(end=1_000)
    cursor = timeline.open(7)
    for number, text in enumerate(texts):
        timeline.append(text, ord("s"), 10 * number, cursor if number % 2 else None)
    found = timeline.pages[0].page
    assert isinstance(found, Page)
    return found


def test_a_batch_is_text_that_people_can_read() -> None:
    assert BATCH_ROW.body.decode() == (
        "3 99 8 7\n"
        "1763848800123\tudp 127.0.0.1:40001\t12\t1024\t2 Hi all\n"
        "1763848800125\tsession 5f0c\t14\t#7 done,done\t2 a\x1e2 \tb"
    )
    assert BATCH_ROW.number == 3
    assert BATCH_ROW.checksum == crc32(b"batch\n" + BATCH_ROW.body)


def test_a_batch_is_read_as_it_was_written() -> None:
    check(BATCH, BATCH_ROW)
    assert header_of(BATCH_ROW) == Header(99, 8, 7)
    assert records_of(BATCH_ROW) == RECORDS
    assert time_of(BATCH_ROW) == 1_763_848_800_125


def test_a_page_is_numbers_and_lines() -> None:
    row = page_row(page(b"one", b"zwei"))
    assert row.number == 1_000
    numbers = [*(1_000).to_bytes(8, "little"), 2, 0, 0, 0, 9, 0, 0, 0]  # first, lines, bytes
    numbers += [4, 0, 0, 0, 9, 0, 0, 0]  # ends
    numbers += [0] * 8 + [10] + [0] * 7  # times
    numbers += [255] * 8 + [7] + [0] * 7  # authors: nobody, 7
    assert row.body == bytes(numbers) + b"ss" + b"one\nzwei\n"
    assert row.checksum == crc32(b"page\n" + row.body)


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b" ")), max_size=20))
def test_a_page_is_read_as_it_was_written(texts: list[bytes]) -> None:
    before = page(*texts)
    after = page_of(page_row(before))
    assert after.first == before.first
    for column in ("lines", "ends", "times", "authors", "kinds"):
        assert getattr(after, column) == getattr(before, column)


@pytest.mark.parametrize("kind", [SNAPSHOT, BASE])
def test_a_state_is_read_as_it_was_written(kind: str) -> None:
    row = state_row(kind, state())
    assert state_of(kind, row) == state()
    assert row.checksum == crc32(f"{kind}\n".encode() + row.body)
    assert json.loads(row.body)["number"] == 12


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="not a sender"):
        batch_row(1, [Record(1, "a\tb", 0, (Join("A"),))], 0, 0, 0)


WHOLE = {
    BATCH: BATCH_ROW,
    PAGE: page_row(page(b"one", b"two", b"three")),
    SNAPSHOT: state_row(SNAPSHOT, state()),
    BASE: state_row(BASE, state()),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_every_changed_byte_is_found(kind: str) -> None:
    number, body, checksum = WHOLE[kind]
    for offset in range(len(body)):
        for change in (1, 0x80, 0xFF):
            other = bytearray(body)
            other[offset] ^= change
            with pytest.raises(Damaged, match=f"{kind} [0-9,]+ is not what was written"):
                check(kind, Row(number, bytes(other), checksum))
    for bit in range(32):
        with pytest.raises(Damaged):
            check(kind, Row(number, body, checksum ^ 1 << bit))
    for cut in range(len(body)):
        with pytest.raises(Damaged):
            check(kind, Row(number, body[:cut], checksum))


@pytest.mark.parametrize("kind", WHOLE)
def test_one_kind_of_row_is_never_taken_for_another(kind: str) -> None:
    for other in WHOLE:
        if other != kind:
            with pytest.raises(Damaged):
                check(other, WHOLE[kind])


def test_a_row_is_never_taken_for_one_with_another_number() -> None:
    with pytest.raises(Damaged):
        header_of(BATCH_ROW._replace(number=4))
    with pytest.raises(Damaged):
        page_of(WHOLE[PAGE]._replace(number=999))
    with pytest.raises(Damaged):
        state_of(SNAPSHOT, WHOLE[SNAPSHOT]._replace(number=13))


@pytest.mark.parametrize(
    ("ends", "index"),
    [((0, 0, 6), 0), ((4, 4, 6), 0), ((4, 4, 6), 1), ((2, 1, 6), 1), ((4, 1 << 31, 6), 2)],
)
def test_a_line_is_where_its_page_says_or_damaged(ends: tuple[int, ...], index: int) -> None:
    strange = page(b"a", b"b", b"c")
    strange.ends[:] = array("I", ends)
    found = page_of(page_row(strange))
    with pytest.raises(Damaged, match=r"^page 1,000 makes no sense$"):
        found.stamped(index, index + 1)


def read(kind: str, row: Row) -> None:
    """Read *row* in all ways, as far as it can be read."""
    try:
        if kind == BATCH:
            header_of(row)
            time_of(row)
            for record in records_of(row):
                record.encode()
        elif kind == PAGE:
            found = page_of(row)
            found.stamped(0, len(found.ends))
            assert page_row(found) == row
        else:
            found_state = state_of(kind, row)
            Chat.restore(found_state.chat, Page).snapshot()
    except Damaged:
        pass
    except ValueError:
        assert kind in (SNAPSHOT, BASE)  # restored without its pages


@pytest.mark.parametrize("kind", WHOLE)
@given(st.data())
def test_any_bytes_are_a_row_or_damaged(kind: str, data: st.DataObject) -> None:
    """Their checksums are right, so all that protects from them is the reader."""
    body = data.draw(st.binary(max_size=100) | mutations(WHOLE[kind].body))
    number = data.draw(st.sampled_from([WHOLE[kind].number, 0, 1, -1, 1 << 62]))
    read(kind, seal(kind, number, body))


def mutations(body: bytes) -> st.SearchStrategy[bytes]:
    """Parts of *body* with something else in between."""
    cut = st.integers(0, len(body))
    return st.builds(lambda a, b, new: body[:a] + new + body[b:], cut, cut, st.binary(max_size=12))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda some: st.lists(some, max_size=5) | st.dictionaries(st.text(max_size=3), some),
    max_leaves=6,
)
FIELDS = sorted(json.loads(WHOLE[SNAPSHOT].body))


@given(st.sampled_from(FIELDS), JSON, st.integers(0, 4))
def test_any_json_is_a_state_or_damaged(name: str, value: object, inside: int) -> None:
    whole = json.loads(WHOLE[SNAPSHOT].body)
    if inside and isinstance(whole[name], list):
        row = whole[name][0]
        row[inside % len(row)] = value
    else:
        whole[name] = value
    read(SNAPSHOT, seal(SNAPSHOT, 12, json.dumps(whole).encode()))


NONSENSE = [
    {"members": [["udp 1", "A", 2, 3, 0], ["udp 1", "B", 3, 3, 0]]},  # one who is there twice
    {"members": [["udp 1", "A", 3, 3, 0], ["udp 2", "B", 2, 3, 0]]},  # the newest first
    {"members": [["udp 1", "A", 99, 3, 0]]},  # from the future
    {"members": [["udp 1", "A", 2, 99, 0]]},  # who has read what is yet to come
    {"members": [["udp 1", "\ud800", 2, 3, 0]]},  # no text
    {"pages": []},
    {"pages": [[0, 5], [6, 18]]},  # a gap
    {"pages": [[5, 0], [0, 18]]},  # backwards
    {"end": 1},
    {"start": 99},
    {"end": True},
    {"records": -1},
    {"checksum": 1.5},
]


@pytest.mark.parametrize("change", NONSENSE, ids=str)
def test_a_state_that_does_not_add_up_is_damaged(change: dict[str, object]) -> None:
    whole = {**json.loads(WHOLE[SNAPSHOT].body), **change}
    with pytest.raises(Damaged, match="makes no sense"):
        state_of(SNAPSHOT, seal(SNAPSHOT, 12, json.dumps(whole).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3 99 8 7",
        b"3 99 8\n1\tu\t0\t-\t4",
        b"3 99 8 7 6\n1\tu\t0\t-\t4",
        b"3 -9 8 7\n1\tu\t0\t-\t4",
        b"3 99 8 7777777777777777777\n1\tu\t0\t-\t4",
        b"4 99 8 7\n1\tu\t0\t-\t4",
        b"3 99 8 7\n",
        b"3 99 8 7\n1\tu\t0\t-",
        b"3 99 8 7\n-1\tu\t0\t-\t4",
        b"3 99 8 7\n1\tu\t0\t-\t\xff",
        b"3 99 8 7\n99999999999999999999\tu\t0\t-\t4",
    ],
)
def test_a_batch_that_says_nothing_is_damaged(body: bytes) -> None:
    row = seal(BATCH, 3, body)
    complaints = []
    looks: list[Callable[[Row], object]] = [header_of, records_of, time_of]
    for look in looks:
        try:
            look(row)
        except Damaged as error:
            complaints.append(str(error))
    assert complaints
    assert set(complaints) == {"batch 3 makes no sense"}
