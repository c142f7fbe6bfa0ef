"""Small disks of one's own, to be filled: tmpfs mounts, where the machine lets us mount."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CHUNK: Final = bytes(256 * 1024)


class SmallDisk:
    """A file system of *mib* MiB at *folder*."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        self.mib = mib
        self._filler = folder / "filler"

    @property
    def used_mib(self) -> int:
        return shutil.disk_usage(self.folder).used >> 20

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("wb", buffering=0) as filler:
            for size in (len(_CHUNK), 4096):
                try:
                    while filler.write(_CHUNK[:size]):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back; giving it twice is fine."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[SmallDisk | None]:
    """A small disk at *folder*, gone with the block; None (and a plain folder) where mounting is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or _run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(folder)):
        yield None
        return
    try:
        yield SmallDisk(folder, mib)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> int:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127
