"""Walk over an OpenAPI document: its operations and its references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _openapi.document import Fault, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _openapi.document import Path

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

NAMING = frozenset(
    {
        *("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"),
        *("paths", "pathItems", "responses", "content", "headers", "callbacks", "links"),
        *("schemas", "parameters", "requestBodies", "securitySchemes", "mapping"),
    }
)
"""Keys of objects whose own keys are names, so that a property may be called `default`."""

LITERAL = frozenset({"example", "examples", "default", "enum", "const"})
"""Keys whose value is data: a `$ref` below them refers to nothing."""


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (path, method, operation), in the document's order."""
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def objects(node: Any, *, names: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every object below `node` whose keys are keywords, and which is no data; itself too."""
    if isinstance(node, dict):
        if not names:
            yield node
        for key, value in node.items():
            if names or key not in LITERAL:
                yield from objects(value, names=key in NAMING and not names)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def references(node: Any, path: Path = (), *, names: bool = False) -> Iterator[tuple[Path, str]]:
    """Yield every `$ref` and its place. `names`: the keys of `node` are names, not keywords."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str) and not names:
                yield (*path, key), value
            elif names or (key not in LITERAL and not key.startswith("x-")):
                below = key in NAMING and not names
                yield from references(value, (*path, key), names=below)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from references(value, (*path, index))


def resolve(document: Any, reference: str, path: Path = ()) -> Any:
    """Return what a local `reference`, which stands at `path`, leads to. Raises `Fault`."""
    if not reference.startswith("#/"):
        raise Fault(f"$ref {reference!r} leaves the document; only '#/…' is followed", path)
    node = document
    for key in parts(reference):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            raise Fault(f"$ref {reference!r} points to nothing", path)
    return node
