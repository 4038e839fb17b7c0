#!/usr/bin/env python
"""Derive the awaited half of the overlay from the half that blocks.

    python scripts/derive_async.py            # write it
    python scripts/derive_async.py --check    # say whether it is as this script would write it

Writes `overlays/evrun/aio/`: `AsyncSessions` from `Sessions`, and so on. Nothing else writes there.

exit status: 0 written or fresh, 1 stale (--check), 2 a source cannot be derived, or wrong usage
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _derive import source
from _openapi.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent
FRESH, STALE, UNUSABLE = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    parser.add_argument(
        "--overlay", type=Path, default=ROOT / "overlays", help="the overlay (default: this one)"
    )
    options = parser.parse_args(argv)
    package = options.overlay.resolve() / "evrun"
    folder = package / "aio"
    try:
        wanted = {folder / name: text for name, text in source.derived(package).items()}
    except Refusal as refusal:
        print(f"derive_async: {refusal}", file=sys.stderr)
        return UNUSABLE
    written = set(folder.glob("*.py"))
    stale = [
        path
        for path in sorted(written | wanted.keys())
        if path not in written or path.read_text("utf-8") != wanted.get(path)
    ]
    for path in stale:
        place = path.relative_to(package.parent.parent).as_posix()
        if options.check:
            print(f"stale: {place}; run: python scripts/derive_async.py", file=sys.stderr)
        elif path in wanted:
            folder.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
            print(f"wrote {place}")
        else:
            path.unlink()
            print(f"removed {place}")
    return STALE if stale and options.check else FRESH


if __name__ == "__main__":
    sys.exit(main())
