"""Cut the selected operations and everything that they reach out of a document."""

from __future__ import annotations

from typing import Any

from _openapi.document import pointer
from _openapi.refusal import Refusal
from _openapi.walk import operations, references


def select(document: dict[str, Any], operation_ids: list[str]) -> dict[str, Any]:
    """Return `document` with only `operation_ids`, and the components those refer to.

    Paths and operations keep upstream's order, components are sorted. An unknown operationId, or
    a reference that leads nowhere, is a `Refusal`.
    """
    wanted = set(operation_ids)
    paths: dict[str, Any] = {}
    for path, method, operation in operations(document):
        if operation.get("operationId") in wanted:
            paths.setdefault(path, {})[method] = operation
            wanted.discard(operation["operationId"])
    if wanted:
        raise Refusal(f"no operation has the id {min(wanted)!r}", pointer=pointer("paths"))
    components = _reachable(document, paths)
    security = document.get("components", {}).get("securitySchemes")
    if security:
        components["securitySchemes"] = security
    kept: dict[str, Any] = {
        key: document[key] for key in ("openapi", "info", "servers") if key in document
    }
    return {**kept, "paths": paths, "components": components}


def _reachable(document: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    queue = list(references(paths))
    while queue:
        reference = queue.pop()
        section, name = _component(reference)
        if name in found.get(section, {}):
            continue
        try:
            node = document["components"][section][name]
        except KeyError:
            raise Refusal("the reference leads nowhere", pointer=reference) from None
        found.setdefault(section, {})[name] = node
        queue.extend(references(node))
    return {section: dict(sorted(nodes.items())) for section, nodes in sorted(found.items())}


def _component(reference: str) -> tuple[str, str]:
    parts = reference.split("/")
    if parts[:2] != ["#", "components"] or len(parts) != 4:  # noqa: PLR2004 - '#/components/x/y'
        raise Refusal(
            "only references to '#/components/…' of the same document work", pointer=reference
        )
    return parts[2], parts[3].replace("~1", "/").replace("~0", "~")
