"""Bugs in both halves of a session, the server's and the client's."""

from tests.bugs.bug import Bug

__all__ = ["BUGS"]

BUGS = [
    Bug(
        "news is told again until it is acknowledged",
        "core/sessions/answers.py",
        '        begin, stop, body = ask.mark, ask.mark, b""',
        "        group.stand(heard.sender, end)\n"
        '        begin, stop, body = ask.mark, ask.mark, b""',
        "tests/core/sessions/test_server_news.py -k acknowledged",
    ),
    Bug(
        "a request that is too long is not looked at",
        "core/sessions/requests.py",
        "if len(request) > DATAGRAM_BYTES:",
        "if False:",
        "tests/core/sessions/test_messages.py -k too_long",
    ),
    Bug(
        "a repeat is not carried out again",
        "core/sessions/server.py",
        "if ask.number == session.number:",
        "if ask.number == -1:",
        "tests/core/sessions/test_server_requests.py -k repeat",
    ),
    Bug(
        "an answer is looked for on so many pages and no more, whosever events they have",
        "core/sessions/answers.py",
        "(ANSWER_EVENTS, ANSWER_PAGES) if whole else (DATAGRAM_EVENTS, DATAGRAM_PAGES)",
        "(ANSWER_EVENTS, None)",
        "tests/core/sessions/test_server_news.py -k some_pages",
    ),
    Bug(
        "another request with the number of one before a restart is not taken for done",
        "core/sessions/server.py",
        """f"{','.join(words)} {session.asked}",""",
        """','.join(words),""",
        "tests/core/sessions/test_server_requests.py -k number_and_commands",
    ),
    Bug(
        "a request that has been overtaken is not carried out",
        "core/sessions/server.py",
        "if ask.number < session.number or not _may_be_repeat(ask, session):",
        "if ask.number < 0:",
        "tests/core/sessions/test_server_requests.py -k overtaken",
    ),
    Bug(
        "who has not proved his address gets no more than a cookie",
        "core/sessions/server.py",
        "        elif session.address != address:",
        "        elif session.address == '?':",
        "tests/core/sessions/test_server_identity.py -k proved",
    ),
    Bug(
        "a message that was altered on its way is not believed",
        "core/sessions/wire.py",
        "return message if sealed(message, key) == whole else None",
        "return message",
        "tests/core/sessions/test_messages.py -k any_byte_changed",
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
        '            if part.request.startswith(b"+") or',
        "            if",
        "tests/core/sessions/test_client_requests.py -k restarted",
    ),
    Bug(
        "nothing is said twice because its session was forgotten",
        "core/sessions/client.py",
        "join_apart=not self._presence.joined,",
        "join_apart=False,",
        "tests/core/sessions/test_client_opening.py -k session_was_forgotten",
    ),
    Bug(
        "nobody can answer in the server's name",
        "core/sessions/wire.py",
        "return message if sealed(message, key) == whole else None",
        "return message if whole[:1] == b'@' else None",
        "tests/core/sessions/test_client_opening.py -k servers_name",
    ),
    Bug(
        "what is pushed goes on from where its reader is",
        "core/sessions/answers.py",
        "answer = Answer(0, (), Mark(position), stop, end",
        "answer = Answer(0, (), _, stop, end",
        "tests/core/sessions/test_server_news.py",
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
        "of what is made once for all followers, nobody is told his own",
        "core/sessions/answers.py",
        "            and member.joined not in self._authors\n",
        "",
        "tests/core/sessions/test_server_news.py -k their_own",
    ),
    Bug(
        "what is made once for all followers is told to those at that place alone",
        "core/sessions/answers.py",
        "            shared.position == position\n",
        "            True\n",
        "tests/core/sessions/test_server_news.py -k their_own",
    ),
    Bug(
        "what is made once for all followers is made anew when there is more",
        "core/sessions/answers.py",
        "            and shared.end == timeline.end\n",
        "",
        "tests/core/sessions/test_server_news.py -k their_own",
    ),
    Bug(
        "who follows is told what was removed before he had it, too",
        "core/sessions/answers.py",
        "            and position >= timeline.start\n",
        "",
        "tests/core/sessions/test_server_news.py -k their_own",
    ),
]
