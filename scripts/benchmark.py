#!/usr/bin/env python
"""Measure what the project claims about speed: the one place for such claims.

    python scripts/benchmark.py                        # every case that needs no other document
    python scripts/benchmark.py regenerate             # by name
    python scripts/benchmark.py import --spec VENDOR.json
    python scripts/benchmark.py spec-diff --specs OLD.json NEW.json
    python scripts/benchmark.py --json

A case measures several times within one run and prints the median beside what is claimed; one of
whose claims fails is measured once more, and that counts. Claims hold on two cores that do nothing
else. To add a case, write a function in `scripts/_benchmark/` and name it in `CASES`.

exit status: 0 every claim holds, 1 one does not, 2 wrong usage or a case that cannot run
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from _benchmark import many_logs, scripts, server, store
from _benchmark.case import Case, Inputs, Unusable
from _benchmark.report import as_json, table

CASES: dict[str, Case] = {
    "regenerate": scripts.regenerate,
    "import": scripts.import_whole,
    "spec-diff": scripts.spec_diff,
    "writes": server.writes,
    "store": store.store,
    "many-logs": many_logs.many_logs,
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", nargs="*", help=f"which to run: {', '.join(CASES)}")
    parser.add_argument("--spec", type=Path, help="a vendor's whole document")
    parser.add_argument("--specs", type=Path, nargs=2, metavar=("OLD", "NEW"), help="two revisions")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of a case (default: 5)")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    if unknown := set(options.case) - set(CASES):
        parser.error(f"no case is called {min(unknown)!r}; there are {', '.join(CASES)}")
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    inputs = Inputs(options.spec, tuple(options.specs or ()), options.repeat)
    figures = []
    for name, case in CASES.items():
        if options.case and name not in options.case:
            continue
        try:
            measured = case(inputs)
            if any(figure.holds is False for figure in measured):
                # A machine that is busy for a moment is no failure: one that lasts is.
                print(f"measured {name} again: a claim failed", file=sys.stderr)
                measured = case(inputs)
            figures += measured
        except Unusable as reason:
            if options.case:
                print(f"benchmark: {name}: {reason}", file=sys.stderr)
                return 2
            print(f"left out {name}: {reason}", file=sys.stderr)
    print(json.dumps(as_json(figures), indent=2) if options.json else table(figures))
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
