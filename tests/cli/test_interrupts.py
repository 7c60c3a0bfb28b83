"""Ctrl-C where a command has no better use for it than to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import DEADLINE, Program
from tests.transports.recorder import POSIX


@POSIX
@pytest.mark.parametrize("module", ["click", "attrs"])  # by the program, by all of its commands
@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--journal", ":memory:", "0"],
        ["connect", "127.0.0.1", "12345"],
        ["demo"],
        ["journal", "check"],
    ],
    ids=lambda command: command[0],
)
def test_ctrl_c_while_modules_are_imported_is_a_clean_end(
    tmp_path: Path, module: str, command: list[str]
) -> None:
    (tmp_path / f"{module}.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    done = subprocess.run(
        [sys.executable, "-m", "groupchat", *command],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 130)


@POSIX
def test_ctrl_c_ends_the_demo() -> None:
    with Program("demo") as program:
        assert program.out.next().startswith("Alice's terminal")  # its server is not there yet
        program.process.send_signal(signal.SIGINT)
        assert program.wait() == 130
        assert program.err.rest() == []
