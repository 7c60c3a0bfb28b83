"""Bugs in what brings bytes to and from peers."""

from tests.bugs.bug import Bug

__all__ = ["BUGS"]

BUGS = [
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
        "return self._writable and not (self._finished",
        "return not (self._finished",
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
        "the system keeps little for who does not read",
        "transports/tcp.py",
        "if _NOTSENT_LOWAT is not None:",
        "if False:",
        "tests/transports/test_tcp_back_pressure.py -k keeps_little",
    ),
    Bug(
        "no web page speaks by a browser",
        "transports/tcp_peer.py",
        "if _BROWSER.match(line):",
        "if False:",
        "tests/transports/test_tcp_lines.py -k web_page",
    ),
    Bug(
        "no web page speaks by a browser that writes its fields in small letters",
        "transports/tcp_peer.py",
        're.compile(rb"host:|\\x16\\x03", re.IGNORECASE)',
        're.compile(rb"Host:|\\x16\\x03")',
        "tests/transports/test_tcp_lines.py -k web_page",
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
        "a connection that has to wait is closed at once when the server stops",
        "transports/tcp_peer.py",
        "            self._pause.cancel()\n            self._pause = None\n",
        "            pass\n",
        "tests/transports/test_tcp_listener.py -k has_to_wait",
    ),
    Bug(
        "a connection that has to wait is not read",
        "transports/tcp_peer.py",
        "        self._wait(self._first_pause)\n",
        "        pass\n",
        "tests/transports/test_tcp_lines.py -k has_to_wait",
    ),
    Bug(
        "a reply that cannot be made is not followed by the next one",
        "transports/tcp_peer.py",
        "                taken.append(self._break_off)\n",
        "",
        "tests/transports/test_tcp_endings.py -k cannot_be_made",
    ),
]
