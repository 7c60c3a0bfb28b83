"""A shield for a UDP socket: under a flood, the kernel drops most of what strangers send.

What lives here: a filter in the kernel, and when it is there. What must not: who is a stranger.

Theory. A flood harms by filling the socket's buffer, so that what members send finds no room in
it. The cure is a filter (classic BPF, Linux ``SO_ATTACH_FILTER``; it needs no privilege) that the
kernel runs before it queues a datagram, on the time of whoever sends it: what comes from a known
address passes, what comes from another that floods does not, and of all else one datagram in *n*
passes, by chance. While there is no flood there is no filter. Whenever too much of what waited was
unwanted, *n* grows fourfold; each second it halves.

Anybody can put a member's address on his junk, and the member must not be silenced by that. So a
known address never counts as flooding. But anybody can also become a member, and then flood. So
when more comes for nothing from a known address than the server can easily throw away, one
datagram in 16 passes for as long as that lasts: too few to keep others from being heard, and
enough for who asks again.

The filter tells addresses by a hash with a secret key, so that nobody can send from an address
that looks like a member's. Where the system has no such filters, nothing happens.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

__all__ = [
    "CROWDING_DATAGRAMS",
    "FLOODING_DATAGRAMS",
    "FLOODING_SECONDS",
    "UNWANTED_DATAGRAMS",
    "Shield",
]

Address: TypeAlias = tuple[Any, ...]
_Instruction: TypeAlias = tuple[int, int, int, int]

UNWANTED_DATAGRAMS: Final = 128
"""Unwanted datagrams in one wake-up that raise the shield. A quarter of them raise it further."""

FLOODING_DATAGRAMS: Final = 32
"""Unwanted datagrams from one address in one wake-up, from which on it counts as flooding."""

FLOODING_SECONDS: Final = 10.0
"""Seconds for which nothing passes from an address that has flooded."""

CROWDING_DATAGRAMS: Final = 8_192
"""Unwanted datagrams from one known address in one second, from which on few of them pass."""

_LEAST, _MOST = 16, 4_096  # of the strangers' datagrams one in so many passes
_FLOODING: Final = 256  # addresses that are remembered as flooding
_RAISE_SECONDS: Final = 0.05
_EASE_SECONDS: Final = 1.0
_CROWDING_SHARE: Final = 16  # of so many datagrams of one that crowds one passes
_CROWDING_SECONDS: Final = 2.0  # so that it does not lapse from one second to the next

# Linux: socket options, and the instructions of classic BPF with the places that they load from.
_ATTACH, _DETACH = 26, 27
_NETWORK_HEADER, _RANDOM = 0xFFF00000, 0xFFFFF038
_LOAD, _LOAD_HALF, _LOAD_BYTE, _LOAD_NUMBER, _LOAD_MEMORY = 0x20, 0x28, 0x30, 0x00, 0x60
_STORE, _TO_INDEX, _ADD_INDEX, _MULTIPLY, _SHIFT, _MODULO = 0x02, 0x07, 0x0C, 0x24, 0x74, 0x94
_JUMP, _IF_EQUAL, _IF_NOT_LESS, _RETURN, _RETURN_LOADED = 0x05, 0x15, 0x35, 0x06, 0x16
_PASS, _DROP, _SHARE = 0xFFFFFFFF, 0, 1  # the last is for the second lottery to decide,
_OTHERS: Final = [(_LOAD_MEMORY, 0, 0, 0), (_RETURN_LOADED, 0, 0, 0)]  # and this for the first
_SECRET: Final = secrets.randbits(32) | 1
_LEAF: Final = 16  # keys that are compared one after another


class Shield:
    """The shield of one socket.

    Args:
        sock: a bound UDP socket.
        loop: the running event loop.
        known: returns the addresses of members.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        known: Callable[[], Collection[Address]],
    ) -> None:
        self._socket = sock
        self._loop = loop
        self._known = known
        self._flooding: dict[Address, float] = {}  # and until when nothing passes
        self._crowding: dict[Address, float] = {}  # known ones, and until when few pass
        self._counts: Counter[Address] = Counter()  # what known ones sent for nothing since
        self._counting = 0.0
        self._one_in = 1
        self._raised = 0.0
        self._easing: asyncio.TimerHandle | None = None  # there is a filter while this is set
        self._attaching: asyncio.TimerHandle | None = None
        self._able = sys.platform == "linux"

    @property
    def raised(self) -> bool:
        """Whether there is a filter."""
        return self._easing is not None

    def unwanted(self, senders: Mapping[Address, int]) -> None:
        """Take note of the datagrams of one wake-up that were for nothing.

        Args:
            senders: from where, and how many.
        """
        now = time.monotonic()
        known = self._known()
        for address in [address for address in senders if address in known]:
            self._count(address, senders[address], now)
        strangers = {a: count for a, count in senders.items() if a not in known}
        enough = UNWANTED_DATAGRAMS // 4 if self.raised else UNWANTED_DATAGRAMS
        if sum(strangers.values()) < enough:
            return
        for address, count in strangers.items():
            if count >= FLOODING_DATAGRAMS:
                self._flooding.pop(address, None)
                self._flooding[address] = now + FLOODING_SECONDS
        while len(self._flooding) > _FLOODING:
            del self._flooding[next(iter(self._flooding))]
        if now - self._raised >= _RAISE_SECONDS:
            self._raised = now
            self._one_in = min(max(4 * self._one_in, _LEAST), _MOST)
            self._attach()

    def _count(self, address: Address, count: int, now: float) -> None:
        """Count what came for nothing from a known address."""
        if now - self._counting >= 1.0:
            self._counts.clear()
            self._counting = now
        crowding = address in self._crowding
        self._counts[address] += count * (_CROWDING_SHARE if crowding else 1)
        if self._counts[address] >= CROWDING_DATAGRAMS:
            self._crowding[address] = now + _CROWDING_SECONDS
            if not crowding:
                self._attach()

    def changed(self) -> None:
        """Take note that other addresses are known now."""
        if self.raised and self._attaching is None:
            self._attaching = self._loop.call_later(_RAISE_SECONDS, self._attach)

    def close(self) -> None:
        """Let go of the timers."""
        for timer in (self._easing, self._attaching):
            if timer is not None:
                timer.cancel()

    def _ease(self) -> None:
        now = time.monotonic()
        self._easing = None
        if now - self._raised >= _EASE_SECONDS:
            self._one_in = self._one_in // 2 if self._one_in > _LEAST else 1
        self._flooding = {a: until for a, until in self._flooding.items() if until > now}
        self._crowding = {a: until for a, until in self._crowding.items() if until > now}
        if self._one_in > 1 or self._flooding or self._crowding:
            self._attach()
        else:
            self._detach()

    def _attach(self) -> None:
        if not self._able:
            return
        if self._attaching is not None:
            self._attaching.cancel()
            self._attaching = None
        known = list(self._known())
        while self._able and not self._filtered(known):
            # Too many for this system: the last to be heard are those who need it most.
            self._able = len(known) > _LEAF
            known = known[len(known) // 2 :]
        if not self._able:
            self._detach()
            return
        if self._easing is None:
            self._easing = self._loop.call_later(_EASE_SECONDS, self._ease)

    def _filtered(self, known: list[Address]) -> bool:
        """Put the filter in place, if the system takes it."""
        verdicts = dict.fromkeys(map(_key, self._flooding), _DROP)
        verdicts.update((_key(a), _SHARE if a in self._crowding else _PASS) for a in known)
        program = _program(verdicts, self._one_in)
        code = array("B", b"".join(struct.pack("=HBBI", *step) for step in program))
        try:
            pointer = struct.pack("HP", len(program), code.buffer_info()[0])
            self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH, pointer)
        except (OSError, struct.error):
            return False
        return True

    def _detach(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _DETACH, 0)


