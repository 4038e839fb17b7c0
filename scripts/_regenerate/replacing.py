"""Put a new tree in the place of the old one, so that a kill at any moment leaves one of the two.

Linux exchanges two folders in one step. Elsewhere it takes two renames, and a run that was killed
between them is mended by the next one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from _openapi.refusal import Refusal
from _regenerate import tree as trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PACKAGES = ("evrun_api", "evrun_models")

NEW = "new"
"""In a staging folder: the tree to be."""
OLD = "old"
"""In a staging folder: the tree that was, while it takes two renames."""


@contextmanager
def locked(output: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold off other runs over the same folder; those that only read may run together.

    The lock is on the parent folder itself and ends with the process: nothing to clean up. The
    generators inherit it, so that one which outlives a killed run is not swept from under.
    """
    try:
        folder = os.open(output.parent, os.O_RDONLY)
    except OSError as error:
        raise Refusal(f"cannot open {output.parent}: {error.strerror}") from error
    try:
        os.set_inheritable(folder, True)  # noqa: FBT003 -- positional-only
        try:
            fcntl.flock(folder, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                f"another run of scripts/regenerate.py is at work in {output.parent}; wait for it"
            ) from None
        yield
    finally:
        os.close(folder)


def staging(output: Path) -> Path:
    """Return where this process builds: beside `output`, so that a rename suffices."""
    return output.parent / f".{output.name}-staging-{os.getpid()}"


def recover(output: Path) -> None:
    """Mend what a killed run left: put back an old tree that is nowhere else, drop the rest.

    Only under the exclusive lock: every staging folder is then a dead run's.
    """
    for leftover in sorted(output.parent.glob(f".{output.name}-staging-*")):
        if (leftover / OLD).is_dir() and not output.exists():
            (leftover / OLD).rename(output)
        shutil.rmtree(leftover)


def check_replaceable(output: Path) -> None:
    """Refuse to replace a folder that this script has not written, such as a mistyped one."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise Refusal(f"{output} is no folder")
    if output.exists() and not (output / trees.MANIFEST).is_file():
        ours = {*PACKAGES, trees.HAND_WRITTEN, "__pycache__"}
        if foreign := sorted(path.name for path in output.iterdir() if path.name not in ours):
            raise Refusal(
                f"{output} holds {foreign[0]!r} and no {trees.MANIFEST}: it is not a generated"
                " tree, and replacing it would delete what is there"
            )


def replace(stage: Path, output: Path, *, exchange: Callable[[Path, Path], bool]) -> None:
    """Make the tree in `stage` the one at `output`, and carry the hand-written README over."""
    if (output / trees.HAND_WRITTEN).is_file():
        shutil.copy2(output / trees.HAND_WRITTEN, stage / NEW / trees.HAND_WRITTEN)
    if not output.exists():
        (stage / NEW).rename(output)
    elif not exchange(stage / NEW, output):
        output.rename(stage / OLD)
        (stage / NEW).rename(output)


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; say `False` where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # Not Linux, or a C library without it.
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE (linux/fcntl.h, linux/fs.h)
    done: int = renameat2(here, os.fsencode(one), here, os.fsencode(other), swap)
    return done == 0
