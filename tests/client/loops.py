"""Event loops for tests."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.processes import DEADLINE

__all__ = ["in_loop"]

T = TypeVar("T")


def in_loop(scenario: Coroutine[Any, Any, T]) -> T:
    """Run *scenario* as the programs do, with a deadline, and return what it returns."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE):
            return await scenario

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(bounded())
