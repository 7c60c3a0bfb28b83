"""How much memory a client takes."""

import sys

__all__ = ["MEASURED_CONNECT", "MOST_KILOBYTES"]

_PROGRAM = """
import sys
from pathlib import Path
from groupchat.cli import main
try:
    main(standalone_mode=False)
except BaseException as error:
    print(error, file=sys.stderr)
finally:
    status = Path("/proc/self/status").read_text()
    print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""

MEASURED_CONNECT = [sys.executable, "-c", _PROGRAM, "connect"]
"""``connect``, with the most memory that it took, in kilobytes, as the last line of standard error.
On Linux alone."""

MOST_KILOBYTES = 100_000
"""A Python that has imported everything takes about 35,000."""
