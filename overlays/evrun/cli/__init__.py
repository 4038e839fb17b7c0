"""The command `evrun`.

This package imports without the `cli` extra, so that the command can name missing packages.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from evrun._base.extras import lack
from evrun_interrupt import raise_on_interrupt

_ON_A_DATABASE: Final = ("demo", "serve", "keys", "db")  # commands that need the `server` extra


def main() -> None:
    """Run the command line, and exit with its status.

    0 passed, 1 a gate failed, 2 wrong usage, 3 the infrastructure failed, 130 interrupted,
    141 the reader of the output closed it.
    """
    _open_closed_streams()
    server = ("server",) if any(word in _ON_A_DATABASE for word in sys.argv[1:2]) else ()
    if lack("", "cli") is not None:
        # Name every missing extra, so that the user installs once.
        sentence = lack(f"evrun {sys.argv[1]}" if server else "The command line", "cli", *server)
        print(f"evrun: {sentence}", file=sys.stderr)  # noqa: T201 - click may be what is missing
        sys.exit(3)
    from evrun.cli.app import app  # noqa: PLC0415 - an optional extra

    raise_on_interrupt()
    app(prog_name="evrun")


def _open_closed_streams() -> None:
    """Open the null device in the place of a closed stream (`>&-`).

    Libraries need the streams, and child processes inherit them. Otherwise the next opened file
    would get the number of a stream.
    """
    for number, name in enumerate(("stdout", "stderr"), 1):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere == number:
                os.set_inheritable(nowhere, True)  # noqa: FBT003 - it takes no name
            else:
                os.dup2(nowhere, number)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
