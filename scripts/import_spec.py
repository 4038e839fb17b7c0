#!/usr/bin/env python
"""Import the operations we support from an upstream OpenAPI document into our contract.

    python scripts/import_spec.py upstream.json             # what openapi/selection.yaml names
    python scripts/import_spec.py upstream.json --tag Logs  # by tag; also --operation ID, --all

Reads `openapi/selection.yaml` (which operations) and `openapi/patches.yaml` (how we differ, and
why), and writes `openapi/openapi.yaml`. Facts are upstream's; sentences and examples are ours: they
are kept by JSON pointer from the contract as it stands. Importing twice changes nothing. What is
left for a person to decide or to describe is listed on standard error.

exit status: 0 written, 2 unusable document, selection or patch, or wrong usage
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

from _import_spec import descriptions, discriminators, identifiers, nullability, patches, slicing
from _import_spec.layout import dump, in_order
from _openapi import validity
from _openapi.document import Fault, load, pointer
from _openapi.refusal import Refusal
from _openapi.walk import operations

ROOT = Path(__file__).resolve().parent.parent

HEADER = """\
# The contract: the only source of truth for the generated client, the overlay and the server.
# Descriptions and examples are written here by hand. Structure comes from `scripts/import_spec.py`
# and `openapi/patches.yaml`; after any change run `python scripts/regenerate.py`.
"""


def contract(
    upstream: dict[str, Any],
    selection: slicing.Selection,
    overlay: dict[str, Any],
    ours: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Return the contract, and what a person still has to do about it.

    That is: prose that sounds like an id and gave no prefix, and places without a description.
    """
    document = slicing.select(copy.deepcopy(upstream), selection)
    document, prose = identifiers.mark(document)
    document = descriptions.drop(document)
    document = nullability.to_3_1(document)
    document = nullability.without_empty_defaults(document)
    document = discriminators.write(document)
    document = patches.apply(document, overlay)
    document["openapi"] = "3.1.0"
    document = identifiers.expand(document)
    undecided = [f"undecided: {each}" for each in identifiers.undecided(document, prose)]
    document = nullability.open_response_enums(document)
    document = nullability.optional_properties(document)
    document = descriptions.keep(document, ours)
    document, missing = descriptions.mark_missing(document)
    _check(document)
    document = in_order(document, ours)
    return document, [*undecided, *(f"undescribed: {each}" for each in missing)]


def _check(document: dict[str, Any]) -> None:
    """Refuse to write what nobody could use."""
    try:
        validity.check_references(document)
        validity.check_openapi(document)
    except Fault as fault:
        raise Refusal(fault.message, pointer=pointer(*fault.path)) from fault


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(argv)
    try:
        upstream = load(options.upstream)
        ours = load(options.output) if options.output.exists() else {}
        document, remarks = contract(upstream, _selection(options), load(options.patches), ours)
        text = HEADER + dump(document)
    except Refusal as error:
        print(f"import_spec: {error}", file=sys.stderr)
        return 2
    except RecursionError:
        print(f"import_spec: {options.upstream.name}: is nested too deeply", file=sys.stderr)
        return 2
    staged = options.output.with_suffix(".tmp")
    staged.write_text(text, encoding="utf-8")
    staged.replace(options.output)
    counts = (
        f"{sum(1 for _ in operations(document))} operations,"
        f" {len(document['components'].get('schemas', {}))} schemas"
    )
    print(f"wrote {options.output.name}: {counts}")
    for remark in remarks:
        print(remark, file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("upstream", type=Path, help="the upstream document, JSON or YAML")
    parser.add_argument(
        "--operation", action="append", default=[], metavar="ID", help="take this operation"
    )
    parser.add_argument(
        "--tag", action="append", default=[], help="take the operations with this tag"
    )
    parser.add_argument("--all", action="store_true", help="take every operation")
    parser.add_argument(
        "--selection",
        type=Path,
        default=ROOT / "openapi" / "selection.yaml",
        help="which operations to take, if none of the above is given",
    )
    parser.add_argument(
        "--patches",
        type=Path,
        default=ROOT / "openapi" / "patches.yaml",
        help="how the contract differs: an OpenAPI Overlay, a reason with each action",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "openapi" / "openapi.yaml",
        help="the contract to write, whose descriptions are kept",
    )
    return parser


def _selection(options: argparse.Namespace) -> slicing.Selection:
    if options.operation or options.tag or options.all:
        return slicing.Selection(options.operation, options.tag, everything=options.all)
    return slicing.Selection.read(load(options.selection))


if __name__ == "__main__":
    sys.exit(main())
