"""Small disks for a database to lie on, which can be filled and made read-only. They need root."""

from __future__ import annotations

import errno
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def small_disk(megabytes: int, kind: str = "tmpfs") -> Iterator[Path]:
    """Mount an empty file system: in memory, or an ext4 in a file."""
    # Not in pytest's folder: each session of pytest closes it to PostgreSQL's user.
    with TemporaryDirectory(prefix="evrun-disk-") as folder:
        disk = Path(folder, "disk")
        disk.mkdir()
        if kind == "tmpfs":
            options, device = ["-t", kind, "-o", f"size={megabytes}m"], kind
        else:
            options, device = ["-o", "loop"], f"{folder}/image"
            subprocess.run(["truncate", "-s", f"{megabytes}M", device], check=True)
            subprocess.run([f"mkfs.{kind}", "-q", device], check=True)
        subprocess.run(["mount", *options, device, disk], check=True)
        try:
            disk.chmod(0o755)
            yield disk
        finally:
            subprocess.run(["umount", disk], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no room on a disk meanwhile, as a log file that grows does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Mount a disk for reading only meanwhile. Nothing may have a file of it open for writing."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@contextmanager
def immutable(disk: Path) -> Iterator[None]:
    """Refuse every write to a database on an ext4, also through open handles.

    Not to its `-shm`, which SQLite maps into memory: a refusal there is SIGBUS, the server's end.
    """
    files = [each for each in disk.iterdir() if each.is_file() and not each.match("*-shm")]
    subprocess.run(["chattr", "+i", *files], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)
