"""The machine that the server runs on: the process starts, stops, is killed, and starts again.

What lives here: the real server and the real journal, with the world under them. What must not:
when any of that happens, which is for :mod:`tests.simulation.faults`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final
from unittest import mock

from attrs import frozen

from groupchat.core.sessions import server as sessions
from groupchat.core.timeline import Timeline
from groupchat.journal import Damaged, DurableJournal, durable
from groupchat.journal.retention import FOR_EVER, Retention
from groupchat.server import NO_LIMITS, Limits, Server, inbox
from tests.simulation.disk import Disk, Mount
from tests.simulation.network import Network
from tests.simulation.world import MILLISECOND, SECOND, Call, Life, Violation, World

__all__ = ["EPOCH", "Machine", "Settings"]

EPOCH: Final = 1_763_848_800_000
"""What the server's clock shows when a run begins, in milliseconds since 1970."""


@frozen
class Settings:
    """How the server is run. All is small, so that what happens rarely happens often."""

    page_bytes: int = 400
    snapshot_records: int = 10
    recent_pages: int = 2
    cached_pages: int = 2
    open_sessions: int = 8
    batch_requests: int = 4
    retention: Retention = FOR_EVER
    limits: Limits = NO_LIMITS

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have the sizes that are constants in the code be these, for a while."""
        with contextlib.ExitStack() as stack:
            for module, name, value in (
                (durable, "SNAPSHOT_RECORDS", self.snapshot_records),
                (durable, "RECENT_PAGES", self.recent_pages),
                (durable, "CACHED_PAGES", self.cached_pages),
                (sessions, "OPEN_SESSIONS", self.open_sessions),
                (inbox, "BATCH_REQUESTS", self.batch_requests),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            _, *others = Timeline.__init__.__defaults__ or ()
            defaults = (self.page_bytes, *others)
            stack.enter_context(mock.patch.object(Timeline.__init__, "__defaults__", defaults))
            yield


class _Scheduler:
    """What the server is given of the world, for as long as it lives."""

    def __init__(self, machine: "Machine", life: Life) -> None:
        self._machine = machine
        self._world = machine.world
        self._life = life

    def time(self) -> int:
        return EPOCH + self._machine.skew + self._world.now // MILLISECOND

    def monotonic(self) -> int:
        return self._world.now // MILLISECOND

    def draw(self) -> bytes:
        return self._world.draw(16)

    def call_soon(self, call: Callable[[], None]) -> Call:
        world = self._world
        late = world.between(1, 40) * MILLISECOND if world.chance(0.03) else world.below(200)
        return world.call_later(late, call, self._life)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Call:
        return self._world.call_later(int(seconds * SECOND), call, self._life)


class Machine:
    """The server's machine.

    Args:
        world: drives it.
        network: what it is connected to.
        disk: where its journal lies.
        settings: how the server is run.
        started: called when a server has found its state again, before it hears anything.
        gone: called when there is no server any more, with whether it has stopped by itself.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        disk: Disk,
        settings: Settings,
        started: Callable[[DurableJournal], None],
        gone: Callable[[bool], None],
    ) -> None:
        self.world = world
        self.skew = 0
        """By how many milliseconds its clock is ahead."""
        self.server: Server | None = None
        """The server, while there is one."""
        self.journal: DurableJournal | None = None
        """Its journal."""
        self._network = network
        self._disk = disk
        self._settings = settings
        self._started = started
        self._gone = gone
        self._life = Life()
        self._stopping = False

    def start(self) -> None:
        """Start the server, if there is none."""
        if self.server is not None:
            return
        life = Life()
        journal = self._opened(life)
        self._started(journal)
        self.world.note("server", b"starts")
        self._life, self.journal, self._stopping = life, journal, False
        self.server = Server(journal, _Scheduler(self, life), self._settings.limits)
        self._network.server_comes(self.server, life)

    def kill(self) -> None:
        """Kill the server, now."""
        if self.server is not None:
            self.world.note("server", b"is killed")
            self.world.counts["servers killed"] += 1
            self._end()
            self._disk.crash()
            self._gone(False)

    def stop(self) -> None:
        """Have the server stop as ``groupchat serve`` does: first it carries out and answers what
        has arrived, then its listeners are closed. It starts again."""
        if self.server is not None and not self._stopping:
            self._stopping = True
            self.world.note("server", b"stops")
            self.server.stop(self._stopped)

    def _stopped(self) -> None:
        self.world.counts["servers stopped"] += 1
        self._network.server_closes()
        self._end()
        self._gone(True)
        self.world.call_later(self.world.between(1, 2_000) * MILLISECOND, self.start)

    def _end(self) -> None:
        self._life.over = True
        self.server = self.journal = None
        self._network.server_goes()

    def _opened(self, life: Life) -> DurableJournal:
        while True:
            mount = Mount(self._disk, life)
            try:
                journal = DurableJournal(mount, self._settings.retention)
            except Damaged as damage:
                self.world.note("server", f"does not start: {damage}".encode())
                if not mount.damaged:
                    raise Violation(f"a journal without damage was refused: {damage}") from damage
                self.world.counts["damage noticed"] += 1
                continue
            if mount.damaged:
                raise Violation("damage in the journal was not noticed")
            mount.starting = False
            return journal
