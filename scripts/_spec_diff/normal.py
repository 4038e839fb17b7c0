"""One form for every way in which OpenAPI 3.0 and 3.1 say the same about a schema."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from _openapi.document import parts
from _openapi.refusal import Refusal

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_NULL = "null"
_SCALARS = ("string", "integer", "number", "boolean")
_SAYABLE = {"type", "enum", "const", "title", "description"}


@frozen
class Node:
    """What a schema says at one place; what lies below is still as it was written."""

    types: frozenset[str] = frozenset()
    """Without null; empty where any type will do."""
    nullable: bool = False
    enum: tuple[Any, ...] | None = None
    pattern: str | None = None
    format: str | None = None
    default: Any = None
    has_default: bool = False
    limits: dict[str, float] = field(factory=dict)
    properties: dict[str, Any] = field(factory=dict)
    required: frozenset[str] = frozenset()
    further: Any = True
    """`additionalProperties`."""
    items: Any = None
    variants: tuple[Any, ...] = ()
    """The schemas of `anyOf` or `oneOf`, null left out, where there are several."""
    deprecated: bool = False
    description: str = ""


def resolve(document: dict[str, Any], schema: Any) -> tuple[str | None, Any]:
    """Follow `$ref`s; return the name of the last component and the schema behind it.

    Keys beside a `$ref` count, and say it over what it refers to. Raises `Refusal`.
    """
    name: str | None = None
    beside: dict[str, Any] = {}
    seen: set[str] = set()
    while isinstance(schema, dict) and isinstance(reference := schema.get("$ref"), str):
        beside = {**{key: value for key, value in schema.items() if key != "$ref"}, **beside}
        name, schema = reference, _target(document, reference)
        if reference in seen:
            raise Refusal(f"$ref {reference!r} leads back to itself", pointer=reference)
        seen.add(reference)
    return name, {**schema, **beside} if beside and isinstance(schema, dict) else schema


def _target(document: dict[str, Any], reference: str) -> Any:
    if not reference.startswith("#/"):
        raise Refusal(
            f"$ref {reference!r} leaves the document; only '#/…' is followed", pointer="#"
        )
    node: Any = document
    for part in parts(reference):
        if not isinstance(node, dict) or part not in node:
            raise Refusal(f"$ref {reference!r} points to nothing", pointer=reference)
        node = node[part]
    return node


def normalize(document: dict[str, Any], schema: Any) -> Node:
    """Return what `schema` says."""
    merged = _merge(document, schema, frozenset())
    if not isinstance(merged, dict):
        return Node(further=merged is not False)
    union = merged.get("anyOf") or merged.get("oneOf") or []
    several = [each for each in union if not _is_null(document, each)]
    nullable = len(several) < len(union) or merged.get("nullable") is True
    if len(several) == 1:
        rest = {k: v for k, v in merged.items() if k not in {"anyOf", "oneOf", "nullable"}}
        merged = _merge(document, {"allOf": [several[0]], **rest}, frozenset())
        inner = normalize(document, merged)
        return evolve(inner, nullable=inner.nullable or nullable)
    if several and (plain := _plain(document, several)):
        # `anyOf: [Enum, string]` says no more than one type and its values.
        rest = {k: v for k, v in merged.items() if k not in {"anyOf", "oneOf"}}
        merged, several = {**rest, **plain}, []
    types = _named_types(merged) or _types_of_all(document, several)
    enum = [merged["const"]] if "const" in merged else merged.get("enum")
    nullable = nullable or _NULL in types or (enum is not None and None in enum and not types)
    return Node(
        types=frozenset(types - {_NULL}),
        nullable=nullable,
        enum=None if enum is None else tuple(value for value in enum if value is not None),
        pattern=merged.get("pattern"),
        format=merged.get("format"),
        default=merged.get("default"),
        has_default="default" in merged,
        limits=_limits(merged),
        properties=merged.get("properties", {}),
        required=frozenset(merged.get("required", ())),
        further=merged.get("additionalProperties", True),
        items=merged.get("items"),
        variants=tuple(several),
        deprecated=merged.get("deprecated") is True,
        description=" ".join(str(merged.get("description", "")).split()),
    )


def _merge(document: dict[str, Any], schema: Any, seen: frozenset[str]) -> Any:
    """Return `schema` with its `$ref` and `allOf` written out at this level."""
    name, schema = resolve(document, schema)
    if not isinstance(schema, dict) or "allOf" not in schema:
        return schema
    if name and name in seen:
        raise Refusal("the schema is all of itself", pointer=name)
    seen = seen | {name} if name else seen
    merged: dict[str, Any] = {}
    for part in [*schema["allOf"], {k: v for k, v in schema.items() if k != "allOf"}]:
        written = _merge(document, part, seen)
        if not isinstance(written, dict):
            continue
        for key, value in written.items():
            if key == "properties":
                merged["properties"] = {**merged.get("properties", {}), **value}
            elif key == "required":
                merged["required"] = [*merged.get("required", ()), *value]
            else:
                merged[key] = value
    return merged


def _plain(document: dict[str, Any], variants: list[Any]) -> dict[str, Any] | None:
    """Return scalar variants as one schema: all their types, and their values if all name them."""
    written = [_merge(document, each, frozenset()) for each in variants]
    types: list[str] = []
    values: list[Any] | None = []
    for each in written:
        if (
            not isinstance(each, dict)
            or not set(each) <= _SAYABLE
            or each.get("type") not in _SCALARS
        ):
            return None
        types.append(each["type"])
        own = [each["const"]] if "const" in each else each.get("enum")
        values = None if values is None or own is None else [*values, *own]
    return {"type": types, **({} if values is None else {"enum": values})}


def _named_types(schema: dict[str, Any]) -> set[str]:
    kinds = schema.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _types_of_all(document: dict[str, Any], variants: list[Any]) -> set[str]:
    """Return the types of all variants, or none if one of them does not say its own."""
    written = [_merge(document, each, frozenset()) for each in variants]
    named = [_named_types(each) if isinstance(each, dict) else set() for each in written]
    return set().union(*named) if all(named) else set()


def _is_null(document: dict[str, Any], schema: Any) -> bool:
    _, schema = resolve(document, schema)
    return isinstance(schema, dict) and schema.get("type") == _NULL


def _limits(schema: dict[str, Any]) -> dict[str, float]:
    limits = {}
    for key in (*LOWER, *UPPER):
        value = schema.get(key)
        if isinstance(value, bool):
            continue  # 3.0: it turns `minimum` into an exclusive one, below
        if value is not None:
            limits[key] = value
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(exclusive) is True and key in limits:
            limits[exclusive] = limits.pop(key)
    return limits
