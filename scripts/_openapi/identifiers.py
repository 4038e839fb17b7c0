"""Where ids stand in a schema of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPREFIXED = r"^\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*$"
"""The pattern of an id without a documented prefix."""


def id_sites(
    schema: dict[str, Any], schemas: dict[str, Any], path: str = "", seen: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield the dotted paths of ids inside data of this schema; lists are walked through."""
    reference = schema.get("$ref", "").rsplit("/", 1)[-1]
    if reference and reference not in seen:
        yield from id_sites(schemas[reference], schemas, path, (*seen, reference))
    if "x-id-prefix" in schema or schema.get("pattern") == UNPREFIXED:
        yield path
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from id_sites(branch, schemas, path, seen)
    if "items" in schema:
        yield from id_sites(schema["items"], schemas, path, seen)
    for name, prop in schema.get("properties", {}).items():
        yield from id_sites(prop, schemas, f"{path}.{name}".lstrip("."), seen)
