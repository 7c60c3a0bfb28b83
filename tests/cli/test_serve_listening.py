"""``groupchat serve``: where it listens, what it says of that, and how it ends."""

import re
import signal
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from groupchat import __version__, transports
from groupchat.cli import main
from groupchat.transports import Connection, Listener, Service
from tests.processes import Program, RunningServer, TcpMember, UdpMember, serving
from tests.transports.recorder import POSIX
from tests.world import Recorder

# The banner.


def test_the_banner_says_where_it_listens_and_how_to_join(server: RunningServer) -> None:
    port = server.port
    server.stop()
    assert [*server.program.out.seen, *server.program.out.rest()] == [
        f"groupchat {__version__}, one group, kept in memory. Ctrl-C ends it.",
        f"Listening on udp 127.0.0.1:{port}",
        f"Listening on tcp 127.0.0.1:{port}",
        "",
        "Join from another terminal:",
        f"  python -m groupchat connect 127.0.0.1 {port}",
        f"  python -m groupchat connect --transport tcp 127.0.0.1 {port}",
        "Only this machine can join. To let the network in: --host 0.0.0.0",
        "",
        "Stopped.",
    ]


def test_the_banner_can_be_printed_whatever_the_journal_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    with serving("--journal", str(tmp_path / "\udcff\n"), "0") as server:
        kept = server.program.out.seen[0]
    assert kept.endswith(f"kept in {tmp_path}/\\udcff\\n. Ctrl-C ends it.")


def test_a_server_that_lets_the_network_in_says_how_to_join_from_here() -> None:
    with serving("0", host="0.0.0.0") as server:
        server.stop()
        banner = "\n".join([*server.program.out.seen, *server.program.out.rest()])
    assert f"Listening on udp 0.0.0.0:{server.port}\n" in banner
    assert f" connect 127.0.0.1 {server.port}\n" in banner
    assert "From other machines, with this machine's address in place of 127.0.0.1." in banner
    assert "Only this machine" not in banner


def test_an_address_that_is_neither_here_nor_everywhere_is_no_reason_for_advice() -> None:
    with serving("0", host="127.0.0.2") as server:
        server.stop()
        banner = "\n".join([*server.program.out.seen, *server.program.out.rest()])
    assert f" connect 127.0.0.2 {server.port}\n" in banner
    assert "machine" not in banner


# The ports.


@pytest.mark.parametrize("own_first", [True, False])
def test_each_transport_can_have_a_port_of_its_own(own_first: bool) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    udp, tcp = ["--transport", "udp"], ["--transport", f"tcp:{own}"]
    with Program("serve", *(tcp + udp if own_first else udp + tcp), "0") as program:
        banner = "\n".join(iter(program.out.next, "Join from another terminal:"))
        assert f"Listening on tcp 127.0.0.1:{own}\n" in banner
        found = re.search(r"Listening on udp 127\.0\.0\.1:(\d+)\n", banner)
        assert found
        udp_port = int(found[1])
        joins = sorted([program.out.next(), program.out.next()])
        assert joins[0].endswith(f" connect --transport tcp 127.0.0.1 {own}")
        assert joins[1].endswith(f" connect 127.0.0.1 {udp_port}")
        with UdpMember(udp_port) as alice, TcpMember(own) as bob:
            assert alice.ask(b"1 Alice") == b""
            assert bob.ask(b"1 Bob") == b"Alice"
        program.process.send_signal(signal.SIGTERM)
        program.wait()


def test_one_transport_alone_can_be_served() -> None:
    with serving("--transport", "tcp", "0") as server:
        assert server.tcp().ask(b"1 Alice") == b""
        with UdpMember(server.port) as stranger, pytest.raises(ConnectionRefusedError):
            stranger.ask(b"1 Bob")


def test_port_0_is_any_free_one_and_the_same_for_all(server: RunningServer) -> None:
    assert server.port > 0
    assert server.udp().ask(b"1 Alice") == b""
    assert server.tcp().ask(b"1 Bob") == b"Alice"


@pytest.mark.usefixtures("signal_handlers")
def test_a_port_that_is_free_for_one_transport_alone_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can know which port the system will give, so a transport of ours picks it here."""
    picked: list[int] = []

    class Picky:
        async def listen(self, host: str, port: int, service: Service) -> Listener:
            if not port:
                port = taken if not picked else 0
            listener = await transports.load("udp").listen(host, port, service)
            picked.append(listener.port)
            return listener

        async def connect(self, host: str, port: int) -> Connection:
            raise NotImplementedError

    class Enough:
        async def listen(self, host: str, port: int, service: Service) -> Listener:
            listener = await load("tcp").listen(host, port, service)
            signal.raise_signal(signal.SIGTERM)
            return listener

        async def connect(self, host: str, port: int) -> Connection:
            raise NotImplementedError

    load = transports.load
    picky, enough = Picky(), Enough()
    with socket.create_server(("127.0.0.1", 0)) as rival:
        taken = rival.getsockname()[1]
        monkeypatch.setattr(
            transports, "load", {"udp": load("udp"), "picky": picky, "enough": enough}.__getitem__
        )
        done = CliRunner().invoke(
            main, ["serve", "--transport", "picky", "--transport", "enough", "0"]
        )
    assert done.exit_code == 0, done.output
    assert picked[0] == taken
    assert len(picked) == 2
    assert f"Listening on enough 127.0.0.1:{picked[1]}\n" in done.output


# The end.


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(server: RunningServer, number: signal.Signals) -> None:
    alice, bob = server.udp(), server.tcp()
    assert alice.ask(b"1 Alice") == b""
    assert bob.ask(b"1 Bob") == b"Alice"
    server.program.process.send_signal(number)
    assert server.program.wait() == 0
    assert server.program.out.rest()[-1] == "Stopped."
    assert bob.stream.read() == b""
    assert not [line for line in server.program.err.rest() if "Traceback" in line]


@pytest.mark.usefixtures("signal_handlers")
def test_before_it_stops_listening_it_sends_its_last_replies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the journal holds of a member by plain UDP, he has been told."""
    happened: list[object] = []

    class Late:
        """A transport by which something arrives just before the end."""

        port, addresses = 1, ("here",)

        async def listen(self, _: str, __: int, service: Service) -> "Late":
            peer = Recorder("late", datagram=65_507)
            peer.reply = happened.append  # type: ignore[assignment, method-assign]
            service.receive(b"1 Alice", peer)
            service.receive(b"2 Hi", peer)
            signal.raise_signal(signal.SIGTERM)
            return self

        async def close(self) -> None:
            happened.append("closed")

    monkeypatch.setattr(transports, "load", lambda _: Late())
    journal = str(tmp_path / "chat.journal")
    done = CliRunner().invoke(main, ["serve", "--transport", "late", "--journal", journal, "1"])
    assert done.exit_code == 0, done.output
    assert happened == [[], [], "closed"]


def test_its_port_is_free_again_at_once_though_connections_were_open() -> None:
    with serving() as first:
        assert first.tcp().ask(b"1 Alice") == b""
        assert first.stop() == 0
        with serving(str(first.port)) as second:
            assert second.port == first.port
            assert second.tcp().ask(b"1 Alice") == b""
