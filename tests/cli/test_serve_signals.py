"""What a server does with signals."""

import asyncio
import selectors
import signal

import pytest

from groupchat.cli.serve import _signals


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_and_then_the_loop_has_nothing_to_do(number: signal.Signals) -> None:
    """The end can take seconds, in which the processor is for others."""
    selector = selectors.DefaultSelector()

    async def caught() -> list[object]:
        with _signals() as stop:
            signal.raise_signal(number)
            await stop.wait()
            return [key for key, _ in selector.select(0)]

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(asyncio.wait_for(caught(), 30)) == []
