"""Deliberate bugs: what the simulator must notice.

What lives here: changes to single functions, for a while and in this process alone. What must not:
how they are looked for, which is for the test.

Theory. A bug is a function, a piece of its source, and what stands there instead. The function is
compiled anew with that, in its own module, and put in the place of the right one wherever that is
known by its name. So a bug is as long as it is in a diff; and when the code has changed so that
the piece is not there any more, that is noticed.
"""

import contextlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from typing import Any
from unittest import mock

from attrs import frozen

__all__ = ["BUGS", "Bug"]


@frozen
class Bug:
    """A bug."""

    name: str
    """What it breaks, in a few words."""
    place: str
    """``module:function`` or ``module:Class.function``."""
    right: str
    wrong: str
    seed: int = 0
    """Where to begin to look for it: it takes what happens rarely."""

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have the bug, for a while."""
        path, _, what = self.place.partition(":")
        module = importlib.import_module(path)
        *owners, name = what.split(".")
        owner: Any = module
        for step in owners:
            owner = getattr(owner, step)
        right = inspect.getattr_static(owner, name)
        made = self._made(right, name, vars(module))
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(owner, name, made))
            if not owners:  # others have imported it under this name
                for other in list(sys.modules.values()):
                    if getattr(other, name, None) is right:
                        stack.enter_context(mock.patch.object(other, name, made))
            yield

    def _made(self, right: Any, name: str, namespace: dict[str, Any]) -> Any:  # noqa: ANN401
        function = right
        for wrapped in ("fget", "__func__"):  # a property, or a static or class method
            function = getattr(function, wrapped, function)
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.right) != 1:
            raise LookupError(f"{self.place} does not hold this once: {self.right!r}")
        made: dict[str, Any] = {}
        code = compile(source.replace(self.right, self.wrong), f"<bug: {self.name}>", "exec")
        exec(code, namespace, made)
        return made[name]


BUGS = (
    Bug(
        "replies before the log is synced",
        "groupchat.server.loop:Server._turn",
        "self._journal.append(records, lambda error: self._appended(steps, error))",
        "self._journal.append(records, lambda error: self._appended([], error))\n"
        "        self._finish(steps, stored=True)",
    ),
    Bug(
        "moves a cursor without an acknowledgement",
        "groupchat.core.sessions.answers:Answers.answer",
        "begin, stop, body = self._news(member, ask.mark, room, whole=limit is None)",
        "begin, stop, body = self._news(member, ask.mark, room, whole=limit is None)\n"
        "        group.stand(heard.sender, stop.position)",
    ),
    Bug(
        "does not know a repeat",
        "groupchat.core.sessions.server:Sessions._ask",
        "if ask.number == session.number:",
        "if False:",
    ),
    Bug(
        "carries out what has been overtaken",
        "groupchat.core.sessions.server:Sessions._ask",
        "if ask.number < session.number or not _may_be_repeat(ask, session):",
        "if False:",
    ),
    Bug(
        "a snapshot names the batch after",
        "groupchat.journal.durable:DurableJournal._with_snapshot",
        "State(end.number, end.checksum",
        "State(end.number + 1, batch.checksum if batch else 0",
    ),
    Bug(
        "replays a batch that the snapshot holds",
        "groupchat.journal.recovery:recover",
        "if batch.number > state.number:",
        "if batch.number >= state.number:",
    ),
    Bug(
        "replays a batch twice, and asks nothing",
        "groupchat.journal.recovery:replay",
        "    if header_of(batch).events != chat.group.timeline.end:\n"
        '        raise Damaged(f"{BATCH} {batch.number:,} does not fit the state before it")\n'
        "    try:\n        for record in records_of(batch):",
        "    try:\n        for record in 2 * records_of(batch):",
    ),
    Bug(
        "ignores the checksum of a message",
        "groupchat.core.sessions.wire:unsealed",
        "if sealed(message, key) == whole",
        'if whole[:1] == b"@"',
    ),
    Bug(
        "ignores the checksum of a batch",
        "groupchat.journal.chain:Chain.follow",
        "whole = crc32(body, salted) == seal",
        "whole = True",
    ),
    Bug(
        "ignores the checksum of a page and a snapshot",
        "groupchat.journal.rows:check",
        "row.checksum != crc32(row.body, salt(kind))",
        "False",
    ),
    Bug(
        "tells members their own events",
        "groupchat.core.pages:Excerpt.__iter__",
        "if self.author != NOBODY:",
        "if False:",
    ),
    Bug(
        "sends much to whoever has not proved his address",
        "groupchat.core.sessions.server:Sessions.hear",
        "elif session.address != address:",
        "elif False:",
    ),
    Bug(
        "believes any cookie",
        "groupchat.core.sessions.server:Sessions._is_cookie",
        "return bool(cookie) and any(",
        "return True or any(",
    ),
    Bug(
        "keeps the lines that a page got after the snapshot",
        "groupchat.core.chat:Chat.restore",
        "page.truncate(last.stop - last.first)",
        "pass",
    ),
    Bug(
        "lets a member's cursor go back",
        "groupchat.core.group:Group.stand",
        "if member.cursor.position < standing <= self.timeline.end:",
        "if member.joined < standing <= self.timeline.end:",
    ),
    Bug(
        "writes down a mark that is behind",
        "groupchat.core.sessions.client:SessionClient.saved",
        "self._bookmark.mark.position,",
        "self._acknowledged.position,",
    ),
    Bug(
        "applies what was not stored",
        "groupchat.server.loop:Server._carry_out",
        "self._apply(record, peer) if record and stored else None",
        "self._apply(record, peer) if record else None",
    ),
    Bug(
        "says done when it was not stored",
        "groupchat.core.sessions.server:Sessions.stored",
        "if not done:",
        "if False:",
    ),
    Bug(
        "says not stored, and has it come back",
        "tests.simulation.disk:Disk.void",
        "self._under_way = None",
        "pass",
        seed=780,
    ),
    Bug(
        "lets go of old events and says nothing",
        "groupchat.core.timeline:Timeline.excerpt",
        "stop, author, start - position,",
        "stop, author, 0,",
    ),
    Bug(
        "lets go of pages that somebody has to read",
        "groupchat.journal.durable:DurableJournal._with_snapshot",
        "        first_page,\n",
        "        timeline.pages[-1].first,\n",
    ),
    Bug(
        "lets go of pages that somebody is just reading",
        "groupchat.journal.durable:DurableJournal._with_snapshot",
        "{place.first for place in timeline.held if place.first < first_page}",
        "()",
        seed=1_370,
    ),
    Bug(
        "keeps all pages in memory",
        "groupchat.journal.durable:DurableJournal._leaving",
        "return timeline.closed(RECENT_PAGES)",
        "return []",
    ),
    Bug(
        "mixes up the parts of long commands",
        "groupchat.core.sessions.server:Sessions._judge",
        'session.parked if first != b"0" else b"", b""',
        'session.parked, b""',
        seed=100,
    ),
    Bug(
        "sends all of a long command for each part that is missing",
        "groupchat.core.sessions.outbox:Outbox.arrived",
        "skips = (skips or word != DONE) and not part.last",
        "skips = False",
    ),
    Bug(
        "says that all have seen what some have not",
        "groupchat.core.timeline:Timeline.passed",
        "if cursor.position > lowest or self._standing[lowest] > 1:",
        "if False:",
    ),
    Bug(
        "has time go back in the log",
        "groupchat.server.loop:Server._turn",
        "self._now = max(self._now, self._scheduler.time())",
        "self._now = self._scheduler.time()",
    ),
    Bug(
        "forgets which request was under way",
        "groupchat.core.sessions.client:SessionClient.saved",
        "self._number,",
        "self._number - bool(self._ask),",
    ),
    Bug(
        "leaves a gap after a request that waited",
        "groupchat.core.sessions.client:SessionClient._answered",
        "unasked = not self._datagram and answer.number != (ask.number if ask else None)",
        "unasked = not self._datagram and answer.number == 0",
        seed=40,
    ),
    Bug(
        "has members stay whose connection has ended",
        "groupchat.server.loop:Server._appended",
        "self._unstored += [(one.sender, Leave()) for one in orders if is_connection(one.sender)]",
        "pass",
        seed=200,
    ),
    Bug(
        "answers nobody when it stops",
        "groupchat.server.loop:Server._answer",
        "if isinstance(reply, Heard):",
        "if self._over:\n            peer.reply(None)\n        elif isinstance(reply, Heard):",
    ),
    Bug(
        "sends away who was heard of lately",
        "groupchat.server.silence:Silence.heard",
        "self._members[member] = self._ticks",
        "self._members[member] = 0",
    ),
)
"""In the order of the table that the test prints."""
