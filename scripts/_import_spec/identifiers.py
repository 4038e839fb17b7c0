"""Turn what upstream says about ids in prose into something a machine can check.

`Starts with `evrun_`.` in a description becomes `x-id-prefix: evrun_` at that site; `expand` then
gives every such site its `pattern` and `maxLength`. The two steps are apart so that a patch can
say `x-id-prefix` where the prose is silent.
"""

from __future__ import annotations

import re
from typing import Any

from _openapi.document import pointer
from _openapi.refusal import Refusal

PREFIX = "x-id-prefix"
ALSO = "x-id-prefix-also"
"""Further prefixes that the same site takes."""

BODY = "[A-Za-z0-9_-]+"
MAX_LENGTH = 128

_QUOTE = "[`'\"]?"
_NAME = rf"{_QUOTE}([a-z]+_){_QUOTE}"
_PROSE = re.compile(
    rf"\bstarts? with (?:either )?{_NAME}(?:(?:,| or) (?:or )?{_NAME})*", re.IGNORECASE
)
_ONE = re.compile(r"[a-z]+_(?![a-z])")


def mark(document: dict[str, Any]) -> dict[str, Any]:
    """Write `x-id-prefix` beside every description that names a prefix, on the string schema."""
    _mark(document, ())
    return document


def _mark(node: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(node, list):
        for index, value in enumerate(node):
            _mark(value, (*path, index))
    if not isinstance(node, dict):
        return
    description = node.get("description")
    if isinstance(description, str) and (match := _PROSE.search(description)):
        site = _string_schema(node.get("schema", node), path)
        prefixes = _ONE.findall(match.group(0))
        if site.get(PREFIX, prefixes[0]) != prefixes[0]:
            raise Refusal(
                f"the prose names both {site[PREFIX]} and {prefixes[0]}", pointer=pointer(*path)
            )
        site[PREFIX] = prefixes[0]
        if prefixes[1:]:
            site[ALSO] = prefixes[1:]
    for key, value in node.items():
        _mark(value, (*path, key))


def _string_schema(schema: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    if schema.get("type") == "array":
        schema = schema["items"]
    if schema.get("type") != "string":
        raise Refusal("the prose names an id prefix, but this is no string", pointer=pointer(*path))
    return schema


def expand(node: Any) -> Any:
    """Give every site with `x-id-prefix` its `pattern` and `maxLength`, unless a patch set them.

    Match the pattern in full: in Python `$` lets a trailing newline pass.
    """
    if isinstance(node, list):
        return [expand(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {key: expand(value) for key, value in node.items()}
    if isinstance(node.get(PREFIX), str):
        prefixes = [node[PREFIX], *node.get(ALSO, [])]
        alternatives = prefixes[0] if len(prefixes) == 1 else f"({'|'.join(prefixes)})"
        node.setdefault("maxLength", MAX_LENGTH)
        node.setdefault("pattern", f"^{alternatives}{BODY}$")
    return node
