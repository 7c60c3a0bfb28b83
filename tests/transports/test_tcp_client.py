"""TCP: the client's side of a connection."""

import itertools
import socket

import pytest

from groupchat.transports import tcp_connection
from groupchat.transports.tcp import TCP
from tests.processes import reset
from tests.transports.recorder import Echo, connected, in_loop, linked


@in_loop
async def test_a_client_is_told_that_the_server_ended_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with connected(TCP(), listener.getsockname()[1]) as connection:
            peer, _ = listener.accept()
            peer.sendall(b"half a rep")
            peer.close()
            with pytest.raises(ConnectionResetError, match="the server has ended"):
                await connection.receive()


@in_loop
async def test_a_client_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with connected(TCP(), silent.getsockname()[1]) as connection:
            await connection.send(b"5")
            monkeypatch.setattr(tcp_connection, "SILENCE_SECONDS", 0.01)
            with pytest.raises(TimeoutError):
                await connection.receive()


@in_loop
async def test_a_client_can_close_a_connection_that_was_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await TCP().connect("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        await connection.send(b"5")
        reset(peer)
        with pytest.raises(ConnectionResetError):
            await connection.receive()
        await connection.close()


@in_loop
async def test_a_client_reads_a_line_of_any_length_that_a_server_sends() -> None:
    roster = b", ".join(b"%032d" % number for number in range(10_000))
    async with linked(TCP(), Echo(lambda _: [roster])) as connection:
        await connection.send(b"1 Alice")
        assert await connection.receive() == roster


@in_loop
async def test_a_client_gives_up_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_connection, "_MAX_REPLY_LINE_BYTES", 100_000)
    async with linked(TCP(), Echo(lambda _: itertools.repeat(b"x" * 65_536))) as connection:
        await connection.send(b"5")
        with pytest.raises(ConnectionAbortedError, match="too long a line"):
            await connection.receive()


@in_loop
async def test_a_client_does_not_wait_for_ever_for_a_server_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        async with connected(TCP(), deaf.getsockname()[1]) as connection:
            monkeypatch.setattr(tcp_connection, "SILENCE_SECONDS", 0.01)
            monkeypatch.setattr(tcp_connection, "CLOSING_SECONDS", 0.01)
            with pytest.raises(TimeoutError):
                await connection.send(bytes(50_000_000))
