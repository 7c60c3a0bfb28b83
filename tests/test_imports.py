"""The layers: who may import whom is checked, and a violation fails the check."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = [sys.executable, "-c", "import importlinter.cli as c; c.lint_imports_command()"]


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_project_keeps_its_import_rules() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "violation"),
    [
        ("core/group.py", "import socket"),
        ("core/group.py", "import time"),
        ("core/names.py", "import random"),
        ("core/timeline.py", "import logging"),
        ("core/plain.py", "import asyncio"),
        ("core/timeline.py", "import threading"),
        ("core/events.py", "from os import path"),
        ("core/group.py", "from pathlib import Path"),
        ("core/peer.py", "from groupchat.server import Server"),
        ("core/peer.py", "from groupchat.transports import Listener"),
        ("core/peer.py", "from groupchat.journal import Journal"),
        ("core/names.py", "from groupchat.core.group import Group"),
        ("core/group.py", "from groupchat.core.chat import Chat"),
        ("core/records.py", "from groupchat.core.sessions import messages"),
        ("core/sessions/server.py", "import secrets"),
        ("core/sessions/client.py", "import time"),
        ("journal/durable.py", "from groupchat.server import Server"),
        ("journal/sqlite.py", "import asyncio"),
        ("journal/memory.py", "from groupchat.transports import Peer"),
        ("server/loop.py", "from groupchat.transports import Listener"),
        ("server/audience.py", "import asyncio"),
        ("server/gate.py", "import socket"),
        ("transports/tcp.py", "from groupchat.journal import Journal"),
        ("client/plain.py", "from groupchat.journal import Journal"),
        ("transports/udp.py", "from groupchat.server import Server"),
        ("transports/tcp.py", "from groupchat.client import PlainClient"),
        ("client/plain.py", "from groupchat.server import Server"),
        ("client/plain.py", "from groupchat.cli import main"),
    ],
)
def test_a_deliberate_violation_is_found(tmp_path: Path, module: str, violation: str) -> None:
    shutil.copytree(ROOT / "groupchat", tmp_path / "groupchat")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "groupchat" / module
    path.write_text(path.read_text() + f"\n{violation}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"[1-9] broken", done.stdout)


def built_ins_that_touch_the_world(source: str) -> list[str]:
    """Return which of those *source* names: they need no import, so no import rule sees them."""
    names = (node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return [name for name in names if name in {"open", "print", "input", "__import__", "exec"}]


def test_the_core_opens_no_files() -> None:
    modules = list((ROOT / "groupchat" / "core").rglob("*.py"))
    assert len(modules) > 10
    assert not [
        found for path in modules if (found := built_ins_that_touch_the_world(path.read_text()))
    ]
    assert built_ins_that_touch_the_world("def f(path):\n    return open(path)") == ["open"]
