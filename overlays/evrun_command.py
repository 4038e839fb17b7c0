"""The command `evrun`, from its first moment.

A module of its own, beside the package, which takes a quarter of a second to import: Ctrl-C
meanwhile ends the process and prints no trace of what was imported just then.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C: 128 and the signal's number, as shells have it."""


def main() -> None:
    """Run the command line, and exit with its status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not under `nohup`
        signal.signal(signal.SIGINT, leave)
    from evrun.cli import main as run  # noqa: PLC0415 - see above

    run()


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End the process at once. A signal handler for moments in which there is nothing to undo."""
    os._exit(INTERRUPTED)
