"""What a deliberate bug is."""

from attrs import frozen

__all__ = ["Bug"]


@frozen
class Bug:
    """One change to the code, and where its discovery is expected."""

    claim: str
    """What is not true any more."""
    module: str
    """The file that is changed, in ``groupchat/``."""
    right: str
    """What stands there, once."""
    wrong: str
    """What stands there instead."""
    tests: str
    """The arguments of pytest by which the bug is found."""
