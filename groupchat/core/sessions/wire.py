"""How the messages of the session protocol look, whatever they say.

What lives here: the seal in front of a message, and how numbers, marks and tokens are written.
What must not: what a request or a reply is made of.

A message begins with ``@`` and its checksum, eight hexadecimal digits: the CRC-32 (RFC 1952) of
all after the space that follows. In front of what the checksum of a reply is made of stands its
*key*: the token in the request, or the nonce in it. So whoever has not seen the request cannot
forge a reply to it.

A *mark* is how far somebody has come: the position of the next event he has not had, and, if he
has had a part of its line, a full stop and how many bytes of it.
"""

import re
from typing import Final
from zlib import crc32

from attrs import frozen

__all__ = [
    "COOKIE",
    "DATAGRAM_BYTES",
    "MAX_NUMBER",
    "NONCE",
    "SEAL_BYTES",
    "TOKEN",
    "VERSION",
    "Mark",
    "matching",
    "number_of",
    "positive_of",
    "sealed",
    "unsealed",
]

VERSION: Final = 1
"""The version of the session protocol."""

DATAGRAM_BYTES: Final = 1_200
"""Bytes that a request and a reply may have where each is one datagram (RFC 9000, section 14)."""

MAX_NUMBER: Final = 10**15
"""No number or position is greater."""

SEAL_BYTES: Final = len("@01234567 ")
"""Bytes in front of every message: what kind it is, and its checksum."""

TOKEN: Final = re.compile(rb"[0-9a-f]{32}")
NONCE: Final = re.compile(rb"[0-9a-f]{16}")
COOKIE: Final = NONCE

_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,14}")


@frozen(order=True)
class Mark:
    """How far somebody has come."""

    position: int
    """The position of the next event that he has not had."""
    offset: int = 0
    """How many bytes of its line he has had."""

    def __str__(self) -> str:
        return f"{self.position}.{self.offset}" if self.offset else str(self.position)

    @classmethod
    def parse(cls, text: bytes) -> "Mark":
        """Return the mark that *text* shows.

        Raises:
            ValueError: it shows none.
        """
        position, dot, offset = text.partition(b".")
        return cls(number_of(position), number_of(offset) if dot else 0)


def sealed(message: bytes, key: str = "") -> bytes:
    """Return *message* with its seal."""
    return b"@%08x %b" % (crc32(message, crc32(key.encode())), message)


def unsealed(whole: bytes, key: str = "") -> bytes | None:
    """Return the message in *whole*; None if it is none, or not as it was sent."""
    message = whole[SEAL_BYTES:]
    return message if sealed(message, key) == whole else None


def number_of(text: bytes) -> int:
    """Return the number that *text* shows.

    Raises:
        ValueError: it shows none.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return int(text)


def positive_of(text: bytes) -> int:
    """Return the number that *text* shows, if it is not 0.

    Raises:
        ValueError: it shows none.
    """
    number = number_of(text)
    if not number:
        raise ValueError
    return number


def matching(pattern: re.Pattern[bytes], text: bytes) -> str:
    """Return *text*, which is to look like *pattern*.

    Raises:
        ValueError: it does not.
    """
    if not pattern.fullmatch(text):
        raise ValueError
    return text.decode()
