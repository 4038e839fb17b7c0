#!/usr/bin/env python
"""Say what changed between two OpenAPI documents, and what it means to callers.

    python scripts/spec_diff.py OLD NEW [--format text|json|markdown] [--output FILE]

Semantic: another order, layout, version of OpenAPI or wording is no change. Aware of direction:
what callers send may be widened and not tightened; what they get, the other way round.

exit status: 0 nothing breaks, 1 something does, 2 a document cannot be read, or wrong usage
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _openapi.document import load
from _openapi.refusal import Refusal
from _spec_diff import report
from _spec_diff.operations import diff
from _spec_diff.policy import Severity

FORMATS = {"text": report.text, "json": report.as_json, "markdown": report.markdown}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, help="the document as it was, JSON or YAML")
    parser.add_argument("new", type=Path, help="the document as it is now")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--output", type=Path, help="a file to write instead of standard output")
    parser.add_argument("--descriptions", action="store_true", help="report changed words too")
    options = parser.parse_args(argv)
    try:
        changes = diff(load(options.old), load(options.new))
    except Refusal as refusal:
        print(f"spec_diff: {refusal}", file=sys.stderr)
        return 2
    except RecursionError:
        print("spec_diff: a document is nested too deeply", file=sys.stderr)
        return 2
    if not options.descriptions:
        changes = [each for each in changes if each.severity is not Severity.DESCRIPTION]
    written = FORMATS[options.format](changes)
    if options.output:
        options.output.write_text(written, encoding="utf-8")
    else:
        sys.stdout.write(written)
    return int(any(change.severity is Severity.BREAKING for change in changes))


if __name__ == "__main__":
    sys.exit(main())
