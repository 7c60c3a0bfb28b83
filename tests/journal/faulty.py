"""Disks that fail when a test says so: a shim between a process and the system, small file systems,
and a limit to the size of files.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["NEEDS_SHIM", "Shim", "SmallDisk", "shim_library", "small_disk"]

SOURCE = Path(__file__).parent / "faults.c"

NEEDS_SHIM = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


def shim_library(folder: Path) -> Path:
    """Return the shim, compiled into *folder*."""
    library = folder / "faults.so"
    if not library.exists():
        flags = ["-shared", "-fPIC", "-O1", "-Wall"]
        subprocess.run(["cc", *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Shim:
    """Makes calls of the processes fail that are started with *environment*.

    Args:
        folder: where to put what is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._control = folder / "faults"
        self.environment = {
            "LD_PRELOAD": str(shim_library(folder)),
            "FAULTS": str(self._control),
        }

    def fail(self, *faults: str) -> None:
        """From now on, have these calls fail: see ``faults.c``."""
        new = self._control.with_suffix(".new")
        new.write_text("".join(fault + "\n" for fault in faults))
        new.replace(self._control)

    def mend(self) -> None:
        """From now on, have all calls be carried out."""
        self._control.unlink(missing_ok=True)


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no room for anything."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
            os.fsync(file.fileno())

    def empty(self) -> None:
        """Make room again."""
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small disk, or skip the test."""
    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    make = ["mkfs.ext4", "-qF", str(image)]
    for command in (make, ["mount", "-o", "loop", str(image), str(mount)]):
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"needs {command[0]}")
        if done.returncode:
            pytest.skip(f"cannot {command[0]} here: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield SmallDisk(mount)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)
