"""Numbers of things, for people. The lines that members are told are a protocol, and have none."""

__all__ = ["counted"]


def counted(number: int, one: str, more: str = "") -> str:
    """Return *number* and the noun, *one* or *more* (*one* with an ``s`` if not given): ``1 page``,
    ``2,000 pages``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"
