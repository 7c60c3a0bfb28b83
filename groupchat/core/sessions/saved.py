"""A session as it is written down, to go on by in another process."""

from attrs import frozen

__all__ = ["Saved"]


@frozen
class Saved:
    """A session, to go on by."""

    token: str
    number: int
    """Of the last request."""
    position: int
    """All before this has been told."""
    joined: bool
    """Whether it has ever been a member."""
    group: str = "main"
    commands: tuple[bytes, ...] = ()
    """Those of the last request, if it is still under way."""
    said: int = 0
    """All that was said by it lies before this; 0 for nothing."""
    command: bytes = b""
    """The whole of the command of which the last of *commands* is a part, if it is one."""
