"""The conversation that the chat has to reproduce, byte for byte: ``transcript.md`` beside this
file, as data."""

from importlib.resources import files

from attrs import frozen

__all__ = ["Exchange", "load"]


@frozen
class Exchange:
    """One request and the reply that it must get."""

    step: str
    member: str
    request: bytes
    reply: bytes


def load() -> list[Exchange]:
    """Return the exchanges in their order."""
    exchanges = []
    for line in files(__package__).joinpath("transcript.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].isdigit():
            step, member, request, reply = (cell.strip("`") for cell in cells)
            reply = "" if reply == '""' else reply.replace("\\n", "\n")
            exchanges.append(Exchange(step, member, request.encode(), reply.encode()))
    return exchanges