def _key(address: Address) -> int:
    """Return the hash of an address that the filter makes, too."""
    host = address[0].removeprefix("::ffff:").partition("%")[0]
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    key: int = 0
    for word in struct.unpack(f"!{len(packed) // 4}I", packed):
        key = (key + int(word)) * _SECRET & 0xFFFFFFFF
    return (key + int(address[1])) * _SECRET & 0xFFFFFFFF


def _program(verdicts: dict[int, int], one_in: int) -> list[_Instruction]:
    """Return the filter that gives each key its verdict, and passes one in *one_in* of the others.

    Memory 0 holds what the others get, and memory 1 what those get who are to have a share; the
    accumulator holds, in the end, the key.
    """
    lotteries = [*_lottery(one_in, 0), *_lottery(_CROWDING_SHARE, 1)]
    four = _hashed([12], 20)
    six = [
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER + 6),
        (_IF_EQUAL, 2, 0, 17),  # UDP follows at once
        *_OTHERS,
        *_hashed([8, 12, 16, 20], 40),
    ]
    version = [
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_IF_EQUAL, 0, 1, 0x45),  # IPv4 without options
        (_JUMP, 0, 0, 5 + len(six)),
        (_SHIFT, 0, 0, 4),
        (_IF_EQUAL, 2, 0, 6),
        *_OTHERS,
    ]
    search = _search(sorted(verdicts), verdicts)
    return [*lotteries, *version, *six, (_JUMP, 0, 0, len(four)), *four, *search]


