"""Numbers of things."""

import pytest

from groupchat.core.quantity import counted


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 pages"), (1, "1 page"), (2, "2 pages"), (2_000, "2,000 pages")]
)
def test_only_of_one_thing_the_noun_is_in_the_singular(number: int, shown: str) -> None:
    assert counted(number, "page") == shown


def test_a_noun_can_have_a_plural_of_its_own() -> None:
    assert [counted(n, "batch", "batches") for n in (1, 2)] == ["1 batch", "2 batches"]
