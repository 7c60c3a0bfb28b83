"""What is a legal name, what is a legal text, and when two names are the same.

Every other module asks here; none decides for itself. No function here knows a group or a
request: each takes a string and answers about that string.

Theory. A member writes two strings that others will read: his name and his texts. Both are
printed on other people's terminals, inside lines such as ``Alice: hi`` or ``Alice has
joined``. Two things must never happen:

* *one line looks like two, or like another kind of line.* So no text and no name holds a
  line break of any sort, and no name holds what the lines are built of: a colon, a comma, or
  one of the phrases in :data:`PHRASES`. The first colon of a line then always ends a name,
  and a line without one is told by its phrase, so each line reads in exactly one way.
* *a string drives the reader's terminal.* So neither holds a control character. The one
  exception is the tab, which is allowed in texts.

Texts are otherwise kept exactly as sent. Names are tidied (white space, NFC), because people
type them by hand and expect to be found under them, and compared as RFC 8266 compares
nicknames, because ``Alice`` and ``ALICE`` in one group would be one person to every reader.
"""

import re
from typing import Final
from unicodedata import category, normalize

__all__ = [
    "MAX_EXPANDED_CHARACTERS",
    "MAX_NAME_CHARACTERS",
    "MAX_TEXT_BYTES",
    "PHRASES",
    "is_legal_text",
    "name_key",
    "tidy_name",
]

MAX_NAME_CHARACTERS: Final = 32
"""Most characters (Unicode code points, after tidying) in a name."""

MAX_EXPANDED_CHARACTERS: Final = 4 * MAX_NAME_CHARACTERS
"""Most characters that a name may have in NFKC, which makes 18 of one ligature. Who sends names of
nothing else would have everybody wait."""

MAX_TEXT_BYTES: Final = 4_000
"""Most bytes (in UTF-8) in a text, and in the part of any request that follows its number."""

PHRASES: Final = ("has joined", "has left the group", "changed his name to")
"""The words that tell events without a colon apart. No name may contain one."""

# Cc without the tab, Zl and Zp. The ranges are closed for ever: Unicode's stability policy
# says that no character of category Cc will be added or taken away.
_ILLEGAL_IN_TEXT = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_ILLEGAL_IN_NAME = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

# Looked for in a name's key, so that capitals, wide letters and odd spaces do not hide it. The
# last ones are how replies of the plain protocol begin: "Server error: not stored, try again" must
# not be what somebody of that name has said.
_IMITATES_A_LINE = re.compile(
    r"[:,]|\b(?:" + "|".join(PHRASES) + r")\b|^illegal request$|^server error$"
)

# Category Zs, which the stability policy does not close, but which last grew in 1999.
_SPACES = re.compile("[ \xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")

# The characters that print as nothing: those with the property Default_Ignorable_Code_Point.
_INVISIBLE = re.compile(
    "[\u034f\u17b4\u17b5\u180b-\u180f\u2065\ufe00-\ufe0f\ufff0-\ufff8\U000e0000-\U000e0fff]"
)

# Those that print as a blank, but are not white space: fillers, an empty pattern, a null note.
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0\U0001d159]")


def is_legal_text(text: str) -> bool:
    """Tell whether a member may send *text*.

    A legal text is 1 to :data:`MAX_TEXT_BYTES` bytes of UTF-8 without control characters
    (category Cc, but the tab is allowed) and without line or paragraph separators (Zl, Zp).
    A string with a lone surrogate has no UTF-8 form, so it is not legal.
    """
    if not text or _ILLEGAL_IN_TEXT.search(text):
        return False
    try:
        return len(text.encode()) <= MAX_TEXT_BYTES
    except UnicodeEncodeError:
        return False


def tidy_name(name: str) -> str | None:
    """Return *name* as a group keeps it, or None when it is not a legal name.

    To tidy is to turn each run of white space (category Zs) into one space, to remove it at
    both ends, and to normalise to NFC. What is left is legal when it has 1 to
    :data:`MAX_NAME_CHARACTERS` characters, none of category Cc, Cf, Cs, Co, Zl or Zp, is not
    invisible as a whole, has no more than :data:`MAX_EXPANDED_CHARACTERS` in NFKC, and when its
    :func:`name_key` holds no ``:``, no ``,`` and none of :data:`PHRASES` as whole words, and is
    neither ``illegal request`` nor ``server error``.
    """
    spaced = _SPACES.sub(" ", name).strip(" ")
    if len(spaced) > 4 * MAX_NAME_CHARACTERS:
        return None  # NFC makes one character of four at the most, and takes long for many
    tidied = normalize("NFC", spaced)
    if not 1 <= len(tidied) <= MAX_NAME_CHARACTERS:
        return None
    if any(category(character) in _ILLEGAL_IN_NAME for character in tidied):
        return None
    if len(normalize("NFKC", tidied)) > MAX_EXPANDED_CHARACTERS:
        return None
    key = name_key(tidied)
    if not key or _IMITATES_A_LINE.search(key):
        return None
    return tidied


def name_key(name: str) -> str:
    """Return what a name is compared by: two names are the same when their keys are equal.

    The rules are those of the Nickname profile (RFC 8266, section 2.4) in its order: white
    space, lower case, NFKC; applied once and three times more, after which nothing changes any
    longer. The profile does not admit invisible characters at all; here they are left out of
    the key, and those that print as a blank count as white space, so that a name cannot be
    doubled by hiding one in it.
    """
    once = _folded(name)
    twice = _folded(once)
    return once if once == twice else _folded(_folded(twice))


def _folded(name: str) -> str:
    visible = _BLANK.sub(" ", _INVISIBLE.sub("", name))
    return normalize("NFKC", _SPACES.sub(" ", visible).strip(" ").lower())
