"""The benchmarks run. What they say is for people, on a quiet machine: nothing here is about
time."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.memory import waiting_message_in_group


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's /proc")
def test_the_benchmarks_print_every_figure() -> None:
    small = ["--members", "30", "--messages", "300", "--rounds", "3", "--round-messages", "20"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *small], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert [line.count("ratio") for line in lines] == [0, 1, 1, 0, 0, 0, 0]
    assert all("(at most" in line for line in lines[4:])


def test_a_message_that_nobody_fetches_costs_few_bytes() -> None:
    """Bytes that Python allocates are the same on every machine, unlike seconds."""
    assert waiting_message_in_group(100_000) <= 256
