"""The examples in the README and in docs/ do what they say.

What a fenced block is, its first line tells:

* ``pycon``: a doctest; the blocks of one page share their names.
* ``console``: commands after ``$ ``, run with bash, and what they print. Each block has a
  server of its own. Port 12345 stands for the server's port.
* ``text NAME``: the terminal called NAME. What is typed there is typed into a real terminal,
  and what it then shows must be what the page shows. All terminals of a page share a server.
* ``LANGUAGE FILE``: a file, which the console blocks of that page find in their folder.

Other blocks are only to be read.
"""

import contextlib
import doctest
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field, frozen

from groupchat.client.conversation import HELP
from tests.ports import free_port
from tests.processes import DEADLINE, RunningServer, serving

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted(ROOT.glob("docs/**/*.md")) if "_build" not in page.parts),
]
PROTOCOL = ROOT / "docs" / "reference" / "protocol.md"

PORT = "12345"
"""The server's port, in the examples."""

OWN_PORTS = re.compile(r"\b4000\d\b")
"""Ports that the examples send from."""

PROMPT = "> "
"""What stands before the requests that are typed into ``groupchat connect``."""

TOOLS = ["nc", "node"]
"""Programs that an example may need, and a machine may lack."""

posix = pytest.mark.skipif(os.name != "posix", reason="the examples are for a Unix-like system")


@frozen
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """The number of its first line in the page, from 1."""
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, language: str = "") -> list[Block]:
    """Return the fenced blocks of *page*, those in *language* if it is given."""
    text = page.read_text("utf-8")
    found = []
    for match in re.finditer(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start(3)) + 1
        found.append(Block(page, line, match[1], match[2], match[3]))
    return [block for block in found if language in ("", block.language)]


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


def pages_with(language: str, *, named: bool = False) -> list[Path]:
    """Return the pages with a block in *language*, one with a name if *named*."""
    return [page for page in PAGES if any(b.name or not named for b in blocks(page, language))]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages_with("pycon"), ids=page_name)
def test_python_examples(page: Path) -> None:
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner()
    for block in blocks(page, "pycon"):
        examples = doctest.DocTestParser().get_doctest(
            block.text, names, str(block), str(page), block.line - 1
        )
        runner.run(examples, clear_globs=False)
        names |= examples.globs
    assert runner.tries
    assert not runner.failures


@posix
@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("block", all_blocks("console"), ids=str)
def test_console_examples(block: Block, server: RunningServer, tmp_path: Path) -> None:
    commands = [line for line in block.text.splitlines() if line.startswith("$ ")]
    for tool in TOOLS:
        if any(re.search(rf"(^|[|(] ?|\$ ){tool} ", command) for command in commands):
            need(tool)
    write_files(block.page, tmp_path)
    ports = {PORT: str(server.port), str(int(PORT) + 1): str(server.port % 65_535 + 1)}
    for port in set(OWN_PORTS.findall(block.text)):
        ports[port] = str(free_port())
    shown = ""
    for command in commands:
        line = replaced(command, ports)
        shown += f"{line}\n{run(line.removeprefix('$ '), tmp_path)}"
    assert shown == replaced(block.text, ports)


def run(command: str, folder: Path) -> str:
    """Return what a person would see of *command*."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    ).stdout.decode()


def write_files(page: Path, folder: Path) -> None:
    """Write the files that *page* shows to *folder*."""
    for block in blocks(page):
        if "." in block.name:
            folder.joinpath(block.name).write_text(block.text, "utf-8")


def replaced(text: str, words: dict[str, str]) -> str:
    """Return *text* with each of *words* replaced, all at once."""
    return re.sub(r"\b(" + "|".join(words) + r")\b", lambda match: words[match[1]], text)


def need(tool: str) -> str:
    """Return where *tool* is; skip the test if it is missing."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed")
    usage = subprocess.run([path, "-h"], capture_output=True, check=False).stderr
    if tool == "nc" and b"OpenBSD" not in usage:
        pytest.skip("the examples are for OpenBSD's nc, which is Debian's; others differ")
    return path


@posix
@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("page", pages_with("text", named=True), ids=page_name)
def test_conversations(page: Path, server: RunningServer) -> None:
    terminals: dict[str, Terminal] = {}
    with contextlib.ExitStack() as stack:
        for block in blocks(page, "text"):
            if not block.name:
                continue
            command, lines = None, block.text.splitlines()
            if lines[0].startswith("$ "):
                command = lines.pop(0).removeprefix("$ ").removeprefix(".venv/bin/")
                terminals[block.name] = stack.enter_context(
                    Terminal.running(command.replace(PORT, str(server.port)))
                )
            terminals[block.name].play(lines, str(block))
        assert terminals
        for terminal in terminals.values():
            terminal.end()


