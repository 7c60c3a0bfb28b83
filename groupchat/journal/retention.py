"""How long old events are kept, if not for ever."""

from attrs import frozen

from groupchat.core.timeline import Timeline

__all__ = ["FOR_EVER", "Retention", "older_than"]


@frozen
class Retention:
    """What to keep; whatever is over one of the two bounds is let go of, the oldest first."""

    milliseconds: int | None = None
    """Events older than this are let go of; None for any age."""
    size: int | None = None
    """Bytes to keep; None for any number."""


FOR_EVER = Retention()
"""Keep everything."""


def older_than(timeline: Timeline, time: int) -> int:
    """Return the position up to which whole pages of *timeline* are from *time* or before."""
    position = timeline.start
    for page in timeline.pages[:-1]:
        if page.load().times[-1] > time:
            break
        position = page.stop
    return position
