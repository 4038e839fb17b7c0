"""Replace upstream's sentences with ours.

Ours live in the contract itself. `drop` removes upstream's, `keep` puts ours back by JSON pointer
(parameters by place and name, so that a new one in front moves nothing).
"""

from __future__ import annotations

from typing import Any

from _openapi.walk import LITERAL, NAMING, operations

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
        key: value
        if key in LITERAL and not names
        else drop(value, names=key in NAMING and not names)
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
        key: keep(value, ours.get(key), names=key in NAMING and not names)
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


def mark_missing(  # noqa: C901 -- one branch a kind of node
    document: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Mark what lacks a description; name the places too.

    Operations, parameters, responses, schemas and their properties.
    """
    missing: list[str] = []

    def check(node: dict[str, Any], place: str) -> None:
        if not node.get("description"):
            node[UNDESCRIBED] = True
            missing.append(place)

    def check_unless_referred(node: dict[str, Any], place: str) -> None:
        if "$ref" not in node:
            check(node, place)

    components = document.get("components", {})
    for path, method, operation in operations(document):
        place = f"{method.upper()} {path}"
        check(operation, place)
        for parameter in operation.get("parameters", []):
            check_unless_referred(parameter, f"{place} {parameter.get('name')}")
        for status, response in operation.get("responses", {}).items():
            check_unless_referred(response, f"{place} {status}")
            _require(response)
    for section in ("parameters", "headers", "responses"):
        for name, each in components.get(section, {}).items():
            check_unless_referred(each, f"{section}.{name}")
    for response in components.get("responses", {}).values():
        _require(response)
    for name, schema in components.get("schemas", {}).items():
        check(schema, name)
        for key, prop in schema.get("properties", {}).items():
            check(prop, f"{name}.{key}")
    return document, missing


def _require(response: dict[str, Any]) -> None:
    """Give a response the description that it must have (OpenAPI 3.1.0, 4.8.17): an empty one."""
    if "$ref" not in response:
        response.setdefault("description", "")
