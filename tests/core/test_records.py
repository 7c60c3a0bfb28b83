"""The log's records: readable lines, from which the same records come back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groupchat.core import Join, Leave, Rename, Send
from groupchat.core.records import SERVER, Drop, Record
from tests.core.strategies import records


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            Record(1763848800123, "udp 127.0.0.1:40001", 12, (Send("Hi all"),), 1_024),
            "1763848800123\tudp 127.0.0.1:40001\t12\t1024\t2 Hi all",
        ),
        (Record(7, "tcp [::1]:5 #3", 0, (Join("Al"),)), "7\ttcp [::1]:5 #3\t0\t-\t1 Al"),
        (Record(8, "u", -5, (Leave(),), -1), "8\tu\t-5\t-1\t4"),
        (Record(9, "u", 1, (Send("a\tb \t"),), 0), "9\tu\t1\t0\t2 a\tb \t"),
        (Record(10, SERVER, 0, (Drop(512),)), "10\tserver\t0\t-\tdrop 512"),
        (
            Record(11, "session 5f", 14, (Send("a"), Rename("B")), None, 7, "done,not-a-request"),
            "11\tsession 5f\t14\t#7 done,not-a-request\t2 a\x1e3 B",
        ),
        (Record(12, "s", 0, (Leave(),), None, 7, "well done"), "12\ts\t0\t#7 well done\t4"),
    ],
    ids=["plain", "any length", "no reply", "tabs in a text", "drop", "session", "any results"],
)
def test_a_record_is_one_readable_line(record: Record, text: str) -> None:
    assert record.encode() == text
    assert Record.decode(text) == record


@given(records)
def test_from_its_line_comes_the_same_record(record: Record) -> None:
    line = record.encode()
    assert "\n" not in line
    assert Record.decode(line) == record
    assert Record.decode(line).encode() == line


@pytest.mark.parametrize("sender", ["a\tb", "a\nb", "a\x1eb", "\u2028", "\ud800", "\0"])
def test_a_sender_that_would_look_like_more_than_one_field_cannot_be_written(sender: str) -> None:
    with pytest.raises(ValueError, match="not a sender"):
        Record(0, sender, 0, (Leave(),)).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1\tu\t0\t-",
        "x\tu\t0\t-\t4",
        "1\tu\tx\t-\t4",
        "1\tu\t0\tx\t4",
        "1\tu\t0\t#x done\t4",
        "1\tu\t0\t#\t4",
        "1\tu\t0\t-\t",
        "1\tu\t0\t-\t6",
        "1\tu\t0\t-\t2 ",
        "1\tu\t0\t-\t2 \ud800",
        "1\tu\t0\t-\tdrop",
        "1\tu\t0\t-\tdrop x",
        "1\tu\t0\t#1 done\t4\x1e",
        "9" * 5_000 + "\tu\t0\t-\t4",
    ],
)
def test_what_is_no_record_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Record.decode(text)


def test_it_is_said_what_was_to_be_a_request() -> None:
    with pytest.raises(ValueError, match="not a request: '6'"):
        Record.decode("1\tu\t0\t-\t6")


_DAMAGE = st.lists(
    st.tuples(
        st.integers(0, 200), st.integers(0, 3), st.text(st.characters(codec=None), max_size=3)
    ),
    min_size=1,
    max_size=4,
)


@given(records, _DAMAGE)
@example(Record(0, "u", 0, (Leave(),)), [(0, 9, "\ud800")])
def test_a_damaged_line_is_a_value_error_or_another_record(
    record: Record, damage: list[tuple[int, int, str]]
) -> None:
    """And nothing else: whoever reads a journal has one kind of error to expect."""
    line = record.encode()
    for start, length, instead in damage:
        line = line[:start] + instead + line[start + length :]
    try:
        found = Record.decode(line)
    except ValueError:
        return
    assert isinstance(found, Record)


@given(st.text(st.characters(codec=None)) | st.lists(st.text()).map("\t".join))
def test_any_line_is_a_value_error_or_a_record(line: str) -> None:
    try:
        found = Record.decode(line)
    except ValueError:
        return
    assert isinstance(found, Record)
