"""Say in the schema what servers really send: null for what is unset, enum values from later on.

Both make generated clients robust: an attrs model crashes on a null, and on an enum value, that
its document does not list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _openapi.walk import LITERAL, NAMING, objects, operations, references, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

NULL: dict[str, Any] = {"type": "null"}
_ANNOTATIONS = ("description", "default", "deprecated", "examples")
_SCALARS = ("string", "integer", "number", "boolean")


def to_3_1(node: Any, *, names: bool = False) -> Any:
    """Return OpenAPI 3.0 schemas as 3.1: no `nullable`, no one-element `allOf`, no titles.

    `exclusiveMinimum: true` becomes the limit itself.
    """
    if isinstance(node, list):
        return [to_3_1(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {
        key: value
        if (key in LITERAL or key == "info") and not names
        else to_3_1(value, names=key in NAMING and not names)
        for key, value in node.items()
        if names or not (key == "title" and isinstance(value, str))
    }
    if names:
        return node
    every = node.get("allOf")
    if isinstance(every, list) and len(every) == 1 and isinstance(every[0], dict):
        rest = {key: value for key, value in node.items() if key != "allOf"}
        if not rest.keys() & every[0].keys() - set(_ANNOTATIONS):
            node = {**every[0], **rest}
    for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and limit in node:
            node[exclusive] = node.pop(limit)
    if isinstance(node.get("nullable"), bool) and node.pop("nullable"):
        node = nullable(node)
    return node


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with null allowed.

    Only a plain scalar becomes a type list: with `format` such a list makes test generators send
    empty strings, and a discriminated `oneOf` must not gain a variant without the tag.
    """
    if accepts_null(schema):
        return schema
    notes = {key: schema[key] for key in _ANNOTATIONS if key in schema}
    core = {key: value for key, value in schema.items() if key not in notes}
    if None in core.get("enum", ()):
        core["enum"] = [value for value in core["enum"] if value is not None]
    if core.get("type") in _SCALARS and "format" not in core and "enum" not in core:
        return {**notes, **core, "type": [core["type"], "null"]}
    if set(core) == {"anyOf"}:
        return {**notes, "anyOf": [*core["anyOf"], NULL]}
    return {**notes, "anyOf": [core, NULL]}


def accepts_null(schema: dict[str, Any]) -> bool:
    """Whether null passes already: it is said, or nothing at all is said."""
    if not set(schema) - set(_ANNOTATIONS):
        return True
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or NULL in schema.get("anyOf", [])
    )


def optional_properties(document: dict[str, Any]) -> dict[str, Any]:
    """Make every optional property nullable, except a tag, which has one value."""
    for schema in list(objects(document)):
        properties, required = _properties(schema), schema.get("required", [])
        for name, prop in properties.items():
            if name not in required and isinstance(prop, dict) and not _is_tag(prop):
                properties[name] = nullable(prop)
    return document


def without_empty_defaults(node: Any, *, names: bool = False) -> Any:
    """Return `node` without defaults of `{}` and `[]`.

    No generator carries one; each drops the default, or the property's type, in silence. Left out,
    null and empty mean the same to every server that was looked at.
    """
    if isinstance(node, list):
        return [without_empty_defaults(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: without_empty_defaults(value, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key != "default" or value not in ({}, [])
    }


def open_response_enums(document: dict[str, Any]) -> dict[str, Any]:
    """Let every enum that a response can hold be another string too.

    A schema that both sides use is opened for both: a message that was read must be loggable.
    """
    for schema in list(_reached_by_responses(document)):
        for holder, key in _places(schema):
            holder[key] = _open(holder[key], document)
    return document


def _reached_by_responses(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    queue = [operation.get("responses", {}) for _, _, operation in operations(document)]
    seen: set[str] = set()
    while queue:
        node = queue.pop()
        yield from objects(node)
        for path, reference in references(node):
            if reference not in seen:
                seen.add(reference)
                queue.append(resolve(document, reference, path))


def _places(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where schemas stand right below: holder and key."""
    properties = _properties(schema)
    for name in properties:
        yield properties, name
    for key in ("items", "additionalProperties", "schema"):
        if isinstance(schema.get(key), dict):
            yield schema, key


def _open(prop: Any, document: dict[str, Any]) -> Any:
    if not isinstance(prop, dict):
        return prop
    branches = prop.get("anyOf", [prop])
    if (
        _is_tag(prop)
        or {"type": "string"} in branches
        or not any(_is_enum(branch, document) for branch in branches)
    ):
        return prop
    notes = {key: prop[key] for key in _ANNOTATIONS if key in prop}
    cores = [{k: v for k, v in branch.items() if k not in notes} for branch in branches]
    return {**notes, "anyOf": [*cores, {"type": "string"}]}


def _is_enum(schema: Any, document: dict[str, Any]) -> bool:
    while isinstance(schema, dict) and isinstance(reference := schema.get("$ref"), str):
        schema = resolve(document, reference)
    return isinstance(schema, dict) and schema.get("type") == "string" and "enum" in schema


def _is_tag(schema: dict[str, Any]) -> bool:
    """Whether it has one value, said right here: a component of one value may get another."""
    return "const" in schema or len(schema.get("enum", ())) == 1


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}
