"""What legal and illegal input looks like, for Hypothesis."""

from hypothesis import strategies as st

from groupchat.core import (
    MAX_NAME_CHARACTERS,
    Event,
    Joined,
    Left,
    Renamed,
    Said,
    is_legal_text,
    tidy_name,
)

__all__ = ["events", "legal_names", "legal_texts", "wild_names", "wild_texts"]

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
)
