"""Tests that cannot fail prove nothing. Here each safety claim is broken on purpose, in a copy of
the project, by one change to the code; the tests named beside it must notice.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from tests.conftest import Row

ROOT = Path(__file__).parent.parent


@frozen
class Bug:
    """One change, and where its discovery is expected."""

    claim: str
    module: str
    right: str
    wrong: str
    tests: str


BUGS = [
    Bug(
        "nobody is shown his own events",
        "core/group.py",
        "self.timeline.append(line, SAID, time, member.cursor)",
        "self.timeline.append(line, SAID, time)",
        "tests/core/test_group.py",
    ),
    Bug(
        "to send is the same work with any number of members",
        "core/group.py",
        "                line = said_line(member.name, command.text)\n",
        "                line = said_line(member.name, command.text)\n"
        "                for _ in self._by_age:\n                    pass\n",
        "tests/core/test_costs.py",
    ),
    Bug(
        "what does not fit a reply waits for the next",
        "core/pages.py",
        "stop = page.first + (fitting if some or fitting > span.start else fitting + 1)",
        "stop = self.stop",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "a line longer than the budget is sent all the same",
        "core/pages.py",
        "(fitting if some or fitting > span.start else fitting + 1)",
        "fitting",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what somebody has yet to read is not forgotten",
        "core/timeline.py",
        "self._pages[kept].stop <= self._lowest:",
        "self._pages[kept].first <= self._lowest:",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what everybody has read is forgotten",
        "core/timeline.py",
        "            self._lowest = position if position in standing else",
        "            return\n            self._lowest = position if position in standing else",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "names are compared, not only spelt",
        "core/group.py",
        "if self._taken.get(key, self._group.is_taken(key)):",
        "if name in list(self._group):",
        "tests/core/test_group.py",
    ),
    Bug(
        "a name is in use until its owner has left",
        "core/group.py",
        "self._take(name)\n        member.name = name",
        "member.name = name",
        "tests/core/test_group.py",
    ),
    Bug(
        "a refusal changes nothing",
        "core/group.py",
        "return command if is_legal_text(command.text) else Refused(Reason.ILLEGAL_TEXT)",
        "return command",
        "tests/core/test_group.py",
    ),
    Bug(
        "the rest of a long roster is told later",
        "core/group.py",
        "                return members, members[-1].joined\n",
        "                return members, 0\n",
        "tests/core/test_group.py",
    ),
    Bug(
        "no text breaks a line",
        "core/names.py",
        r"\x0a-\x1f",
        r"\x0b-\x1f",
        "tests/core/test_names.py",
    ),
    Bug(
        "no name imitates a line",
        "core/names.py",
        "_IMITATES_A_LINE.search(key)",
        "False",
        "tests/core/test_lines.py tests/core/test_names.py",
    ),
    Bug(
        "bytes that are not UTF-8 are refused",
        "core/plain.py",
        "    except UnicodeDecodeError:\n        return _NOT_A_REQUEST",
        "    except UnicodeEncodeError:\n        return _NOT_A_REQUEST",
        "tests/core/test_plain.py",
    ),
    Bug(
        "a reply stays what it was when it was given",
        "core/pages.py",
        "        return bytes(memoryview(page.lines)"
        "[page.start(self.start) : page.start(self.stop)])",
        "        return bytes(memoryview(page.lines)[page.start(self.start) :])",
        "tests/core/test_timeline.py",
    ),
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
        "a member whose connection ends leaves the group",
        "server/loop.py",
        "                batch.end(peer)",
        "                pass",
        "tests/server/test_loop.py -k gone",
    ),
    Bug(
        "an error of the network costs nobody else his reply",
        "transports/udp.py",
        '        except OSError as error:\n            log.debug("udp: a reply to',
        '        except TimeoutError as error:\n            log.debug("udp: a reply to',
        "tests/transports/test_udp_congestion.py -k the_network_refuses",
    ),
    Bug(
        "replies wait while the socket is full",
        "transports/udp.py",
        "        except (BlockingIOError, InterruptedError):\n            return False",
        "        except (BlockingIOError, InterruptedError):\n            return True",
        "tests/transports/test_udp_congestion.py -k send_buffer_is_full",
    ),
    Bug(
        "a flood gives way to others",
        "transports/udp.py",
        "for _ in range(DATAGRAMS_A_WAKE_UP):",
        "while True:",
        "tests/transports/test_udp_congestion.py -k gives_way",
    ),
    Bug(
        "two servers cannot be made to refuse each other for ever",
        "transports/udp.py",
        "if request == ILLEGAL_REQUEST:",
        "if False:",
        "tests/transports/test_udp_datagrams.py -k a_refusal_is_not_refused",
    ),
    Bug(
        "a connection has so many requests under way and no more",
        "transports/tcp_peer.py",
        "return self._writable and not self._pause and self._unanswered < UNANSWERED_LINES",
        "return self._writable and not self._pause",
        "tests/transports/test_tcp_back_pressure.py -k under_way",
    ),
    Bug(
        "a reply is produced only as fast as it is taken",
        "transports/tcp_peer.py",
        "while self._unsent and self._writable and",
        "while self._unsent and",
        "tests/transports/test_tcp_back_pressure.py -k who_does_not_read",
    ),
    Bug(
        "a line that does not end is bounded",
        "transports/tcp_peer.py",
        "if self._overlong > MAX_LINE_BYTES:",
        "if False:",
        "tests/transports/test_tcp_lines.py -k does_not_end",
    ),
    Bug(
        "after a half-close everything is answered",
        "transports/tcp_peer.py",
        "if self._busy() or not (self._half_closed or self._refused):",
        "if not (self._half_closed or self._refused):",
        "tests/transports/test_tcp_endings.py -k after_a_half_close",
    ),
    Bug(
        "of a line too long for any request only the beginning is kept",
        "transports/tcp_peer.py",
        "line = self._take(KEPT_BYTES)",
        'line = self._take(self._arrived.find(b"\\n") + 1 or len(self._arrived))',
        "tests/transports/test_tcp_lines.py -k of_a_long_line",
    ),
    Bug(
        "what was sent before a connection was lost is carried out",
        "transports/tcp_peer.py",
        "            self._arrived += self._buffer[:count]\n            self._go_on()",
        "            self._arrived += self._buffer[:count]\n"
        "            asyncio.get_running_loop().call_later(0.01, self._go_on)",
        "tests/transports/test_tcp_endings.py -k sent_before_the_end",
    ),
    Bug(
        "what had to wait when a connection was lost is dropped",
        "transports/tcp_peer.py",
        "        self._arrived.clear()\n        self._ended(self)",
        "        while (line := self._next_line()) is not None:\n"
        "            self._service.receive(line, self)\n"
        "        self._ended(self)",
        "tests/transports/test_tcp_endings.py -k lost_is_dropped",
    ),
    Bug(
        "who takes nothing does not hold his connection for ever",
        "transports/tcp_watch.py",
        "            self._transport.abort()",
        "            self._look_later()",
        "tests/transports/test_tcp_watch.py -k takes_nothing_is_given_up",
    ),
    Bug(
        "who takes little is not given up",
        "transports/tcp_watch.py",
        "if self._taken() > before:",
        "if False:",
        "tests/transports/test_tcp_watch.py -k takes_little",
    ),
    Bug(
        "nothing that arrives late at a client is thrown away",
        "client/plain.py",
        "            if late and late != ILLEGAL_REQUEST and",
        "            if False and",
        "tests/cli/test_connect_answers.py -k late_or_twice",
    ),
    Bug(
        "a client that may have joined leaves",
        "client/plain.py",
        '        if request.startswith(b"1 "):\n            self._may_be_member = True',
        "",
        "tests/cli/test_connect_endings.py -k who_joined_though_the_reply_was_lost",
    ),
    Bug(
        "a server cannot drive a terminal",
        "client/screen.py",
        '_CONTROL.sub("\\ufffd", reply.decode(errors="replace"))',
        'reply.decode(errors="replace")',
        "tests/cli/test_connect_terminal.py -k drive_the_terminal",
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
        "news is told again until it is acknowledged",
        "core/sessions/answers.py",
        '        begin, stop, body = ask.mark, ask.mark, b""',
        "        group.stand(heard.sender, end)\n"
        '        begin, stop, body = ask.mark, ask.mark, b""',
        "tests/core/sessions",
    ),
    Bug(
        "a repeat is not carried out again",
        "core/sessions/server.py",
        "if ask.number == session.number:",
        "if ask.number == -1:",
        "tests/core/sessions",
    ),
    Bug(
        "a request that has been overtaken is not carried out",
        "core/sessions/server.py",
        "if ask.number < session.number or not self._may_be_repeat(ask, session):",
        "if ask.number < 0:",
        "tests/core/sessions",
    ),
    Bug(
        "who has not proved his address gets no more than a cookie",
        "core/sessions/server.py",
        "        elif session.address != address:",
        "        elif session.address == '?':",
        "tests/core/sessions",
    ),
    Bug(
        "a message that was altered on its way is not believed",
        "core/sessions/wire.py",
        "return message if sealed(message, key) == whole else None",
        "return message",
        "tests/core/sessions",
    ),
    Bug(
        "a flood does not keep members from being heard",
        "transports/shield.py",
        "_SHARE if a in self._crowding else _PASS)",
        "_SHARE if a in self._crowding else _DROP)",
        "tests/transports/test_shield.py",
    ),
    Bug(
        "junk with a member's address does not silence him",
        "transports/shield.py",
        "        verdicts = dict.fromkeys(map(_key, self._flooding), _DROP)\n"
        "        verdicts.update((_key(a), _SHARE if a in self._crowding else _PASS)"
        " for a in known)\n",
        "        verdicts = {_key(a): _SHARE if a in self._crowding else _PASS for a in known}\n"
        "        verdicts.update(dict.fromkeys(map(_key, self._flooding), _DROP))\n",
        "tests/transports/test_shield.py -k does_not_silence",
    ),
    Bug(
        "a member who floods does not crowd out the others",
        "transports/shield.py",
        "_SHARE if a in self._crowding else _PASS",
        "_PASS",
        "tests/transports/test_shield.py -k a_member_who_floods",
    ),
    Bug(
        "a full socket keeps nothing for made up addresses",
        "transports/udp.py",
        "        if address not in self._known:",
        "        if False:",
        "tests/transports/test_udp_congestion.py -k for_strangers",
    ),
    Bug(
        "a socket that stays full does not keep requests from being taken",
        "transports/udp.py",
        "self._giving_up = self._loop.call_later(UNSENT_SECONDS, self._give_up)",
        "self._giving_up = None",
        "tests/transports/test_udp_congestion.py -k stays_full",
    ),
    Bug(
        "a request is not sent before what it depends on is kept",
        "client/session.py",
        "        self._write_down()\n        if message is not None:",
        "        if message is not None:",
        "tests/client/test_session.py -k is_kept",
    ),
    Bug(
        "what was not dealt with is told again",
        "client/session.py",
        "        if error is None:\n            self.settle()",
        "        self.settle()",
        "tests/client/test_session.py -k not_dealt_with",
    ),
    Bug(
        "another socket is tried when ours leads nowhere",
        "client/redial.py",
        "            await self._replace(link)",
        "            pass",
        "tests/client/test_links.py -k leads_nowhere",
    ),
    Bug(
        "a server cannot make a client keep a reply without end",
        "client/link.py",
        "            if len(self._parts) > MAX_REPLY_BYTES:",
        "            if False:",
        "tests/client/test_unfit_servers.py -k without_end",
    ),
    Bug(
        "lines are shown before it is noted that they were",
        "client/conversation.py",
        "            self._screen.flush()\n            end = self._go_on()",
        "            end = self._go_on()",
        "tests/client/test_endings.py -k full_disk",
    ),
    Bug(
        "the number of a new request is on the disk",
        "client/slots.py",
        "wait=not told_more",
        "wait=False",
        "tests/client/test_statefile.py -k on_the_disk",
    ),
    Bug(
        "a session that was altered is not gone on with",
        "client/statefile.py",
        "check != _check(fields)",
        "False",
        "tests/client/test_statefile.py -k damaged",
    ),
    Bug(
        "nobody else can read a session",
        "client/statefile.py",
        "os.open(beside, flags, 0o600)",
        "os.open(beside, flags, 0o644)",
        "tests/client/test_statefile.py -k private",
    ),
    Bug(
        "two programs do not use one session",
        "client/lock.py",
        "            _lock(descriptor)\n",
        "",
        "tests/client/test_slots.py -k same_time",
    ),
    Bug(
        "Ctrl-C ends a write that does not return",
        "client/interrupts.py",
        "        if self._stuck and self._writing() and sys.platform",
        "        if False and sys.platform",
        "tests/client/test_endings.py -k ctrl_c",
    ),
    Bug(
        "the terminal is left as it was",
        "client/connect.py",
        "                screen.editor.restore()",
        "                pass",
        "tests/client/test_terminal.py -k left_as_it_was",
    ),
    Bug(
        "only what the server says counts as heard",
        "client/session.py",
        "            if self._client.heard > heard:",
        "            if True:",
        "tests/client/test_endings.py -k anything_but",
    ),
    Bug(
        "a session that cannot be kept up is left as it is",
        "client/slots.py",
        "            if self._resumed:",
        "            if False:",
        "tests/client/test_unkept_sessions.py -k left_as_it_is",
    ),
    Bug(
        "nobody speaks as somebody else",
        "client/asking.py",
        "        if self._keyboard.piped:",
        "        if False:",
        "tests/client/test_resume.py -k somebody_else",
    ),
    Bug(
        "what is seen of the typed line is what is sent",
        "client/editor.py",
        "        self._update()",
        "        pass",
        "tests/client/test_follow.py -k typed_line",
    ),
    Bug(
        "nothing is told twice",
        "core/sessions/bookmark.py",
        "if event.position >= before or joined]",
        "]",
        "tests/core/sessions/test_client_news.py -k left_out",
    ),
    Bug(
        "what is no request does not travel as another one",
        "core/sessions/outbox.py",
        "any(c in command for c in _NEVER_LEGAL)",
        "False",
        "tests/core/sessions/test_client_requests.py -k never_be_legal",
    ),
    Bug(
        "a long message keeps its place when the server was restarted",
        "core/sessions/outbox.py",
        '            if part.request.startswith(b"+"):',
        "            if False:",
        "tests/core/sessions/test_client_requests.py -k restarted",
    ),
    Bug(
        "nobody can answer in the server's name",
        "core/sessions/wire.py",
        "return message if sealed(message, key) == whole else None",
        "return message if whole[:1] == b'@' else None",
        "tests/core/sessions/test_client_opening.py -k servers_name",
    ),
    Bug(
        "no member can imitate what the server itself says",
        "core/names.py",
        "|^server error$",
        "",
        "tests/core/test_names.py",
    ),
    Bug(
        "what is pushed goes on from where its reader is",
        "core/sessions/answers.py",
        "return Answer(0, (), Mark(position), stop, end",
        "return Answer(0, (), _, stop, end",
        "tests/core/sessions/test_server_news.py",
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
        "all that waited is told before the next command is asked",
        "core/sessions/client.py",
        "        if self._turns is None or self._turns.fetch_to is None:\n"
        "            self._outbox.pack",
        "        if True:\n            self._outbox.pack",
        "tests/core/sessions/test_client_turns.py -k in_turn",
    ),
    Bug(
        "news that was not asked for is not taken for read",
        "core/sessions/client.py",
        "        if turns.fetch_to is None:\n            if not answer.body:",
        "        if False:\n            if not answer.body:",
        "tests/core/sessions/test_client_turns.py -k in_turn",
    ),
    Bug(
        "a connection whose member has left is not kept for ever",
        "server/silence.py",
        "            if connection.member in self._group:",
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
        "while the disk is slow, what waits for it is bounded",
        "server/inbox.py",
        "if self._bytes >= GATHERED_BYTES else 0.0",
        "if False else 0.0",
        "tests/server/test_inbox.py -k bytes_wait",
    ),
    Bug(
        "old pages do not stay in memory",
        "journal/durable.py",
        "if len(self._cache) > CACHED_PAGES:",
        "if False:",
        "tests/journal/test_durable.py -k old_pages",
    ),
    Bug(
        "a restart is short however often there is one",
        "journal/recovery.py",
        "chain.records - state.records, fresh_bytes)",
        "0, 0)",
        "tests/journal/test_durable.py -k started_often",
    ),
    Bug(
        "nothing goes for its size before what nobody needs",
        "journal/durable.py",
        "if size > retention.size and self._fresh_records > UNSETTLED_RECORDS:",
        "if False:",
        "tests/journal/test_retention.py -k nobody_needs",
    ),
    Bug(
        "a new journal is on the disk before it has its name",
        "journal/files.py",
        "        os.fsync(file.fileno())\n",
        "        pass\n",
        "tests/journal/test_files.py -k before_it_has_its_name",
    ),
    Bug(
        "what is let go of while somebody reads is told",
        "journal/reader.py",
        "            yield Removed(base)\n",
        "            yield from ()\n",
        "tests/journal/test_transcript.py -k let_go_meanwhile",
    ),
    Bug(
        "a clock that jumps ahead lets go of nothing",
        "server/calendar.py",
        "if ahead <= self._believed + SLACK_MILLISECONDS:",
        "if True:",
        "tests/server/test_calendar.py",
    ),
    Bug(
        "nobody is told that nothing was stored before that is so",
        "journal/sqlite.py",
        "while not (self._void() or absent):",
        "while not (self._void() or True):",
        "tests/journal/test_faults.py -k before_that_is_so",
    ),
    Bug(
        "a server does not start where a damaged WAL hides what was stored",
        "journal/sqlite.py",
        "if raw.proven(last) > last:",
        "if False:",
        "tests/journal/test_wal.py -k sqlite_does_not_find",
    ),
    Bug(
        "what SQLite leaves behind in a WAL is not taken for damage",
        "journal/rawfile.py",
        "return newest - 1 if self._end else newest",
        "return newest",
        "tests/journal/test_wal.py -k not_finished",
    ),
    Bug(
        "nothing is written to a WAL that nobody would find",
        "journal/sqlite.py",
        "for file in (self._path, wal)}",
        "for file in (self._path,)}",
        "tests/journal/test_faults.py -k wal_that_is_taken",
    ),
    Bug(
        "a new connection for each request is not the way to ask faster",
        "server/gate.py",
        "here + 1\n        return self._stranger(peer)",
        "here + 1\n        return FROM_STRANGER",
        "tests/server/test_limits.py -k counted_with",
    ),
    Bug(
        "a connection that has to wait is not read",
        "transports/tcp_peer.py",
        "            self._wait(reception.pause)\n",
        "            pass\n",
        "tests/transports/test_tcp_lines.py -k has_to_wait",
    ),
    Bug(
        "whoever asks much does not keep others waiting",
        "server/inbox.py",
        "if not self._turns and len(self._arrived) <= BATCH_REQUESTS:",
        "if True:",
        "tests/server/test_inbox.py -k asks_much",
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
        "[*self._take_turns(), *self._arrived]",
        "self._arrived",
        "tests/server/test_stop.py -k turn_when_it_stops",
    ),
    Bug(
        "the demo checks every byte",
        "client/demo.py",
        "    if seen != expected:",
        "    if len(seen) != len(expected):",
        "tests/cli/test_demo.py -k byte",
    ),
]


@pytest.mark.parametrize("bug", BUGS, ids=[bug.claim for bug in BUGS])
def test_it_is_found_when(bug: Bug, tmp_path: Path, row: Row) -> None:
    shutil.copytree(ROOT / "groupchat", tmp_path / "groupchat")
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "groupchat" / bug.module
    source = path.read_text()
    assert source.count(bug.right) == 1, "the code that this bug changes has changed itself"
    path.write_text(source.replace(bug.right, bug.wrong))
    env = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *bug.tests.split()],
        cwd=tmp_path,
        env={**env, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr  # 1: tests ran, and one failed
    title = "Deliberate bugs, found by tests"
    row(title, BUGS.index(bug), f"not {bug.claim!r}: {bug.tests.partition(' ')[0]}")
