"""What legal and illegal input looks like, for Hypothesis."""

from hypothesis import strategies as st

from groupchat.core import (
    MAX_NAME_CHARACTERS,
    Command,
    Event,
    Join,
    Joined,
    Leave,
    Left,
    Removed,
    Rename,
    Renamed,
    Said,
    Send,
    Update,
    is_legal_text,
    tidy_name,
)
from groupchat.core.records import Drop, Record

__all__ = [
    "commands",
    "events",
    "legal_names",
    "legal_texts",
    "names_to_quarrel_about",
    "records",
    "wild_names",
    "wild_texts",
]

# Pieces of which the dangerous names and texts are made: those that look like lines.
_PIECES = st.sampled_from(
    [
        *("has joined", "has left the group", "changed his name to", "has", "joined", "to"),
        *("Alice", "alice", "ALICE", "Bob", " ", "  ", ": ", ":", ", ", "\u00a0", "\u3000"),
        *(
            "\uff21lice",
            "e\u0301",
            "\u00e9",
            "\u1e9e",
            "ss",
            "\u00df",
            "\u200b",
            "\ufe0f",
            "\u3164",
        ),
        *("\U0001f46a", "\t", "\n", "\r\n", "\x00", "\x85", "\u2028", "\ud800", "\ue000", "x" * 20),
    ]
)
_CHARACTERS = st.characters(codec=None)

wild_names = st.lists(_PIECES | _CHARACTERS, max_size=8).map("".join)
wild_texts = wild_names

legal_names = (
    wild_names.map(lambda name: name[:MAX_NAME_CHARACTERS])
    .map(tidy_name)
    .filter(lambda name: name is not None)
    .map(str)
)
legal_texts = wild_texts.filter(is_legal_text)

_positions = st.integers(0, 2**40)
_times = st.integers(0, 2**42)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Joined, _positions, _times, legal_names),
    st.builds(Said, _positions, _times, legal_names, legal_texts),
    st.builds(Renamed, _positions, _times, legal_names, legal_names),
    st.builds(Left, _positions, _times, legal_names),
    st.builds(Removed, _positions, _times, st.integers(1, 2**40)),
)

names_to_quarrel_about = st.sampled_from(
    ["Alice", "ALICE", "Bob", "\uff22ob", "Carol", "", "a:b", "Zo\u00eb", "Zoe\u0308"]
)
"""So few that whoever wants one often finds it taken."""

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Join, names_to_quarrel_about),
    st.builds(Rename, names_to_quarrel_about),
    st.builds(Send, st.sampled_from(["hi", "", "a\nb", "x" * 60])),
    st.just(Leave()),
    st.just(Update()),
)
"""Legal ones and others."""

_accepted: st.SearchStrategy[Command] = st.one_of(
    st.builds(Join, legal_names),
    st.builds(Rename, legal_names),
    st.builds(Send, legal_texts),
    st.just(Leave()),
)
_senders = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=40)
_standings = st.integers(-(2**40), 2**40)
_results = st.lists(
    st.sampled_from(["done", "name-in-use", "not-a-request", "incomplete"]), min_size=1
).map(",".join)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Record,
        time=_times,
        sender=_senders,
        standing=_standings,
        commands=st.tuples(_accepted | st.builds(Drop, _positions)),
        budget=st.none() | st.integers(-1, 2**31),
    ),
    st.builds(
        Record,
        time=_times,
        sender=_senders,
        standing=_standings,
        commands=st.lists(_accepted, min_size=1, max_size=4).map(tuple),
        number=st.integers(1, 10**15),
        results=_results,
    ),
)
"""What a log can hold."""
