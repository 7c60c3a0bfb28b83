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
        "self._timeline.append(said_line(member.name, text), time, member.cursor)",
        "self._timeline.append(said_line(member.name, text), time)",
        "tests/core/test_group.py",
    ),
    Bug(
        "to send is the same work with any number of members",
        "core/group.py",
        "        reply = self._pending(member, budget)\n        self._timeline.append(said_line",
        "        reply = self._pending(member, budget)\n"
        "        for _ in self._by_age:\n            pass\n"
        "        self._timeline.append(said_line",
        "tests/core/test_costs.py",
    ),
    Bug(
        "what does not fit a reply waits for the next",
        "core/timeline.py",
        "return spans, page.first + fitting",
        "return spans, self.end",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "a line longer than the budget is sent all the same",
        "core/timeline.py",
        "fitting = start + 1",
        "pass",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what somebody has yet to read is not forgotten",
        "core/timeline.py",
        "self._pages[self._index(position)].cursors += 1",
        "pass",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "what everybody has read is forgotten",
        "core/timeline.py",
        "        del self._pages[:kept]",
        "        return",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "names are compared, not only spelt",
        "core/group.py",
        "if name_key(name) in self._keys:",
        "if name in list(self):",
        "tests/core/test_group.py",
    ),
    Bug(
        "a name is in use until its owner has left",
        "core/group.py",
        "self._keys.add(name_key(name))\n        member.name = name",
        "member.name = name",
        "tests/core/test_group.py",
    ),
    Bug(
        "a refusal changes nothing",
        "core/group.py",
        "        if not is_legal_text(text):\n            return Refused(Reason.ILLEGAL_TEXT)\n"
        "        reply = self._pending(member, budget)\n",
        "        reply = self._pending(member, budget)\n"
        "        if not is_legal_text(text):\n            return Refused(Reason.ILLEGAL_TEXT)\n",
        "tests/core/test_group.py",
    ),
    Bug(
        "the rest of a long roster is told later",
        "core/group.py",
        "                return Roster(tuple(names))\n",
        "                member.untold = 0\n                return Roster(tuple(names))\n",
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
        "core/timeline.py",
        "        return bytes(memoryview(page.lines)"
        "[page.start(self.start) : page.start(self.stop)])",
        "        return bytes(memoryview(page.lines)[page.start(self.start) :])",
        "tests/core/test_timeline.py",
    ),
    Bug(
        "the texts of messages are not logged",
        "server.py",
        "        elif isinstance(command, Rename):",
        "        elif 'Send' in repr(command):\n            log.info('%s', command)\n"
        "        elif isinstance(command, Rename):",
        "tests/test_server.py",
    ),
    Bug(
        "bad input does not fill the log",
        "server.py",
        "REFUSAL_LOG_INTERVAL: Final = 1_000",
        "REFUSAL_LOG_INTERVAL: Final = 0",
        "tests/test_server.py",
    ),
    Bug(
        "a transport's mistake costs nobody else his reply",
        "server.py",
        "            except Exception:",
        "            except OSError:",
        "tests/test_server.py",
    ),
    Bug(
        "a member whose connection ends leaves the group",
        "server.py",
        "            elif peer.sender in self._group:",
        "            elif peer in self._group:",
        "tests/test_server.py",
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
        "if request != ILLEGAL_REQUEST:",
        "if True:",
        "tests/transports/test_udp_datagrams.py -k a_refusal_is_not_refused",
    ),
    Bug(
        "a connection has so many requests under way and no more",
        "transports/tcp.py",
        "return self._writable and self._unanswered < UNANSWERED_LINES",
        "return self._writable",
        "tests/transports/test_tcp_back_pressure.py -k under_way",
    ),
    Bug(
        "a reply is produced only as fast as it is taken",
        "transports/tcp.py",
        "while self._replies and self._writable and",
        "while self._replies and",
        "tests/transports/test_tcp_back_pressure.py -k who_does_not_read",
    ),
    Bug(
        "a line that does not end is bounded",
        "transports/tcp.py",
        "if (end or len(self._arrived)) > MAX_LINE_BYTES:",
        "if end > MAX_LINE_BYTES:",
        "tests/transports/test_tcp_lines.py -k does_not_end",
    ),
    Bug(
        "after a half-close everything is answered",
        "transports/tcp.py",
        "if self._unanswered or self._replies or not (self._half_closed or self._refused):",
        "if not (self._half_closed or self._refused):",
        "tests/transports/test_tcp_endings.py -k after_a_half_close",
    ),
    Bug(
        "what was received before a reset is carried out",
        "transports/tcp.py",
        "        while (line := self._next_line()) is not None:\n"
        "            self._unanswered += 1\n"
        "            self._service.receive(line, self)  #",
        "        while (line := self._next_line()) is not None:\n"
        "            self._unanswered += 1\n"
        "            #",
        "tests/transports/test_tcp_endings.py -k before_a_reset_is_carried_out",
    ),
    Bug(
        "nothing that arrives late at a client is thrown away",
        "client/plain.py",
        "            if late and late != ILLEGAL_REQUEST:",
        "            if False:",
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
        "client/terminal.py",
        '_CONTROL.sub("\\ufffd", reply.decode(errors="replace"))',
        'reply.decode(errors="replace")',
        "tests/cli/test_connect_terminal.py -k drive_the_terminal",
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
def test_it_is_found_when(bug: Bug, tmp_path: Path) -> None:
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
