"""What the commands say of themselves."""

import pytest

from tests.processes import run


@pytest.mark.parametrize("command", [[], ["journal"]])
def test_a_list_of_commands_says_all_of_each(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    _, commands = done.stdout.decode().split("\nCommands:\n")
    assert len(commands.splitlines()) > 3
    assert "..." not in commands
