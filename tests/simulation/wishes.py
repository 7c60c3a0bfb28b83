"""What members wish to do.

What lives here: names, texts, and how often somebody does what. What must not: how it is done.

Theory. Each text is said once in a run, and can be told from every other, also by its end alone.
Most names are new; a few are somebody's, who is in the group under it.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from tests.simulation.world import World

__all__ = ["ILLEGAL", "Wish", "Wishes"]

ILLEGAL: Final = "2 \x07"
"""The one request in a run that is not legal, whoever asks."""


class Wish(Enum):
    """What somebody can wish."""

    SAY = "say"
    SAY_MUCH = "say much"
    SAY_LONG = "say something that does not fit a datagram"
    SAY_NOTHING_LEGAL = "say what nobody may"
    RENAME = "be called otherwise"
    LEAVE = "leave"
    COME_BACK = "leave and join at once"
    WHO = "know who is here"
    SEEN = "know how far all are"
    ACKNOWLEDGE = "have the server know how far we are"
    LISTEN = "wait for news, or no more"
    FOLLOW = "be told news unasked"
    UPDATE = "be told news"


_OFTEN: Final = {
    Wish.SAY: 46,
    Wish.SAY_MUCH: 5,
    Wish.SAY_LONG: 10,
    Wish.SAY_NOTHING_LEGAL: 2,
    Wish.RENAME: 3,
    Wish.LEAVE: 2,
    Wish.COME_BACK: 1,
    Wish.WHO: 4,
    Wish.SEEN: 6,
    Wish.ACKNOWLEDGE: 2,
    Wish.LISTEN: 7,
    Wish.FOLLOW: 5,
    Wish.UPDATE: 7,
}
_WISHES: Final = tuple(wish for wish, often in _OFTEN.items() for _ in range(often))
_FILLERS: Final = ("x", "x", "ok ", "hm, well, I do not know ", "äöü 漢字 😀 ")


class Wishes:
    """One member's.

    Args:
        world: draws them.
        who: the member's name.
    """

    def __init__(self, world: World, who: str) -> None:
        self._world = world
        self._who = who
        self._names = 0
        self._texts: dict[str, str] = {}  # requests by their last word

    def wish(self) -> Wish:
        """Return what it wishes now."""
        return self._world.pick(_WISHES)

    def requests(self, wish: Wish, others: Sequence[str]) -> list[str]:
        """Return the requests by which a *wish* comes true, if that is how it does.

        Args:
            wish: what is wished.
            others: the names of those who are here.
        """
        world = self._world
        match wish:
            case Wish.SAY:
                return [self.say(world.below(90))]
            case Wish.SAY_MUCH:
                return [self.say(world.below(60)) for _ in range(world.between(2, 12))]
            case Wish.SAY_LONG:
                return [self.say(world.between(900, 3_800))]
            case Wish.SAY_NOTHING_LEGAL:
                return [ILLEGAL]
            case Wish.RENAME:
                return [f"3 {self._name(others)}"]
            case Wish.LEAVE:
                return ["4"]
            case Wish.COME_BACK:
                return ["4", self.join(others)]
            case Wish.UPDATE:
                return ["5"]
            case _:
                return []

    def say(self, size: int) -> str:
        """Return the request to say about *size* bytes."""
        word = f"{self._who}.{len(self._texts) + 1}"
        filler = self._world.pick(_FILLERS)
        request = f"2 {word} {filler * (size // len(filler.encode()))} {word}"
        self._texts[word] = request
        return request

    def whole(self, part: str) -> str:
        """Return the request whose last *part* this is."""
        start, _, rest = part[1:].partition(" ")
        size = int(start) + len(rest.encode())
        return next(
            request
            for request in reversed(self._texts.values())
            if request.endswith(rest) and len(request.encode()) == size
        )

    def join(self, others: Sequence[str] = ()) -> str:
        """Return a request to join."""
        return f"1 {self._name(others)}"

    def _name(self, others: Sequence[str]) -> str:
        if others and self._world.chance(0.15):
            return self._world.pick(others).upper()
        self._names += 1
        return f"{self._who.upper()} {self._names}"
