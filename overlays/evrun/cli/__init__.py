"""The command `evrun`.

This package imports without the `cli` extra, so that the command can say what is missing.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line, and exit with its status.

    0 passed, 1 a gate failed, 2 wrong usage, 3 the infrastructure failed.
    """
    _open_closed_streams()
    try:
        from evrun.cli.app import app  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"click", "rich"}:
            raise
        print(  # noqa: T201 - click, which would print it, may be what is missing
            f"evrun: the command line needs {missing}. Install it with: pip install 'evrun[cli]'",
            file=sys.stderr,
        )
        sys.exit(3)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # `evrun_command` left it so
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app(prog_name="evrun")


def _open_closed_streams() -> None:
    """Give what was closed (`>&-`) a file that takes everything.

    Libraries count on the streams, processes of ours inherit them, and the next file that is opened
    would get the number of one.
    """
    for number, name in enumerate(("stdout", "stderr"), 1):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere == number:
                os.set_inheritable(nowhere, True)  # noqa: FBT003 - it takes no name
            else:
                os.dup2(nowhere, number)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
