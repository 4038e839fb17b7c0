"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`, to be written; it takes the place of `path` in the end.

    Only its owner may read it, as what evrun writes are outputs of models and data of users. At an
    exception it goes, and `path` stays as it was; a killed process leaves it behind, as a hidden
    `.part` file. Raises `ConfigurationError` for what the disk refuses.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing where it does
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise ConfigurationError(f"{path} is not a file that can be replaced. Name another.")
        descriptor, name = mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(descriptor)
        part = Path(name)
        try:
            yield part
            _sync(part)
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        if os.name == "posix":
            _sync(target.parent)  # the new name itself
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed."
        ) from error


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
