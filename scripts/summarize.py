#!/usr/bin/env python
"""Summarize the contract and the code that carries it.

    python scripts/summarize.py            # write them
    python scripts/summarize.py --check    # say whether they are as this script would write them

Writes the table of operations into `openapi/README.md`, between its marks, and `openapi/llms.txt`.

exit status: 0 written or fresh, 1 stale (--check), 2 an operation lacks a piece, or wrong usage
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from _openapi.document import load
from _openapi.refusal import Refusal
from _openapi.walk import operations
from _summary import llms, table, wiring

ROOT = Path(__file__).resolve().parent.parent
FRESH, STALE, UNUSABLE = 0, 1, 2


def pages(root: Path) -> dict[Path, str]:
    """Return what each file should hold. Raises `Refusal`."""
    document: dict[str, Any] = load(root / "openapi" / "openapi.yaml")
    addresses = {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, method, operation in operations(document)
    }
    addresses = dict(sorted(addresses.items()))
    readme = root / "openapi" / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(table.BEGIN)
    _, end, after = rest.partition(table.END)
    if not begin or not end:
        raise Refusal(f"openapi/README.md lacks its marks, {table.BEGIN} and {table.END}")
    rows = table.render(addresses, wiring.find(root, list(addresses)))
    return {
        readme: f"{before}{begin}\n\n{rows}\n\n{end}{after}",
        root / "openapi" / "llms.txt": llms.render(document),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project (default: this one)")
    options = parser.parse_args(argv)
    try:
        wanted = pages(options.root.resolve())
    except Refusal as refusal:
        print(f"summarize: {refusal}", file=sys.stderr)
        return UNUSABLE
    stale = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path in stale:
        if options.check:
            print(f"stale: openapi/{path.name}; run: python scripts/summarize.py", file=sys.stderr)
        else:
            path.write_text(wanted[path], encoding="utf-8")
            print(f"wrote openapi/{path.name}")
    return STALE if stale and options.check else FRESH


if __name__ == "__main__":
    sys.exit(main())
