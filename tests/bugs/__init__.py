"""Deliberate bugs: what the tests must notice.

What lives here: a table of bugs for each layer of the code, the layers in the order in which they
build on each other. What must not: how they are looked for, which is for
``tests/test_deliberate_bugs.py``; and what the simulator has to find, which is in
``tests/simulation/bugs.py``.

Theory. A bug breaks one claim by one change to one file. The tests that are named beside it, and
they alone, are run against a copy of the project with that change. So a bug says, too, where a
claim is tested.
"""

from tests.bugs import client, core, journal, server, sessions, transports
from tests.bugs.bug import Bug

__all__ = ["BUGS", "Bug"]

BUGS = [
    *core.BUGS,
    *sessions.BUGS,
    *journal.BUGS,
    *server.BUGS,
    *transports.BUGS,
    *client.BUGS,
]
