"""The loop: gather, append, apply, reply.

What lives here: the order in which requests are carried out and answered. What must not: a
rule of the chat (that is the group's), bytes on a wire (the transports'), a wait or a thread.

Theory. Whatever arrives is gathered, and carried out together, a *batch* at a time::

    gather  ->  judge, append what is accepted to the log  ->  apply in its order  ->  reply

While the journal writes one batch, the next gathers. Nobody is answered before what the answer
tells is in the log, so nothing that was told is ever lost; and if the log cannot be written,
nothing has happened but that those who asked are told so. Only what is accepted is written:
refusals, requests for news and junk cost the log nothing. The requests of one sender, of whatever
kind, are answered in the order in which they came; the senders take turns.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from attrs import evolve

from groupchat.core import (
    Command,
    Join,
    Leave,
    News,
    Peer,
    Reason,
    Refused,
    Rename,
    Reply,
    Roster,
    Send,
    encode,
)
from groupchat.core.group import Draft
from groupchat.core.peer import UNWANTED, Reception
from groupchat.core.plain import NOT_STORED, TOO_MANY, UNREADABLE, UPDATES
from groupchat.core.records import SERVER, Drop, Record
from groupchat.core.sessions.answers import Answers, Heard
from groupchat.core.sessions.requests import count_commands
from groupchat.core.sessions.server import Sessions
from groupchat.journal.interface import Journal
from groupchat.journal.storage import Damaged
from groupchat.server.audience import Audience
from groupchat.server.batch import Batch, Step, is_connection
from groupchat.server.calendar import Calendar
from groupchat.server.gate import Gate
from groupchat.server.inbox import Inbox
from groupchat.server.limits import Limits
from groupchat.server.quiet import Quiet
from groupchat.server.replies import Replies
from groupchat.server.scheduler import Scheduler
from groupchat.server.silence import TICK_SECONDS, Silence
from groupchat.server.stray import Stray
from groupchat.server.trouble import Trouble

__all__ = ["Server"]

log = logging.getLogger("groupchat")

_UNLIMITED: Final = 1 << 40  # bytes


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
        self._audience = Audience(
            Answers(self._chat), self._group, scheduler, self._trouble.unreadable
        )
        self._replies = Replies(
            limits.reply, Stray(limits.stray, scheduler.monotonic), self._trouble.unreadable
        )
        self._inbox = Inbox()
        self._orders: list[tuple[str, Command | Drop]] = []  # of our own, carried out like requests
        self._unstored: list[tuple[str, Command | Drop]] = []  # those to be tried again
        self._scheduled = False
        self._appending = False
        self._writing: set[str] = set()  # who asked for what is being appended
        self._stopped: Callable[[], None] | None = None
        self._over = False  # the last batch has been made
        self._now = self._chat.time  # in the log; all else is measured by what nobody can set
        self._calendar = Calendar(scheduler.time, scheduler.monotonic, self._now)
        self._silence = Silence(self._group, limits)
        for sender in map(str, self._group.members):
            if is_connection(sender):  # it ended when the server did, and could not leave
                self._orders.append((sender, Leave()))
        self._wake()
        scheduler.call_later(TICK_SECONDS, self._tick)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes may wait for a slow peer."""
        return _UNLIMITED if self._limits.unsent is None else self._limits.unsent

    def come(self, peer: Peer) -> Reception:
        """Take note of a connection, and return whether it may stay."""
        # After a restart, numbers of connections come again. Who is still to leave under one, since
        # that could not be written down, must not be taken for whoever has it now.
        ghost = is_connection(peer.sender) and peer.sender in self._group
        if not self._can_be_written_down(peer):
            return UNWANTED
        reception = UNWANTED if self._over or ghost else self._gate.come(peer)
        if reception.wanted:
            self._silence.come(peer)
            self._audience.come(peer)
        else:
            self._quiet.say(f"no more connections for {peer.sender}", logging.WARNING)
        return reception

    def receive(self, request: bytes, peer: Peer) -> Reception:
        """Take one request. Its reply goes to *peer*, later."""
        if not self._can_be_written_down(peer):
            return UNWANTED
        sender = self._sender(request, peer)
        member = sender if sender in self._group else None
        reception = self._gate.judge(peer, member, count_commands(request))
        if not reception.wanted:
            if reception.told and not request.startswith(b"@"):
                self._replies.send(Step(peer, request), peer, [TOO_MANY])
            return reception
        if member is not None:
            self._silence.heard(member)
            if request in UPDATES and self._has_no_news(member, peer):
                peer.reply(())
                return reception
        if peer.datagram is not None and (
            self._over or not self._inbox.has_room(peer, known=member is not None)
        ):
            return UNWANTED
        pause = self._inbox.put(request, peer)
        self._wake()
        return evolve(reception, pause=pause) if pause > reception.pause else reception

    def _has_no_news(self, member: str, peer: Peer) -> bool:
        """Whether the reply to ``5`` by datagram is known now, and empty. Most are, of those who
        ask again and again; so they do without a place in a batch, for nothing is written down and
        nothing applied. It must not overtake what the same member has asked before."""
        return not (
            peer.datagram is None  # which is not answered before its request has been taken
            or self._over
            or self._group.has_news(member)
            or member in self._writing
            or self._inbox.holds(member)
        )

    def gone(self, peer: Peer) -> None:
        """Take note that a connection has ended: if it is a member, it leaves."""
        self._gate.gone(peer)
        self._silence.gone(peer)
        if not self._over:  # else it is one of those who were ordered to leave
            self._inbox.end(peer)
            self._wake()

    def stop(self, stopped: Callable[[], None]) -> None:
        """Carry out and answer what has arrived, and nothing that comes later. Then have those
        leave who are connections, write down what is worth keeping, and call *stopped*.

        Whoever listens is to go on until then, for the last replies, and be closed after it.
        """
        self._stopped = stopped
        self._wake()

    def _can_be_written_down(self, peer: Peer) -> bool:
        """Whether the log can hold who *peer* is. Else the whole batch would fail that he is in."""
        if peer.sender.isprintable():
            return True
        self._quiet.say(f"not a sender, so it is not heard: {peer.sender!r}", logging.ERROR)
        return False

    def _sender(self, request: bytes, peer: Peer) -> str:
        return self._sessions.sender(request) if request.startswith(b"@") else peer.sender

    def _wake(self) -> None:
        if not self._scheduled and not self._appending:
            self._scheduled = True
            self._scheduler.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._over:
            for _, peer in self._inbox.everything():
                self._answer(Step(), peer, None)
            return
        self._now = max(self._now, self._scheduler.time())  # in the log, time never goes back
        batch = Batch(
            self._group,
            self._sessions,
            self._now,
            self._scheduler.monotonic(),
            self._replies.budget,
        )
        orders, self._orders = self._orders, []
        for sender, command in orders:
            batch.order(sender, command)
        for sender in self._silence.members():
            # As late as can be: who was heard while the last batch was written, stays.
            batch.order(sender, Leave())
        # The last batch is all there is.
        arrived = self._inbox.batch() if self._stopped is None else self._inbox.everything()
        for request, peer in arrived:
            if request is None:
                batch.end(peer)
            else:
                batch.take(request, peer)
                if batch.full and self._stopped is None:
                    break  # the rest stays where it is
        if self._stopped is not None:
            batch.end_connections()
            self._over = True
        steps, records = batch.steps, batch.records
        if records:
            self._appending = True
            self._writing = {step.peer.sender for step in steps if step.peer}
            self._journal.append(records, lambda error: self._appended(steps, error))
        else:
            self._finish(steps, stored=True)
            self._go_on()

    def _appended(self, steps: list[Step], error: OSError | None) -> None:
        self._appending = False
        self._trouble.stored(error)
        if error is not None:
            # Who was silent for too long may be heard again by the next tick, which looks anew. A
            # connection that has ended is not.
            orders = [step.record for step in steps if step.peer is None and step.record]
            self._unstored += [(one.sender, Leave()) for one in orders if is_connection(one.sender)]
        self._finish(steps, stored=error is None)
        self._writing.clear()
        self._go_on()

    def _go_on(self) -> None:
        if self._inbox or self._orders or self._stopped:
            self._wake()

    def _finish(self, steps: list[Step], *, stored: bool) -> None:
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
                # A mistake of ours. It must be seen, and must not cost the others of the batch
                # that their records, which are in the log, are applied and answered.
                log.exception("could not carry out what %s asked", step.peer and step.peer.sender)
            if step.peer is not None:
                self._answer(step, step.peer, reply)
        if self._group.timeline.end != end:
            self._audience.tell()
        if self._over and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            self._audience.close()
            self._journal.rest(lambda _: stopped())

    def _carry_out(self, step: Step, stored: bool) -> Heard | Iterable[bytes] | None:
        """Apply *step*, and return what to answer."""
        peer, what, record = step.peer, step.what, step.record
        if step.ended is not None:
            self._audience.gone(step.ended)
        reply = self._apply(record, peer) if record and stored else None
        if peer is None:
            return None
        if what is None and peer.datagram is None:
            what = self._repeated(step.request, peer)
        if isinstance(what, Heard):
            if not self._audience.is_late(what, peer):
                self._silence.used(peer, what.sender)
            heard = self._sessions.stored(what, stored) if record else what
            return None if step.overtaken else heard
        if isinstance(what, bytes) or what is None:
            return None if what is None else [what]
        self._silence.used(peer, peer.sender)
        if record and not stored:
            return [NOT_STORED]
        return encode(reply or self._plain_reply(step, what, peer))

    def _repeated(self, request: bytes, peer: Peer) -> Heard | bytes | Refused | None:
        """Hear a session's *request* again, that may repeat one of the batch that has just been
        written down. The answer to that one may have gone to a connection that is no more."""
        now = self._scheduler.monotonic()
        return self._sessions.hear(request, peer.sender, False, Draft(self._group), now)

    def _plain_reply(self, step: Step, what: Command | Refused, peer: Peer) -> Reply:
        """Return the plain reply to what was not written down."""
        if not isinstance(what, Refused) and peer.sender not in self._group:
            what = Refused(Reason.NOT_A_MEMBER)  # his join was not stored
        if isinstance(what, Refused):
            self._quiet.say(f"refused {peer.sender}: {what.reason.value}")
            return what
        return self._group.reply(what, peer.sender, self._replies.budget(step, peer))

    def _answer(self, step: Step, peer: Peer, reply: Heard | Iterable[bytes] | None) -> None:
        """Have every request get its one reply, or be told that there is none, in their order."""
        try:
            if isinstance(reply, Heard):
                self._audience.answer(reply, peer)
            else:
                self._audience.release(peer)
                self._replies.send(step, peer, reply)
        except Exception:
            # Transports can be anybody's. The mistakes of one must not cost the members
            # who use another their replies.
            log.exception("could not answer %s", peer.sender)

    def _apply(self, record: Record, peer: Peer | None) -> Roster | News | None:
        """Have what *record* says happen. *peer* is where it was asked for, if anywhere."""
        group, sender = self._group, record.sender
        before = group.name(sender)
        reply = self._chat.apply(record)
        for command in record.commands:
            if isinstance(command, Send):
                continue  # as nearly all are
            if isinstance(command, Join):
                self._silence.heard(sender)
                log.info("%s joined (%s); members: %d", group.name(sender), sender, len(group))
                if peer is not None:
                    peer.welcome()
            elif isinstance(command, Rename):
                log.info("%s is now called %s", before, command.name)
            elif isinstance(command, Leave):
                self._silence.left(sender)
                self._audience.left(sender)
                log.info("%s left; members: %d", before, len(group))
        return reply

    def _tick(self) -> None:
        """Have those looked for who have been silent for too long; let go of what is too old."""
        if self._over:
            return
        self._scheduler.call_later(TICK_SECONDS, self._tick)
        for peer in self._silence.tick():
            peer.close()
        now = self._calendar.time()
        self._orders += self._unstored
        self._unstored.clear()
        if not any(isinstance(command, Drop) for _, command in self._orders):
            try:
                drop = self._journal.outdated(now)
            except (Damaged, OSError) as error:
                drop = None
                self._trouble.unreadable(SERVER, error)
            if drop is not None:
                self._orders.append((SERVER, drop))
        self._wake()
