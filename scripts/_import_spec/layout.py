"""Write a document the way a person reads it: stable, in block style, keys in a fixed order."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from _openapi.walk import NAMING

EXAMPLES = frozenset(("example", "examples"))

_ORDER = (
    *("openapi", "info", "servers", "tags"),
    *("operationId", "name", "in", "required", "deprecated", "summary", "title", "description"),
    *("$ref", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("default", "x-id-prefix", "x-id-prefix-also", "parameters", "requestBody", "properties"),
    *("headers", "responses", "schema", "content", "items", "additionalProperties", "anyOf"),
    *("security", "paths", "components"),
)
_RANK = {key: rank for rank, key in enumerate(_ORDER)}


def ordered(node: Any, *, names: bool = False) -> Any:
    """Return `node` with keys in the order in which a person reads them.

    Names and examples stay as they are.
    """
    if isinstance(node, list):
        return [ordered(value) for value in node]
    if not isinstance(node, dict):
        return node
    keys = list(node) if names else sorted(node, key=lambda key: (_RANK.get(key, len(_RANK)), key))
    if all(key.isdigit() for key in keys):
        keys.sort()  # status codes
    return {
        key: node[key]
        if key in EXAMPLES and not names
        else ordered(node[key], names=key in NAMING and not names)
        for key in keys
    }


def in_order(document: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return `document` in an order that does not depend on upstream's.

    Paths stand as in `ours`, new ones after them by name; components stand by name.
    """
    place = {path: index for index, path in enumerate(ours.get("paths") or ())}
    paths = sorted(document["paths"], key=lambda path: (place.get(path, len(place)), path))
    sections = sorted(document["components"].items())
    found: dict[str, Any] = ordered(
        {
            **document,
            "paths": {path: document["paths"][path] for path in paths},
            "components": {section: dict(sorted(nodes.items())) for section, nodes in sections},
        }
    )
    return found


def dump(document: dict[str, Any]) -> str:
    """Return `document` as YAML: the same text for the same data."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its default is None
    yaml.allow_unicode = True
    yaml.width = 100
    stream = StringIO()
    yaml.dump(document, stream)
    # The emitter leaves a space at the end of some folded lines. It means nothing: block scalars,
    # in which it would, are never written.
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().strip().split("\n"))
