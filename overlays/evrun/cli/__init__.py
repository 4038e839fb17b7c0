"""The command `evrun`.

This package imports without the `cli` extra, so that the command can say what is missing.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and exit with its status.

    0 passed, 1 a gate failed, 2 wrong usage, 3 the infrastructure failed.
    """
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
    app(prog_name="evrun")
