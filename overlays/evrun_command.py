"""The start of the command `evrun`.

Importing the package takes a quarter of a second. This module is beside the package, so that Ctrl-C
in that time ends the process without a traceback.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C: 128 plus the signal's number, as in shells."""


def main() -> None:
    """Run the command line, and exit with its status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not under `nohup`
        signal.signal(signal.SIGINT, leave)
    from evrun.cli import main as run  # noqa: PLC0415 - see above

    run()


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End the process at once: a signal handler for when there is nothing to undo."""
    os._exit(INTERRUPTED)
