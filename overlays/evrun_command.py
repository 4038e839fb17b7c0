"""The command `evrun`, from its first moment.

The module stands beside the package, because the package takes a quarter of a second to import.
Ctrl-C ends the process in that time, without a traceback.
"""

from __future__ import annotations

from evrun_interrupt import exit_on_interrupt


def main() -> None:
    """Run the command line, and exit with its status."""
    exit_on_interrupt()
    from evrun.cli import main as run  # noqa: PLC0415 - see above

    run()