def _lottery(one_in: int, memory: int) -> list[_Instruction]:
    """Return what stores whether this one passes, which one in *one_in* does."""
    return [
        (_LOAD, 0, 0, _RANDOM),
        (_MODULO, 0, 0, one_in),
        (_IF_EQUAL, 0, 2, 0),
        (_LOAD_NUMBER, 0, 0, _PASS),
        (_JUMP, 0, 0, 1),
        (_LOAD_NUMBER, 0, 0, _DROP),
        (_STORE, 0, 0, memory),
    ]


def _hashed(words: list[int], port: int) -> list[_Instruction]:
    """Return what makes the key of an address whose words and port stand at these offsets."""
    code = [(_LOAD, 0, 0, _NETWORK_HEADER + words[0]), (_MULTIPLY, 0, 0, _SECRET)]
    for load, offset in (*((_LOAD, word) for word in words[1:]), (_LOAD_HALF, port)):
        code += [
            (_TO_INDEX, 0, 0, 0),
            (load, 0, 0, _NETWORK_HEADER + offset),
            (_ADD_INDEX, 0, 0, 0),
            (_MULTIPLY, 0, 0, _SECRET),
        ]
    return code


def _search(keys: list[int], verdicts: dict[int, int]) -> list[_Instruction]:
    """Return what looks the accumulator up among sorted *keys*."""
    if len(keys) > _LEAF:
        middle = len(keys) // 2
        below, rest = _search(keys[:middle], verdicts), _search(keys[middle:], verdicts)
        return [(_IF_NOT_LESS, 0, 1, keys[middle]), (_JUMP, 0, 0, len(below)), *below, *rest]
    last = len(keys)
    places = {_DROP: 1, _PASS: 2, _SHARE: 3}
    tests = [
        (_IF_EQUAL, last - number + places[verdicts[key]], 0, key)
        for number, key in enumerate(keys)
    ]
    code = [*tests, *_OTHERS, (_RETURN, 0, 0, _DROP), (_RETURN, 0, 0, _PASS)]
    if _SHARE in map(verdicts.__getitem__, keys):
        code += [(_LOAD_MEMORY, 0, 0, 1), (_RETURN_LOADED, 0, 0, 0)]
    return code
