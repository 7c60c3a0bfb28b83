"""The least that a server does: it sends each datagram back. ``python -m bench.echo``.

As bare as a server on asyncio can be, and as well tuned as ours: a wake-up drains the socket, for
asyncio's own datagram endpoint would poll once a datagram, which costs several times as much. In
``echo.c`` is the same in C, the floor below which no server comes that answers each datagram.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.experiment import Skipped
from bench.process import LOOPBACK

__all__ = ["BUFFER_BYTES", "compiled"]

BUFFER_BYTES: Final = 1 << 22
"""Bytes that a socket's buffers should have, as groupchat's do."""

_WAKE_UP_DATAGRAMS: Final = 256
_MAX_DATAGRAM_BYTES: Final = 65_508


@contextlib.contextmanager
def compiled() -> Iterator[Path]:
    """Compile the echo in C; the program is there for as long as the block runs.

    Raises:
        Skipped: there is no compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Skipped("needs a C compiler; install the package gcc, so that there is a 'cc'")
    source = Path(__file__).with_suffix(".c")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "echo"
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        yield program


async def _serve() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((LOOPBACK, 0))

        def drain() -> None:
            for _ in range(_WAKE_UP_DATAGRAMS):
                try:
                    datagram, address = sock.recvfrom(_MAX_DATAGRAM_BYTES)
                except BlockingIOError:
                    return
                sock.sendto(datagram, address)

        asyncio.get_running_loop().add_reader(sock, drain)
        print(f"Listening on udp {LOOPBACK}:{sock.getsockname()[1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
