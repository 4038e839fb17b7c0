"""The command `evrun`, from its first moment, and what Ctrl-C does to it.

The module stands beside the package, because the package takes a quarter of a second to import.
Ctrl-C ends the process in that time, without a traceback.
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
    exit_on_interrupt()
    from evrun.cli import main as run  # noqa: PLC0415 - see above

    run()


def exit_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, while there is nothing to undo.

    A process that ignores SIGINT, as under `nohup`, goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, after `exit_on_interrupt`."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
