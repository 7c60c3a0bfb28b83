"""The loop: gather, append, apply, reply.

What lives here: the order in which requests are carried out and answered. What must not: a
rule of the chat (that is the group's), bytes on a wire (the transports'), a wait or a thread.

Theory. Whatever arrives is gathered, and carried out together, a *batch* at a time::

    gather  ->  judge, append what is accepted to the log  ->  apply in its order  ->  reply

While the journal writes one batch, the next gathers. Nobody is answered before what the answer
tells is in the log, so nothing that was told is ever lost; and if the log cannot be written,
nothing has happened but that those who asked are told so. Only what is accepted is written:
refusals, requests for news and junk cost the log nothing. All requests of a batch, of whatever
kind and by whatever transport, are answered in the order in which they came.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from attrs import define, evolve

from groupchat.core import (
    ILLEGAL_REQUEST,
    Command,
    Join,
    Leave,
    News,
    Peer,
    Reason,
    Refused,
    Rename,
    Roster,
    Update,
    decode,
    encode,
)
from groupchat.core.group import Draft
from groupchat.core.peer import UNWANTED, Reception
from groupchat.core.plain import NOT_STORED, REPLY_BYTES, TOO_MANY, UNREADABLE
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.sessions.server import Heard, Sessions
from groupchat.journal.interface import Journal
from groupchat.journal.storage import Damaged
from groupchat.server.audience import Audience
from groupchat.server.gate import Gate
from groupchat.server.limits import Limits
from groupchat.server.quiet import Quiet
from groupchat.server.scheduler import Scheduler
from groupchat.server.silence import TICK_SECONDS, Silence
from groupchat.server.stray import Stray
from groupchat.server.trouble import Trouble

__all__ = ["GATHERED_REQUESTS", "Server"]

log = logging.getLogger("groupchat")

GATHERED_REQUESTS: Final = 10_000
"""Requests that wait for the journal. More datagrams are lost like any that a network loses."""


_UNLIMITED: Final = 1 << 40  # bytes


@define(eq=False)
class _Step:
    """One request, or order of our own, judged."""

    peer: Peer | None
    size: int
    """How many bytes it had."""
    what: Command | Heard | Refused | bytes | None
    """What to answer: a command that will have been carried out, or bytes; None for nothing."""
    record: Record | None = None
    """What has to be in the log first."""
    reserved: bool = False
    """Whether there is a reservation for a long reply by datagram."""


class Server:
    """Carries out, on one chat, what its transports receive. A transport's ``Service``.

    Args:
        journal: keeps the log, and has the chat. Nobody else may use it meanwhile.
        scheduler: the time and the event loop.
        limits: what to put up with.
    """

    def __init__(self, journal: Journal, scheduler: Scheduler, limits: Limits) -> None:
        self._journal = journal
        self._chat = journal.chat
        self._group = journal.chat.group
        self._group.capacity = limits.members
        self._scheduler = scheduler
        self._limits = limits
        self._sessions = Sessions(self._chat, scheduler.draw(), scheduler.draw)
        self._quiet = Quiet(scheduler.monotonic)
        self._trouble = Trouble(scheduler.monotonic)
        self._gate = Gate(limits, scheduler.monotonic)
        self._stray = Stray(limits.stray, scheduler.monotonic)
        self._audience = Audience(self._sessions, scheduler.call_later, self._trouble.unreadable)
        self._gathered: list[tuple[bytes | None, Peer]] = []
        self._orders: list[tuple[str, Command | Drop]] = []  # of our own, carried out like requests
        self._unstored: list[tuple[str, Command | Drop]] = []  # those to be tried again
        self._scheduled = False
        self._appending = False
        self._stopped: Callable[[], None] | None = None
        self._over = False  # the last batch has been made
        self._now = self._chat.time  # in the log; all else is measured by what nobody can set
        self._silence = Silence(self._group, limits)
        for sender in map(str, self._group.members):
            if _is_connection(sender):  # it ended when the server did, and could not leave
                self._orders.append((sender, Leave()))
        self._wake()
        scheduler.call_later(TICK_SECONDS, self._tick)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes may wait for a slow peer."""
        return _UNLIMITED if self._limits.unsent is None else self._limits.unsent

    def come(self, peer: Peer) -> bool:
        """Take note of a connection, and return whether it may stay."""
        # After a restart, numbers of connections come again. Who is still to leave under one, since
        # that could not be written down, must not be taken for whoever has it now.
        ghost = _is_connection(peer.sender) and peer.sender in self._group
        if self._over or ghost or not self._gate.come(peer):
            self._quiet.say(f"no more connections for {peer.sender}", logging.WARNING)
            return False
        self._silence.come(peer)
        return True

    def receive(self, request: bytes, peer: Peer) -> Reception:
        """Take one request. Its reply goes to *peer*, later."""
        sender = self._sender(request, peer)
        member = sender if sender in self._group else None
        reception = self._gate.judge(peer, member)
        if not reception.wanted:
            if reception.told and not request.startswith(b"@"):
                self._send(_Step(peer, len(request), None), peer, [TOO_MANY])
            return reception
        if peer.datagram is not None and (self._over or len(self._gathered) >= GATHERED_REQUESTS):
            return UNWANTED
        if member is not None:
            self._silence.heard(member)
        self._gathered.append((request, peer))
        self._wake()
        return reception

    def gone(self, peer: Peer) -> None:
        """Take note that a connection has ended: if it is a member, it leaves."""
        self._gate.gone(peer)
        self._silence.gone(peer)
        self._audience.gone(peer)
        if not self._over:  # else it is one of those who were ordered to leave
            self._gathered.append((None, peer))
            self._wake()

    def stop(self, stopped: Callable[[], None]) -> None:
        """Carry out and answer what has arrived, and nothing that comes later. Then have those
        leave who are connections, write down what is worth keeping, and call *stopped*.

        Whoever listens is to go on until then, for the last replies, and be closed after it.
        """
        self._stopped = stopped
        self._wake()

    def _sender(self, request: bytes, peer: Peer) -> str:
        return self._sessions.sender(request) if request.startswith(b"@") else peer.sender

    def _wake(self) -> None:
        if not self._scheduled and not self._appending:
            self._scheduled = True
            self._scheduler.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        gathered, self._gathered = self._gathered, []
        if self._over:
            for _, peer in gathered:
                self._answer(_Step(peer, 0, None), peer, None)
            return
        # As late as can be: who was heard while the last batch was written, stays.
        idle = [(sender, Leave()) for sender in self._silence.members()]
        orders, self._orders = [*self._orders, *idle], []
        self._now = max(self._now, self._scheduler.time())  # in the log, time never goes back
        draft = Draft(self._group)
        steps = [step for order in orders if (step := self._order(*order, draft))]
        for request, peer in gathered:
            if request is None:
                step = self._order(peer.sender, Leave(), draft)
                steps += [step] if step else []
            elif request.startswith(b"@"):
                steps.append(self._judge_session(request, peer, draft))
            else:
                steps.append(self._judge_plain(request, peer, draft))
        if self._stopped is not None:
            self._over = True
            # Those who are connections, or will be members when all this is carried out.
            senders = [*self._group.members, *(step.record.sender for step in steps if step.record)]
            for sender in filter(_is_connection, map(str, dict.fromkeys(senders))):
                step = self._order(sender, Leave(), draft)
                steps += [step] if step else []
        records = [step.record for step in steps if step.record]
        if records:
            self._appending = True
            self._journal.append(records, lambda error: self._appended(steps, error))
        else:
            self._finish(steps, stored=True)

    def _order(self, sender: str, command: Command | Drop, draft: Draft) -> _Step | None:
        if not isinstance(command, Drop) and isinstance(draft.accept(command, sender), Refused):
            return None
        standing = self._group.standing(sender) if sender in self._group else 0
        return _Step(None, 0, None, Record(self._now, sender, standing, (command,)))

    def _judge_session(self, request: bytes, peer: Peer, draft: Draft) -> _Step:
        datagram, now = peer.datagram is not None, self._scheduler.monotonic()
        what = self._sessions.hear(request, peer.sender, datagram, draft, now)
        record = what.record if isinstance(what, Heard) else None
        if record is not None:
            record = evolve(record, time=self._now)
        return _Step(peer, len(request), what, record)

    def _judge_plain(self, request: bytes, peer: Peer, draft: Draft) -> _Step:
        command = decode(request)
        sender = peer.sender
        if not isinstance(command, Refused):
            command = draft.accept(command, sender)
        if isinstance(command, Refused | Update):
            return _Step(peer, len(request), command)
        standing = self._group.standing(sender) if sender in self._group else 0
        step = _Step(peer, len(request), command)
        budget = self._budget(step, peer)
        step.record = Record(self._now, sender, standing, (command,), budget)
        return step

    def _budget(self, step: _Step, peer: Peer) -> int | None:
        """Return most bytes of the plain reply to *step*; below 0 if there must be none."""
        if peer.datagram is None:
            return self._limits.reply
        step.reserved = self._stray.reserve(peer)
        return REPLY_BYTES if step.reserved else -1

    def _appended(self, steps: list[_Step], error: OSError | None) -> None:
        self._appending = False
        self._trouble.stored(error)
        if error is not None:
            # Who was silent for too long may be heard again by the next tick, which looks anew. A
            # connection that has ended is not.
            orders = [step.record for step in steps if step.peer is None and step.record]
            self._unstored += [
                (order.sender, Leave()) for order in orders if _is_connection(order.sender)
            ]
        self._finish(steps, stored=error is None)
        if self._gathered or self._orders or self._stopped:
            self._wake()

    def _finish(self, steps: list[_Step], *, stored: bool) -> None:
        """Apply and answer *steps*, in their order."""
        end = self._group.timeline.end
        for step in steps:
            reply: Heard | Iterable[bytes] | None = None
            try:
                reply = self._carry_out(step, stored)
            except Damaged as error:
                self._trouble.unreadable(step.peer.sender if step.peer else SERVER, error)
                reply = [UNREADABLE]
            except Exception:
                log.exception("could not carry out what %s asked", step.peer and step.peer.sender)
            if step.peer is not None:
                self._answer(step, step.peer, reply)
        if self._group.timeline.end != end:
            self._audience.tell()
        if self._over and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            self._audience.close()
            self._journal.rest(lambda _: stopped())

    def _carry_out(self, step: _Step, stored: bool) -> Heard | Iterable[bytes] | None:
        """Apply *step*, and return what to answer."""
        peer, what, record = step.peer, step.what, step.record
        reply = self._apply(record) if record and stored else None
        if peer is None or what is None:
            return None
        if record and stored and any(isinstance(entry, Join) for entry in record.commands):
            peer.welcome()
        if isinstance(what, Heard):
            self._silence.used(peer, what.sender)
            return self._sessions.stored(what, stored) if record else what
        if isinstance(what, bytes):
            return [what]
        if isinstance(what, Refused):
            return self._refusal(what.reason, peer)
        if record and not stored:
            return [NOT_STORED]
        if reply is None and peer.sender not in self._group:
            return self._refusal(Reason.NOT_A_MEMBER, peer)  # his join was not stored
        self._silence.used(peer, peer.sender)
        if reply is None:
            reply = self._group.reply(what, peer.sender, self._budget(step, peer))
        return encode(reply)

    def _answer(self, step: _Step, peer: Peer, reply: Heard | Iterable[bytes] | None) -> None:
        """Have every request get its one reply, or be told that there is none, in their order."""
        try:
            if isinstance(reply, Heard):
                self._audience.answer(reply, peer)
            else:
                self._send(step, peer, reply)
        except Exception:
            # Transports can be anybody's. The mistakes of one must not cost the members
            # who use another their replies.
            log.exception("could not answer %s", peer.sender)

    def _send(self, step: _Step, peer: Peer, pieces: Iterable[bytes] | None) -> None:
        """Send a reply, or as much as may be sent to somebody who has perhaps not asked."""
        readable = None if pieces is None else self._readable(pieces, peer)
        if peer.datagram is None:
            peer.reply(readable)
            return
        whole = b"".join(readable or ())
        beyond = max(0, len(whole) - 3 * step.size)
        if step.reserved or (beyond and self._stray.reserve(peer)):
            self._stray.settle(peer, beyond)
        elif beyond:
            readable = None
        peer.reply(None if readable is None else [whole] if whole else [])

    def _apply(self, record: Record) -> Roster | News | None:
        group, sender = self._group, record.sender
        before = group.name(sender)
        reply = self._chat.apply(record)
        for command in record.commands:
            if isinstance(command, Join):
                self._silence.heard(sender)
                log.info("%s joined (%s); members: %d", group.name(sender), sender, len(group))
            elif isinstance(command, Rename):
                log.info("%s is now called %s", before, command.name)
            elif isinstance(command, Leave):
                self._silence.left(sender)
                log.info("%s left; members: %d", before, len(group))
        return reply

    def _readable(self, pieces: Iterable[bytes], peer: Peer) -> Iterator[bytes]:
        """Yield *pieces*, which are made as they are sent, as far as they can be read."""
        separator = b""
        try:
            for piece in pieces:
                separator = b"" if piece.endswith(b"\n") else b"\n"
                yield piece
        except Damaged as error:
            self._trouble.unreadable(peer.sender, error)
            yield separator + UNREADABLE

    def _refusal(self, reason: Reason, peer: Peer) -> Iterable[bytes]:
        self._quiet.say(f"refused {peer.sender}: {reason.value}")
        return [ILLEGAL_REQUEST]

    def _tick(self) -> None:
        """Have those looked for who have been silent for too long; let go of what is too old."""
        if self._over:
            return
        self._scheduler.call_later(TICK_SECONDS, self._tick)
        for peer in self._silence.tick():
            peer.close()
        now = self._scheduler.time()
        self._orders += self._unstored
        self._unstored.clear()
        try:
            drop = self._journal.outdated(now)
        except Damaged as error:
            drop = None
            self._trouble.unreadable(SERVER, error)
        if drop is not None:
            self._orders.append((SERVER, drop))
        self._wake()


def _is_connection(sender: str) -> bool:
    """Whether *sender* is a connection, and gone for ever when that ends."""
    return "#" in sender
