"""``groupchat connect``, run to its end."""

import pytest

from tests.processes import RunningServer, run

__all__ = ["TRANSPORTS", "connect"]

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def connect(
    server: RunningServer, piped: bytes = b"", *options: str, transport: str = "udp"
) -> tuple[str, str]:
    """Run ``connect`` to its end; return what it wrote to standard output and standard error."""
    done = run("connect", *options, f"{transport}://127.0.0.1:{server.port}", stdin=piped)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), done.stderr.decode()
