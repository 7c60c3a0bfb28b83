"""UDP: the client's side, which tries the addresses of a host and hears who answers."""

import gc

import pytest

from groupchat.transports.udp import MAX_DATAGRAM_BYTES, UDP
from tests.transports.recorder import (
    Echo,
    connected,
    datagram_socket,
    have_hosts_stand_for,
    in_loop,
    linked,
    listening,
)


@in_loop
async def test_a_client_tries_all_addresses_until_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with datagram_socket() as silent:
        async with listening(UDP(), Echo()) as listener:
            have_hosts_stand_for(monkeypatch, silent.getsockname(), ("127.0.0.1", listener.port))
            async with connected(UDP(), listener.port, "localhost") as connection:
                await connection.send(b"first")
                await connection.send(b"second")
                assert await connection.receive() == b"second"
                # Whoever answered is the server from now on.
                for request in (b"third", b"fourth"):
                    await connection.send(request)
                    assert await connection.receive() == request
        assert silent.recv(100) == b"first"
        with pytest.raises(BlockingIOError):
            silent.recv(100)


@in_loop
async def test_a_client_goes_on_with_the_other_addresses_if_one_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As without IPv6, when a host has an address of each kind."""
    async with listening(UDP(), Echo()) as listener:
        # The broadcast address is one that an ordinary socket may not connect to.
        have_hosts_stand_for(monkeypatch, ("255.255.255.255", 9), ("127.0.0.1", listener.port))
        async with connected(UDP(), listener.port, "localhost") as connection:
            await connection.send(b"hello")
            assert await connection.receive() == b"hello"


@in_loop
async def test_a_client_that_can_use_no_address_says_why_and_leaves_no_socket_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_hosts_stand_for(monkeypatch, ("255.255.255.255", 9))
    with pytest.raises(PermissionError):
        await UDP().connect("localhost", 9)
    gc.collect()  # a socket left open would warn here, and warnings are errors


@in_loop
async def test_a_client_is_told_that_nobody_is_there() -> None:
    with datagram_socket() as closed:
        port = closed.getsockname()[1]
    async with connected(UDP(), port) as connection:
        await connection.send(b"1 Alice")
        with pytest.raises(ConnectionRefusedError):
            await connection.receive()


@in_loop
async def test_a_request_that_no_datagram_can_carry_is_refused_before_it_is_sent() -> None:
    service = Echo(lambda request: [b"%d" % len(request)])
    async with linked(UDP(), service) as connection:
        with pytest.raises(ValueError, match="65,507 bytes at the most"):
            await connection.send(b"x" * (MAX_DATAGRAM_BYTES + 1))
        await connection.send(b"x" * MAX_DATAGRAM_BYTES)
        assert await connection.receive() == b"65507"
        assert len(service.requests) == 1
