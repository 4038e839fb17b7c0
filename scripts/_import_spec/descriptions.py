"""Replace upstream's sentences with ours.

Ours live in the contract itself. `drop` removes upstream's, `keep` puts ours back by JSON pointer
(parameters by place and name, so that a new one in front moves nothing).
"""

from __future__ import annotations

from typing import Any

from _import_spec.layout import NAMED

TEXTS = ("summary", "description", "examples", "example", "externalDocs")
UNDESCRIBED = "x-undescribed"
"""Marks a node that still needs a description of ours; a test holds that none is left."""


def drop(node: Any, *, names: bool = False) -> Any:
    """Return `node` without upstream's prose and examples."""
    if isinstance(node, list):
        return [drop(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: drop(value, names=key in NAMED and not names)
        for key, value in node.items()
        if names or key not in TEXTS
    }


def keep(node: Any, ours: Any, *, names: bool = False) -> Any:
    """Return `node` with the texts that `ours` has at the same pointers."""
    if isinstance(node, list):
        return [keep(value, _counterpart(value, index, ours)) for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return node
    ours = ours if isinstance(ours, dict) else {}
    texts = {} if names else {key: ours[key] for key in TEXTS if key in ours and key not in node}
    body = {
        key: keep(value, ours.get(key), names=key in NAMED and not names)
        for key, value in node.items()
    }
    return {**texts, **body}


def _counterpart(value: Any, index: int, ours: Any) -> Any:
    if not isinstance(ours, list):
        return None
    if isinstance(value, dict) and "name" in value:
        same = (o for o in ours if isinstance(o, dict) and o.get("name") == value["name"])
        return next((o for o in same if o.get("in") == value.get("in")), None)
    return ours[index] if index < len(ours) else None


def mark_missing(  # noqa: C901 - one branch a kind of node
    document: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Mark operations, parameters, schemas and properties without a description; name them too."""
    missing: list[str] = []

    def check(node: dict[str, Any], place: str) -> None:
        if not node.get("description"):
            node[UNDESCRIBED] = True
            missing.append(place)

    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            check(operation, f"{method.upper()} {path}")
            for parameter in operation.get("parameters", []):
                if "$ref" not in parameter:
                    check(parameter, f"{method.upper()} {path} {parameter['name']}")
            for status, response in operation["responses"].items():
                if "$ref" not in response:
                    check(response, f"{method.upper()} {path} {status}")
    for kind in ("parameters", "headers", "responses"):
        for name, shared in document.get("components", {}).get(kind, {}).items():
            check(shared, f"{kind}.{name}")
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        check(schema, name)
        for key, prop in schema.get("properties", {}).items():
            check(prop, f"{name}.{key}")
    return document, missing
