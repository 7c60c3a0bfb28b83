"""Legal names, legal texts, and which names are the same."""

import sys
from collections.abc import Callable
from unicodedata import category, is_normalized, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupchat.core import (
    ILLEGAL_REQUEST,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_BYTES,
    is_legal_text,
    name_key,
    tidy_name,
)
from groupchat.core.names import MAX_EXPANDED_CHARACTERS, PHRASES
from groupchat.core.plain import NOT_STORED, TOO_MANY, UNREADABLE
from tests.core.strategies import legal_names, wild_names, wild_texts

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # three people and two joiners


@pytest.mark.parametrize(
    "text",
    [
        "x",
        " ",
        "  two  spaces ",
        "\t",
        "a\tb",
        FAMILY,
        "x" * 4_000,
        "é" * 2_000,
        "\u202e",
        "a: b, c",
    ],
)
def test_a_text_may_be(text: str) -> None:
    assert is_legal_text(text)


@pytest.mark.parametrize(
    "text",
    ["", "x" * 4_001, "é" * 2_000 + "x", "a\nb", "a\rb", "\x00", "\x1b[2J", "\x7f", "\x85", "\x9f"]
    + ["\u2028", "\u2029", "\ud800", "a\udfff"],
)
def test_a_text_may_not_be(text: str) -> None:
    assert not is_legal_text(text)


def test_exactly_the_control_and_separator_characters_are_illegal_in_texts() -> None:
    illegal = {chr(c) for c in range(sys.maxunicode + 1) if not is_legal_text(chr(c))}
    expected = {
        chr(c)
        for c in range(sys.maxunicode + 1)
        if category(chr(c)) in ("Cc", "Zl", "Zp", "Cs") and chr(c) != "\t"
    }
    assert illegal == expected


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Alice", "Alice"),
        ("  Alice  ", "Alice"),
        (" Xerxes X", "Xerxes X"),
        ("Alice   B.", "Alice B."),
        ("\u3000Alice\u00a0\u2003B", "Alice B"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("x" * 32, "x" * 32),
        (" " * 100 + "x" * 32 + " ", "x" * 32),
        ("e\u0301" * 32, "\u00e9" * 32),
        ("x" + " " * 3_998 + "y", "x y"),
        ("\u03b1\u0313\u0300\u0345" * 32, "\u1f82" * 32),
        ("\U0001f46a", "\U0001f46a"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("\u674e\u5c0f\u9f99", "\u674e\u5c0f\u9f99"),
        ("\u0645\u0631\u064a\u0645", "\u0645\u0631\u064a\u0645"),
        ("\u0410\u043d\u043d\u0430", "\u0410\u043d\u043d\u0430"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("hashas joinedx", "hashas joinedx"),
        ("has", "has"),
        ("changed his name", "changed his name"),
        ("has  left", "has left"),
        ("\u0378", "\u0378"),  # not assigned to anything yet
    ],
)
def test_a_name_is_kept_as(name: str, kept: str) -> None:
    assert tidy_name(name) == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u3000 ",
        "x" * 33,
        "e\u0301" * 33,
        "a:b",
        ":",
        "a,b",
        "\u03b1\u0313\u0300\u0345" * 32 + "x",
    ]
    + [
        "\tab",
        "ab\n",
        "a\tb",
        "a\nb",
        "\x00",
        "\x1b[2J",
        "a\u200bb",
        FAMILY,
        "\u202eecilA",
        "\ud800",
        "\ue000",
    ]
    + ["\u2028", "\u2029", "\U000e0041"]
    + [
        *("has joined", "X has joined", "has joined the club", "has left the group"),
        *("A changed his name to B", "HAS JOINED", "has  joined", "x has joined!", "-has joined-"),
        *("\uff48\uff41\uff53 \uff4a\uff4f\uff49\uff4e\uff45\uff44", "has\u00a0joined"),
        *("ha\ufe0fs joined", "Alice\uff1a hi", "a\uff0cb", "\u2a74"),
        *("Bob has\u2065 joined", "Bob\u2800has\u2800left\u2800the\u2800group"),
    ]
    + ["\u3164", "\ufe0f", "\u3164 \u115f", "\u2800", "\u2065"],
)
def test_a_name_may_not_be(name: str) -> None:
    assert tidy_name(name) is None


def test_a_name_that_expands_to_very_many_characters_is_none() -> None:
    """One ligature is a whole sentence, and to compare sentences takes long."""
    assert tidy_name("\ufdfa" * 7) == "\ufdfa" * 7
    assert len(name_key("\ufdfa" * 7)) <= MAX_EXPANDED_CHARACTERS
    assert tidy_name("\ufdfa" * 8) is None
    longest = "\ufdfa" * 7 + "xx"
    assert len(name_key(longest)) == MAX_EXPANDED_CHARACTERS
    assert tidy_name(longest) == longest
    assert tidy_name(longest + "x") is None


