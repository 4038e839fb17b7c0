"""Where the contract takes a text: each place of a body, with the least that it needs around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from _support.served import contract, contract_operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Path = tuple[str | int, ...]


@frozen
class Place:
    """A place of a body. `*` in its path is a name that the caller chooses."""

    path: Path
    build: Callable[[str], Any]
    """Returns what has a text there, for `merged`; the one for `*` is its name too."""
    free: bool
    """Whether any text may stand there, by its schema; at `*` of a closed object none may."""

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


def places(operation_id: str) -> dict[str, Place]:
    """Return every place of an operation's body by its name."""
    body = contract_operations()[operation_id][2].get("requestBody")
    if body is None:
        return {}
    found = _places(body["content"]["application/json"]["schema"])
    return {str(each): each for each in found}


@frozen
class _Least:
    """What must stand beside a place, unless there is something already."""

    value: Any


def merged(base: Any, built: Any) -> Any:
    """Return a body with what was built for a place, and else what it had."""
    if isinstance(built, _Least):
        return built.value if base is None else base
    if isinstance(built, dict):
        before = base if isinstance(base, dict) else {}
        return {**before, **{name: merged(before.get(name), each) for name, each in built.items()}}
    if isinstance(built, list):
        return [merged(base[0] if isinstance(base, list) and base else None, built[0])]
    return built


def _places(schema: dict[str, Any], seen: tuple[str, ...] = ()) -> Iterator[Place]:
    name = schema.get("$ref", "")
    if name in seen:
        return
    seen = (*seen, name) if name else seen
    schema = _resolved(schema)
    for each in _alternatives(schema):
        yield from _places(each, seen)
    if _is(schema, "string") and not {"enum", "const"} & schema.keys():
        yield Place((), lambda text: text, free=not {"pattern", "format"} & schema.keys())
    for place in _places(schema["items"], seen) if "items" in schema else ():
        yield _within(place, 0, lambda inner, _: [inner])
    yield from _fields(schema, seen)


def _fields(schema: dict[str, Any], seen: tuple[str, ...]) -> Iterator[Place]:
    fields = schema.get("properties", {})
    around = {each: _Least(_least(fields[each])) for each in schema.get("required", ())}
    for field, each in fields.items():
        for place in _places(each, seen):
            yield _within(place, field, _beside(around, field))
    others = schema.get("additionalProperties", not fields)
    if _is(schema, "object"):
        yield Place(("*",), lambda text: {**around, text: text}, free=others is not False)
    for place in _places(others, seen) if isinstance(others, dict) else ():
        yield _within(place, "*", lambda inner, text: {text: inner})


def _beside(around: dict[str, Any], field: str) -> Callable[[Any, str], Any]:
    return lambda inner, _: {**around, field: inner}


def _within(place: Place, name: str | int, wrap: Callable[[Any, str], Any]) -> Place:
    return Place((name, *place.path), lambda text: wrap(place.build(text), text), place.free)


def _least(schema: dict[str, Any]) -> Any:
    """Return the least that fits a schema."""
    schema = _resolved(schema)
    for each in _alternatives(schema):
        return _least(each)
    if "enum" in schema:
        return schema["enum"][0]
    if _is(schema, "object"):
        required = schema.get("required", ())
        return {name: _least(schema["properties"][name]) for name in required}
    if _is(schema, "array"):
        return []
    return "x" if _is(schema, "string") else 1


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = contract()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for kind in ("anyOf", "oneOf", "allOf") for each in schema.get(kind, ())]


def _is(schema: dict[str, Any], kind: str) -> bool:
    types = schema.get("type")
    return kind in (types if isinstance(types, list) else [types])