@define
class Terminal:
    """A program in a terminal, and what it ought to have shown so far."""

    process: "subprocess.Popen[bytes]"
    keyboard_and_screen: int
    expected: str = ""
    shown: str = field(default="", init=False)

    @classmethod
    @contextlib.contextmanager
    def running(cls, command: str) -> "Iterator[Terminal]":
        ours, theirs = os.openpty()
        program, *arguments = command.split()
        assert program == "groupchat"
        with subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                yield cls(process, ours)
            finally:
                process.kill()
                os.close(ours)

    def play(self, lines: list[str], where: str) -> None:
        """Type what stands after the prompts of *lines*; wait until all is shown as they say."""
        for line in lines:
            if line.startswith(PROMPT):
                self._wait_for_prompt(where)
                request = line.removeprefix(PROMPT)
                os.write(self.keyboard_and_screen, request.encode() + b"\n")
                self.expected += request + "\n"
            else:
                self.expected += line + "\n"
        if lines[-1] == PROMPT + "4":
            assert self.process.wait(DEADLINE) == 0, where
        else:
            self._wait_for_prompt(where)

    def end(self) -> None:
        """Check that the program has ended, and has shown nothing else."""
        assert self.process.poll() == 0
        while self._read(DEADLINE):
            pass
        assert self.shown == self.expected

    def _wait_for_prompt(self, where: str) -> None:
        if not self.expected.endswith("\n" + PROMPT):
            self.expected += PROMPT
        deadline = time.monotonic() + DEADLINE
        while len(self.shown) < len(self.expected):
            if not self._read(deadline - time.monotonic()):
                break
        assert self.shown == self.expected, where

    def _read(self, seconds: float) -> bool:
        if not select.select([self.keyboard_and_screen], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.keyboard_and_screen, 65_536)
        except OSError:  # Linux says so when nobody writes there any more
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "tutorial.md"], ids=page_name)
def test_what_the_server_says(page: Path, home: Path) -> None:
    (block,) = (block for block in blocks(page, "text") if block.text.startswith("$ make serve\n"))
    port = str(free_port())
    with serving(port) as server:
        server.program.out.until("let the network in")
        shown = "\n".join(server.program.out.seen)
    shown = shown.replace("python -m groupchat", ".venv/bin/groupchat").replace(port, PORT)
    shown = shown.replace(str(home), "/home/you/.config")
    _, _, *expected = block.text.splitlines()
    assert shown.splitlines() == expected


@posix
def test_what_a_second_server_says(home: Path, tmp_path: Path) -> None:
    page = ROOT / "docs" / "howto" / "network.md"
    (block,) = (block for block in blocks(page, "text") if "is in use" in block.text)
    port = free_port()
    ports = {PORT: str(port), str(int(PORT) + 1): str(port % 65_535 + 1)}
    command, *_ = block.text.splitlines()
    with serving(str(port)):
        shown = run(f"{command.removeprefix('$ ')} {port}", tmp_path)
    shown = f"{command}\n{shown.replace(str(home), '/home/you/.config')}"
    assert shown == replaced(block.text, ports)


@posix
@pytest.mark.parametrize("usual", [True, False], ids=["its journal", "its port"])
def test_make_serve_says_how_to_choose_another_port(usual: bool) -> None:
    folder, port = Path(sys.executable).parent, free_port()
    with serving(*([] if usual else ["--journal", ":memory:"]), str(port)):
        done = subprocess.run(
            [need("make"), "-o", ".venv/base", "serve", f"PORT={port}", f"BIN={folder}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    line = done.stderr.decode().splitlines()[0]
    assert ("journal is in use" if usual else f"port {port} (udp) is in use") in line
    assert line.endswith(f"Choose another port: make serve PORT={port % 65_535 + 1}")


def test_the_help_line() -> None:
    """So that a change of it leads here, and to the pages that show it."""
    shown = [line for b in all_blocks("text") if b.name for line in b.text.splitlines()]
    assert HELP in shown


CLIENTS = [("client.js", "node"), ("client.sh", "bash")]


@posix
@pytest.mark.parametrize(("file", "program"), CLIENTS, ids=["JavaScript", "bash"])
def test_a_client_from_the_protocol_page(
    file: str, program: str, server: RunningServer, tmp_path: Path
) -> None:
    path = need(program)
    write_files(PROTOCOL, tmp_path)
    bob = server.udp()
    assert bob.ask(b"1 Bob") == b""
    with subprocess.Popen(
        [path, tmp_path / file, "127.0.0.1", str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"1 Alice\n6\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"Bob\n"
        assert client.stdout.readline() == b"Illegal request\n"
        assert bob.ask("2 Grüße".encode()) == b"Alice has joined"
        assert bob.ask(b"3 Rob") == b""
        rest, _ = client.communicate(b"2 Hi\n4\n", DEADLINE)
        assert rest == "Bob: Grüße\nBob changed his name to Rob\n".encode()
        assert client.returncode == 0
    assert bob.ask(b"5") == b"Alice: Hi\nAlice has left the group"


def test_the_worked_exchange(server: RunningServer) -> None:
    rows = re.findall(r"^\| (\w+, \w+) \|(.*)\|$", PROTOCOL.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 5
    sockets: dict[str, socket.socket] = {}
    for who, cells in rows:
        sent, sent_text, received, received_text = (cell.strip(" ") for cell in cells.split("|"))
        request = bytes.fromhex(sent)
        reply = b"" if received == "(0 bytes)" else bytes.fromhex(received)
        assert request == as_bytes(sent_text)
        assert reply == as_bytes(received_text)
        if who not in sockets:
            member = server.udp() if who.endswith("UDP") else server.tcp()
            sockets[who] = member.socket
        sockets[who].sendall(request)
        assert read(sockets[who], len(reply)) == reply


def as_bytes(text: str) -> bytes:
    """Return the bytes that *text*, as the tables write it, stands for."""
    return text.strip("`").replace(r"\n", "\n").replace(r"\r", "\r").encode()


def read(sock: socket.socket, size: int) -> bytes:
    """Return one datagram, or *size* bytes of a stream."""
    if sock.type == socket.SOCK_DGRAM:
        return sock.recv(65_536)
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
