"""Functions of the C library that fail on purpose, preloaded into a process. They need `cc`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def preloaded(source: str, file: Path) -> dict[str, str]:
    """Compile C to `file`, and return the environment of a process that has it."""
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(file)]
    subprocess.run(command, input=source, text=True, check=True)
    return {"LD_PRELOAD": str(file)}
