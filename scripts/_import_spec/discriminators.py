"""Say by which property the variants of a union are told apart, where one of them tells.

A discriminator that some variant does not answer makes generated models fail on import; one that
is left out makes them try variant after variant, and complain about all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _openapi.walk import LITERAL, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIONS = ("oneOf", "anyOf")
_NULL = {"type": "null"}


def write(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` with a discriminator on each union whose every variant has its own tag.

    A tag is a property of one value; where upstream names none as the discriminator, a required
    one. A discriminator that cannot tell the variants apart goes.
    """
    _write(document, document)
    return document


def _write(document: dict[str, Any], node: Any) -> None:
    if isinstance(node, list):
        for value in node:
            _write(document, value)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key not in LITERAL:
            _write(document, value)
    for key in UNIONS:
        if isinstance(node.get(key), list):
            _tell_apart(document, node, key)


def _tell_apart(document: dict[str, Any], node: dict[str, Any], key: str) -> None:
    given = node.pop("discriminator", None)
    variants = [each for each in node[key] if each != _NULL]
    if given is None:
        found = _mappings(document, variants, optional=False)
        name = min(found, default=None)
    else:
        found = _mappings(document, variants, optional=True)
        name = given["propertyName"] if given.get("propertyName") in found else None
    if name is None:
        return
    for value, reference in found[name].items():
        # What tells variants apart is no enum that could grow: say it in each of them.
        properties = resolve(document, reference)["properties"]
        if "$ref" in properties[name]:
            properties[name] = {"type": "string", "enum": [value]}
    discriminator = {"propertyName": name, "mapping": found[name]}
    if len(variants) == len(node[key]):
        node["discriminator"] = discriminator
    else:
        # Null has no tag, so it stands outside of what is told apart.
        del node[key]
        node["anyOf"] = [{key: variants, "discriminator": discriminator}, _NULL]


def _mappings(
    document: dict[str, Any], variants: list[Any], *, optional: bool
) -> dict[str, dict[str, str]]:
    """Return the component of each tag, for every property that tells all variants apart."""
    references = [each.get("$ref") if isinstance(each, dict) else None for each in variants]
    if len(references) < 2 or None in references:  # noqa: PLR2004 -- a union has two or more
        return {}
    tags = [dict(_tags(document, str(each), optional=optional)) for each in references]
    shared = set(tags[0]).intersection(*tags[1:])
    return {
        name: {each[name]: str(reference) for each, reference in zip(tags, references, strict=True)}
        for name in shared
        if len({each[name] for each in tags}) == len(tags)
    }


def _tags(document: dict[str, Any], reference: str, *, optional: bool) -> Iterator[tuple[str, str]]:
    """Yield the properties of a component that have one value, and the value."""
    schema = resolve(document, reference)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, prop in properties.items() if isinstance(properties, dict) else ():
        value = _only_value(document, prop)
        if value is not None and (optional or name in schema.get("required", ())):
            yield name, value


def _only_value(document: dict[str, Any], schema: Any) -> str | None:
    """Return the one text that a schema allows, here or where it refers to."""
    while isinstance(schema, dict) and isinstance(reference := schema.get("$ref"), str):
        schema = resolve(document, reference)
    if not isinstance(schema, dict):
        return None
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
