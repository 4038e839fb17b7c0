"""The command `evrun`, from its first moment.

A module of its own, beside the package, which takes a quarter of a second to import: Ctrl-C
meanwhile ends the process and prints no trace of what was imported just then.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line, and exit with its status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not under `nohup`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from evrun.cli import main as run  # noqa: PLC0415 - see above

    run()
