#!/usr/bin/env python
"""Import the operations we support from an upstream OpenAPI document into our contract.

    python scripts/import_spec.py upstream.json

Reads `openapi/selection.yaml` (which operations) and `openapi/patches.yaml` (how we differ, and
why), and writes `openapi/openapi.yaml`. Facts are upstream's; sentences and examples are ours: they
are kept by JSON pointer from the contract as it stands. Importing twice changes nothing.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

from _import_spec import descriptions, identifiers, nullability, patches, slicing
from _import_spec.layout import dump, ordered
from _openapi.document import load
from _openapi.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent

HEADER = """\
# The contract: the only source of truth for the generated client, the overlay and the server.
# Descriptions and examples are written here by hand. Structure comes from `scripts/import_spec.py`
# and `openapi/patches.yaml`; after any change run `python scripts/regenerate.py`.
"""


def contract(
    upstream: dict[str, Any],
    operation_ids: list[str],
    overlay: dict[str, Any],
    ours: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Return the contract, and the places in it that still lack a description of ours."""
    document = slicing.select(copy.deepcopy(upstream), operation_ids)
    document = identifiers.mark(document)
    document = descriptions.drop(document)
    document = nullability.to_3_1(document)
    document = nullability.without_empty_defaults(document)
    document = patches.apply(document, overlay)
    document["openapi"] = "3.1.0"
    document = identifiers.expand(document)
    document = nullability.open_response_enums(document)
    document = nullability.optional_properties(document)
    document = descriptions.keep(document, ours)
    document["components"] = {
        section: dict(sorted(nodes.items()))
        for section, nodes in sorted(document["components"].items())
    }
    document, missing = descriptions.mark_missing(document)
    return ordered(document), missing


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status (0 written, 2 unusable input)."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("upstream", type=Path, help="the upstream document, JSON or YAML")
    parser.add_argument("--selection", type=Path, default=ROOT / "openapi" / "selection.yaml")
    parser.add_argument("--patches", type=Path, default=ROOT / "openapi" / "patches.yaml")
    parser.add_argument("--output", type=Path, default=ROOT / "openapi" / "openapi.yaml")
    options = parser.parse_args(argv)
    try:
        upstream = load(options.upstream)
        ours = load(options.output) if options.output.exists() else {}
        document, missing = contract(
            upstream, load(options.selection)["operations"], load(options.patches), ours
        )
    except Refusal as error:
        print(f"import_spec: {error}", file=sys.stderr)
        return 2
    text = HEADER + dump(document)
    staged = options.output.with_suffix(".tmp")
    staged.write_text(text, encoding="utf-8")
    staged.replace(options.output)
    print(f"wrote {options.output.name}: {len(document['components']['schemas'])} schemas")
    for place in missing:
        print(f"undescribed: {place}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
