"""Runs the tests of a deliberate bug, in a process that has imported only what others have written.

``tests/test_deliberate_bugs.py`` has this file run with two names defined: ``FOLDER``, where a copy
of the project is, and ``TESTS``, the arguments of pytest. It leaves what pytest prints in the file
``output`` there, and its exit code in ``exit``. As a process it is the same as ``python
-m pytest``, but that one takes most of a second to import pytest and Hypothesis.
"""

import os
import sys
from pathlib import Path

import pytest

FOLDER: str = globals()["FOLDER"]
TESTS: list[str] = globals()["TESTS"]

os.chdir(FOLDER)
os.environ["PYTHONPATH"] = FOLDER  # of the processes that tests start
sys.path.insert(0, FOLDER)
with Path("output").open("w") as output:
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
Path("exit").write_text(str(int(pytest.main(TESTS))))
