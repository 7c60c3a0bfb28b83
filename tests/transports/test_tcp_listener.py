"""TCP: the listener, which accepts connections, runs out of room, and closes."""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Iterator

import pytest

from groupchat.core.peer import Reception
from groupchat.transports import load, tcp
from groupchat.transports.address import bind
from groupchat.transports.tcp import CONNECTIONS_A_WAKE_UP, TCP
from tests.processes import DEADLINE, TcpMember
from tests.transports.recorder import (
    POSIX,
    Echo,
    Recorder,
    connected,
    in_loop,
    linked,
    listening,
    soon,
)


@in_loop
async def test_a_closing_listener_takes_no_one_new_and_lets_go_of_everyone() -> None:
    service = Echo(lambda request: [request.strip()])
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n")
        assert await reader.readline() == b"5\n"
        assert await reader.readline() == b"\n"
    assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)
    writer.close()
    await writer.wait_closed()
    await soon(lambda: len(service.lost) == 1)


@in_loop
async def test_a_closing_listener_still_delivers_what_is_under_way() -> None:
    service = Recorder()
    pages = [b"%d" % number + b"x" * 65_535 + b"\n" for number in range(100)]
    listener = await TCP().listen("127.0.0.1", 0, service)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=10**7)
    writer.write(b"5\n5\n")
    await soon(lambda: len(service.peers) == 2)
    service.peers[0].reply([*pages, b"end"])
    closing = asyncio.ensure_future(listener.close())
    assert await reader.readuntil(b"end\n\n") == b"".join([*pages, b"end\n\n"])
    service.peers[1].reply([b"and that"])  # asked before, answered after
    assert await reader.read() == b"and that\n\n"
    writer.close()
    await writer.wait_closed()
    await closing
    assert service.requests == [b"5\n", b"5\n"]


@in_loop
async def test_a_closing_listener_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 0.01)
    service = Recorder()
    async with listening(TCP(), service) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n")
        await soon(lambda: bool(service.peers))
        service.peers[0].reply(itertools.repeat(b"x" * 65_536))
    await soon(lambda: bool(service.lost))
    writer.transport.abort()


@in_loop
async def test_a_connection_that_has_to_wait_is_closed_at_once_with_the_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "CLOSING_SECONDS", 3_600)
    service = Echo()
    service.welcome = Reception(known=False, wanted=True, pause=3_600)
    async with listening(TCP(), service) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"5\n")
        await soon(lambda: bool(service.come_and_stayed))
    assert await reader.read() == b""
    writer.close()
    assert service.lost == service.come_and_stayed
    assert not service.requests


@in_loop
async def test_a_connection_that_fails_before_it_begins_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not on every system can a socket be used whose client has gone already."""
    service = Echo()

    async def fail(*_: object) -> None:
        raise OSError("the client has gone")

    async with listening(TCP(), service) as listener:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fail)
            with TcpMember(listener.port):
                await soon(lambda: bool(service.lost))
        async with connected(TCP(), listener.port) as connection:
            await connection.send(b"hello")
            assert await connection.receive() == b"hello"
    assert service.lost == service.come_and_stayed


@in_loop
async def test_a_listener_can_be_closed_before_it_has_met_those_who_came() -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        connections = [TcpMember(listener.port) for _ in range(10)]
        await asyncio.sleep(0)  # a turn, in which they are accepted and no more
    for connection in connections:
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.stream.read() == b""


@in_loop
async def test_who_comes_gives_way_to_those_who_are_there() -> None:
    service = Echo()
    async with listening(TCP(), service) as listener:
        crowd = [TcpMember(listener.port) for _ in range(CONNECTIONS_A_WAKE_UP + 10)]
        for member in crowd:
            member.socket.sendall(b"5\n")
        turns = [0]
        while turns[-1] < len(crowd):
            await asyncio.sleep(0)
            turns.append(len(service.requests))
        came = [after - before for before, after in itertools.pairwise(turns)]
        assert max(came) <= CONNECTIONS_A_WAKE_UP
        for member in crowd:
            member.__exit__()


@contextlib.contextmanager
def no_file_descriptors() -> Iterator[None]:
    """Take all file descriptors that this process may have, and give them back."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 20, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@POSIX
@in_loop
async def test_a_listener_without_room_for_one_more_connection_takes_it_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process runs out of file descriptors, and gets some back."""
    monkeypatch.setattr(tcp, "ACCEPT_AGAIN_SECONDS", 0.01)
    service = Echo()
    listener = await TCP().listen("127.0.0.1", 0, service)
    with TcpMember(listener.port) as first, socket.socket() as second:
        await soon(lambda: first.socket.send(b"5\n") == 2 and bool(service.requests))
        with no_file_descriptors():
            second.connect(("127.0.0.1", listener.port))
            second.sendall(b"6\n")
            await soon(lambda: len(caplog.messages) >= 2)
            answered = len(service.requests)
            first.socket.send(b"7\n")  # whoever is there is served all the same
            await soon(lambda: service.requests[answered:] == [b"7\n"])
        await soon(lambda: service.requests[-1] == b"6\n")
        assert set(caplog.messages) == {"tcp: cannot accept connections: Too many open files"}
    await listener.close()


@POSIX
@in_loop
async def test_a_listener_can_be_closed_while_it_has_no_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tcp, "ACCEPT_AGAIN_SECONDS", 3_600)
    listener = await TCP().listen("127.0.0.1", 0, Recorder())
    with socket.socket() as client:
        with no_file_descriptors():
            client.connect(("127.0.0.1", listener.port))
            await soon(lambda: bool(caplog.messages))
        await listener.close()
        client.settimeout(DEADLINE)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


@in_loop
async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use") as caught:
            await TCP().listen("127.0.0.1", taken.getsockname()[1], Recorder())
        assert caught.value.errno == errno.EADDRINUSE


@POSIX
@in_loop
async def test_a_port_taken_between_two_addresses_leaves_nothing_listening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two sockets may be bound to one port; the one that listens first has it."""
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(("127.0.0.1", 0))
        port = rival.getsockname()[1]
        first, second = (
            sock for wanted in (0, port) for sock in bind("127.0.0.1", wanted, socket.SOCK_STREAM)
        )
        free = first.getsockname()[1]
        rival.listen()
        with monkeypatch.context() as patch:
            patch.setattr(tcp, "bind", lambda *_: [first, second])
            with pytest.raises(OSError, match="in use"):
                await TCP().listen("127.0.0.1", port, Recorder())
    assert (first.fileno(), second.fileno()) == (-1, -1)
    # The loop has let go of them too: whoever gets their numbers next can be waited for.
    async with linked(TCP(), Echo()) as connection:
        await connection.send(b"hello")
        assert (await connection.receive()).strip() == b"hello"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", free)


def test_the_entry_point_gives_this_transport() -> None:
    assert isinstance(load("tcp"), TCP)
