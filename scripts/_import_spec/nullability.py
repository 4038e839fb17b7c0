"""Say in the schema what servers really send: null for what is unset, enum values from later on.

Both make generated clients robust: an attrs model crashes on a null, and on an enum value, that
its document does not list.
"""

from __future__ import annotations

from typing import Any

from _openapi.walk import operations, references

NULL: dict[str, Any] = {"type": "null"}
_ANNOTATIONS = ("description", "default", "deprecated", "examples")
_SCALARS = ("string", "integer", "number", "boolean")


def to_3_1(node: Any) -> Any:
    """Return OpenAPI 3.0 schemas as 3.1: no `nullable`, no one-element `allOf`, no titles."""
    if isinstance(node, list):
        return [to_3_1(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {
        key: to_3_1(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }
    if (
        isinstance(node.get("allOf"), list)
        and len(node["allOf"]) == 1
        and "$ref" in node["allOf"][0]
    ):
        node = {**node.pop("allOf")[0], **node}
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
    """Make every optional property nullable, except a tag: an enum of one value."""
    for schema in document.get("components", {}).get("schemas", {}).values():
        required = schema.get("required", [])
        for name, prop in schema.get("properties", {}).items():
            if name not in required and not _is_tag(prop):
                schema["properties"][name] = nullable(prop)
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
    schemas = document.get("components", {}).get("schemas", {})
    for name in _reached_by_responses(document):
        for key, prop in schemas[name].get("properties", {}).items():
            schemas[name]["properties"][key] = _open(prop, schemas)
    return document


def _reached_by_responses(document: dict[str, Any]) -> set[str]:
    schemas = document.get("components", {}).get("schemas", {})
    queue = [
        reference
        for _, _, operation in operations(document)
        for reference in references(operation.get("responses", {}))
    ]
    reached: set[str] = set()
    while queue:
        name = queue.pop().rsplit("/", 1)[-1]
        if name in schemas and name not in reached:
            reached.add(name)
            queue.extend(references(schemas[name]))
    return reached


def _open(prop: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    branches = prop.get("anyOf", [prop])
    if (
        _is_tag(prop)
        or {"type": "string"} in branches
        or not any(_is_enum(b, schemas) for b in branches)
    ):
        return prop
    notes = {key: prop[key] for key in _ANNOTATIONS if key in prop}
    cores = [{k: v for k, v in branch.items() if k not in notes} for branch in branches]
    return {**notes, "anyOf": [*cores, {"type": "string"}]}


def _is_enum(schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    target = schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], schema)
    return target.get("type") == "string" and "enum" in target


def _is_tag(schema: dict[str, Any]) -> bool:
    return len(schema.get("enum", ())) == 1