def test_no_roster_reads_as_a_refusal() -> None:
    assert tidy_name(ILLEGAL_REQUEST.decode()) is None
    assert tidy_name("ILLEGAL  request") is None
    assert tidy_name("Illegal requests") == "Illegal requests"
    assert tidy_name("No illegal request") == "No illegal request"


@pytest.mark.parametrize("reply", [ILLEGAL_REQUEST, NOT_STORED, UNREADABLE, TOO_MANY])
@pytest.mark.parametrize("spelt", [str, str.upper, lambda name: name.replace("e", "\uff45")])
def test_nobody_can_say_what_the_server_itself_says(
    reply: bytes, spelt: Callable[[str], str]
) -> None:
    name = reply.decode().partition(": ")[0]
    assert tidy_name(spelt(name)) is None
    assert tidy_name(spelt(name) + " 2") is not None


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_phrase_stands_in_a_name(phrase: str) -> None:
    assert tidy_name(phrase) is None
    assert tidy_name(f"a {phrase} b") is None
    assert tidy_name(f"a{phrase}b") == f"a{phrase}b"


@pytest.mark.parametrize(
    "other",
    [
        "ALICE",
        "alice",
        "\uff21\uff2c\uff29\uff23\uff25",
        " Alice ",
        "A\u200alice".replace("\u200a", ""),
    ]
    + ["Alice\ufe0f", "\u3164Alice", "Al\u034fice", "\U0001d400lice", "Alice\u2065\ufff0"]
    + ["Alice\U000e0000", "\U000e0fffAlice", "Alice\u2800", "\U0001d159Alice"],
)
def test_it_is_the_same_name(other: str) -> None:
    assert name_key(other) == name_key("Alice") == "alice"


@pytest.mark.parametrize(
    ("one", "other", "key"),
    [
        ("Am\u00e9lie", "AME\u0301LIE", "am\u00e9lie"),  # the other composition
        ("\ufb01n", "FIN", "fin"),  # a ligature
        ("a  b", "a\u3000b", "a b"),
        ("\u00a8", "\u0308", "\u0308"),  # takes a second round: NFKC makes a space to trim
        ("\u2160", "i", "i"),  # the Roman numeral one
        (" Xerxes X ", "XERXES X", "xerxes x"),
        ("\ta\n", "\tA\n", "\ta\n"),  # not legal, and not made so by comparing
    ],
)
def test_they_are_the_same_name(one: str, other: str, key: str) -> None:
    assert name_key(one) == name_key(other) == key


def test_white_space_is_what_unicode_calls_so() -> None:
    spaces = {chr(c) for c in range(sys.maxunicode + 1) if tidy_name(f"a{chr(c)}b") == "a b"}
    assert spaces == {chr(c) for c in range(sys.maxunicode + 1) if category(chr(c)) == "Zs"}


def test_no_character_is_composed_of_more_than_four() -> None:
    """So whatever is longer than four times a name before NFC is longer than one after it."""
    assert max(len(normalize("NFD", chr(c))) for c in range(sys.maxunicode + 1)) == 4


def test_they_are_different_names() -> None:
    names = ["Alice", "Alicia", "A lice", "\u00c1lice", "\u0410lice", "strasse", "stra\u00dfe"]
    assert len({name_key(name) for name in names}) == len(names)


@given(wild_names)
def test_a_tidy_name_obeys_every_rule(name: str) -> None:
    kept = tidy_name(name)
    if kept is None:
        return
    assert 1 <= len(kept) <= MAX_NAME_CHARACTERS
    assert is_normalized("NFC", kept)
    assert kept == " ".join(kept.split(" ")).strip()
    assert not {category(c) for c in kept} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert ":" not in kept
    assert "," not in kept
    words = f" {kept} "
    assert not any(f" {phrase} " in words for phrase in PHRASES)


@given(legal_names)
def test_tidying_twice_changes_nothing(name: str) -> None:
    assert tidy_name(name) == name


@given(wild_names)
def test_a_key_is_its_own_key(name: str) -> None:
    key = name_key(name)
    assert name_key(key) == key


@given(legal_names)
def test_capitals_and_spaces_make_no_other_name(name: str) -> None:
    assert name_key(f"  {name}\u00a0") == name_key(name)
    assert name_key(name.lower()) == name_key(name)


@given(wild_texts | st.text(min_size=1_300, max_size=1_400, alphabet="\u20ac"))
def test_a_legal_text_obeys_every_rule(text: str) -> None:
    if is_legal_text(text):
        assert 1 <= len(text.encode()) <= MAX_TEXT_BYTES
        assert not {category(c) for c in text.replace("\t", "")} & {"Cc", "Zl", "Zp", "Cs"}
