"""Bugs in the server: the order of requests and replies, its limits, and how it stops."""

from tests.bugs.bug import Bug

__all__ = ["BUGS"]

BUGS = [
    Bug(
        "the texts of messages are not logged",
        "server/loop.py",
        "            elif isinstance(command, Rename):",
        "            elif 'Send' in repr(command):\n                log.info('%s', command)\n"
        "            elif isinstance(command, Rename):",
        "tests/server/test_loop.py -k logged",
    ),
    Bug(
        "bad input does not fill the log",
        "server/quiet.py",
        "LOG_MILLISECONDS: Final = 1_000",
        "LOG_MILLISECONDS: Final = 0",
        "tests/server/test_loop.py -k logged",
    ),
    Bug(
        "a transport's mistake costs nobody else his reply",
        "server/loop.py",
        "        except Exception:\n            # Transports",
        "        except OSError:\n            # Transports",
        "tests/server/test_loop.py -k broken",
    ),
    Bug(
        "who has no news is not told so before what he asked is written down",
        "server/loop.py",
        "            or member in self._writing\n",
        "",
        "tests/server/test_inbox.py -k not_before",
    ),
    Bug(
        "nor before it is judged",
        "server/loop.py",
        "            or self._inbox.holds(member)\n",
        "",
        "tests/server/test_inbox.py -k not_before",
    ),
    Bug(
        "a member whose connection ends leaves the group",
        "server/loop.py",
        "                batch.end(peer)",
        "                pass",
        "tests/server/test_loop.py -k gone",
    ),
    Bug(
        "nobody is answered before the log holds what he is told",
        "server/loop.py",
        "self._journal.append(records, lambda error: self._appended(steps, error))",
        "self._appended(steps, None)\n"
        "            self._journal.append(records, lambda error: None)",
        "tests/server/test_records.py tests/server/test_trouble.py",
    ),
    Bug(
        "who is heard while others are written down is not sent away",
        "server/loop.py",
        "            peer.close()\n",
        "            peer.close()\n"
        "        self._orders += [(silent, Leave()) for silent in self._silence.members()]\n",
        "tests/server/test_silence.py -k silent",
    ),
    Bug(
        "a connection whose member has left is not kept for ever",
        "server/silence.py",
        "            if self._latest.get(connection.member) is peer:",
        "            if connection.member:",
        "tests/server/test_silence.py -k any_more",
    ),
    Bug(
        "a clock that is wrong for a while silences nobody",
        "server/loop.py",
        "Stray(limits.stray, scheduler.monotonic)",
        "Stray(limits.stray, lambda: max(self._now, scheduler.time()))",
        "tests/server/test_stray.py -k clock",
    ),
    Bug(
        "whoever may not have asked gets no more because many ask at once",
        "server/stray.py",
        "        if self._take(peer, _LONGEST_BYTES) >= -_LONGEST_BYTES:\n",
        "        if self._take(peer, 0) >= 0:\n",
        "tests/server/test_stray.py -k together",
    ),
    Bug(
        "what is carried out when a server stops is answered",
        "cli/serve.py",
        "    stopped = asyncio.Event()\n    server.stop(",
        "    for listener in listeners:\n        await listener.close()\n"
        "    stopped = asyncio.Event()\n    server.stop(",
        "tests/cli/test_serve_listening.py -k last_replies",
    ),
    Bug(
        "an answer that nobody reads is not kept",
        "server/audience.py",
        "        peer.reply(self._when_read(heard, peer, follower))",
        "        peer.reply(list(self._when_read(heard, peer, follower)))",
        "tests/server/test_readers.py -k read",
    ),
    Bug(
        "only members follow",
        "server/audience.py",
        "if heard.ask.follow and heard.sender in self._group:",
        "if heard.ask.follow:",
        "tests/server/test_followers.py -k members",
    ),
    Bug(
        "while the disk is slow, the bytes that wait for it are bounded",
        "server/inbox.py",
        "if self._bytes >= GATHERED_BYTES else 0.0",
        "if False else 0.0",
        "tests/server/test_inbox.py -k bytes_wait",
    ),
    Bug(
        "while the disk is slow, the number of requests that wait for it is bounded",
        "server/inbox.py",
        "        if self._waiting >= GATHERED_REQUESTS:\n            pause",
        "        if False:\n            pause",
        "tests/server/test_inbox.py -k many_wait",
    ),
    Bug(
        "a clock that jumps ahead lets go of nothing",
        "server/calendar.py",
        "if ahead <= self._believed + SLACK_MILLISECONDS:",
        "if True:",
        "tests/server/test_calendar.py",
    ),
    Bug(
        "a new connection for each request is not the way to ask faster",
        "server/gate.py",
        "here + 1\n        return self._stranger(peer)",
        "here + 1\n        return FROM_STRANGER",
        "tests/server/test_limits.py -k counted_with",
    ),
    Bug(
        "whoever asks much does not keep others waiting",
        "server/inbox.py",
        "itertools.islice(self.everything(), BATCH_REQUESTS)",
        "self.everything()",
        "tests/server/test_inbox.py -k asks_much",
    ),
    Bug(
        "who has nothing waiting is heard though others have filled the inbox",
        "server/inbox.py",
        "or (known and peer.sender not in self._turns)",
        "",
        "tests/server/test_inbox.py -k nothing_waiting",
    ),
    Bug(
        "many commands in one request count as many",
        "server/gate.py",
        "self._members.take(member, now, commands)",
        "self._members.take(member, now)",
        "tests/server/test_limits.py -k many_commands",
    ),
    Bug(
        "who makes connections without end is refused",
        "server/gate.py",
        "<= self._newcomers.floor:",
        "< self._newcomers.floor - 1e9:",
        "tests/server/test_limits.py -k connections_without_end",
    ),
    Bug(
        "one member does not hold many connections",
        "server/silence.py",
        "if self._latest.get(connection.member) is peer:",
        "if connection.member in self._group:",
        "tests/server/test_silence.py -k many_connections",
    ),
    Bug(
        "what waits for its turn keeps its order",
        "server/inbox.py",
        "queue.popleft()",
        "queue.pop()",
        "tests/server/test_inbox.py -k asks_much",
    ),
    Bug(
        "what waits for its turn when a server stops is carried out",
        "server/inbox.py",
        "while self._turns:",
        "for _ in range(BATCH_REQUESTS):",
        "tests/server/test_stop.py -k turn_when_it_stops",
    ),
    Bug(
        "a request costs what it did",
        "server/loop.py",
        "        sender = self._sender(request, peer)\n",
        "        sender = self._sender(bytes(byte for byte in request), peer)\n",
        "tests/server/test_operations.py -k an_update",
    ),
]
