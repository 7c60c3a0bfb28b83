"""Answers that come too late to be believed, and what travels apart."""

from groupchat.core.sessions.client import SessionClient
from groupchat.core.sessions.happenings import Result, Told
from groupchat.core.sessions.outbox import Outbox
from groupchat.core.sessions.replies import Answer, Prove
from groupchat.core.sessions.saved import Saved
from groupchat.core.sessions.wire import Mark


def test_an_answer_from_before_the_address_had_to_be_proved_is_not_believed() -> None:
    """The server that gave it may have ended, and not have carried out what it says."""
    client = SessionClient(True, Saved("0" * 32, 4, 7, True, "main", (b"2 Hi",)), nonce="")
    assert client.send(0)
    assert client.receive(Prove("1" * 16, key="0" * 32).encode(), 1) == []
    assert client.send(1)
    line = b"7 5 s Bob: Hello\n"
    old = Answer(4, ("done",), Mark(7), Mark(8), 8, body=line, key="0" * 32)
    assert client.receive(old.encode(), 2) == []
    new = Answer(4, ("done",), Mark(7), Mark(8), 8, tries=2, body=line, key="0" * 32)
    happened = client.receive(new.encode(), 3)
    assert Result(b"2 Hi", "done") in happened
    assert Told(7, 5, "s", b"Bob: Hello") in happened


def test_the_request_to_leave_travels_apart_if_it_is_to() -> None:
    outbox = Outbox(())
    for command in (b"2 Hi", b"4"):
        outbox.put(command, 1_000)
    outbox.pack(1_000, leave_apart=True)
    assert outbox.requests() == (b"2 Hi",)
    assert outbox.arrived(["done"]) == [Result(b"2 Hi", "done")]
    outbox.pack(1_000, leave_apart=True)
    assert outbox.requests() == (b"4",)


def test_what_came_of_a_part_is_passed_over_when_the_one_before_it_was_forgotten() -> None:
    outbox = Outbox(())
    outbox.put(b"2 " + b"x" * 100, 60)
    outbox.pack(1_000)
    parts = outbox.requests()
    assert len(parts) > 1
    assert outbox.arrived(["incomplete", *["done"] * (len(parts) - 1)]) == []
    outbox.pack(1_000)
    assert outbox.requests()
