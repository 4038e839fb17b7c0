"""Refuse what the generators accept and get wrong: their exit status says nothing about it.

Each rule was found by generating such a document and calling what came out (openapi-python-client
0.29.1, datamodel-code-generator 0.89.0). What they refuse by themselves is left to them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from _openapi.document import Fault
from _openapi.walk import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _openapi.document import Path

RESERVED_PROPERTIES = frozenset(
    {
        *("d", "cls", "to_dict", "from_dict", "field_dict"),
        *("additional_properties", "additional_keys"),
    }
)
"""Names that the methods of a generated attrs model use themselves."""

PROTECTED = ("model_dump", "model_validate")
"""Starts of names that pydantic keeps for itself."""

RESERVED_PARAMETERS = frozenset({"params", "headers", "cookies", "quote"})
"""Names that a generated endpoint uses itself."""

_PLAIN = {"query": "form", "path": "simple", "header": "simple", "cookie": "form"}

MAX_ENUM = 1000
"""Values of an enum; each becomes code."""

MAX_NAME = 128
"""Characters of a name that becomes one in code, or a file."""


def check(document: dict[str, Any]) -> None:
    """Refuse the first thing that would be lost or wrong. Raises `Fault`."""
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        _name(name, ("components", "schemas", name))
        _schema(schema, ("components", "schemas", name))
    for url, item in document.get("paths", {}).items():
        shared = item.get("parameters", [])
        _parameters(shared, ("paths", url, "parameters"), document)
        for method in METHODS:
            if method in item:
                _operation(item[method], ("paths", url, method), document, shared)


def _operation(
    operation: dict[str, Any], path: Path, document: dict[str, Any], shared: list[Any]
) -> None:
    _name(str(operation.get("operationId", "")), (*path, "operationId"))
    own = operation.get("parameters", [])
    _parameters(own, (*path, "parameters"), document)
    body = _followed(operation.get("requestBody"), document)
    together = [_followed(each, document) for each in (*shared, *own)]
    if body is not None:
        _one_media_type(body, (*path, "requestBody"))
        if any(each.get("name") == "body" for each in together):
            raise Fault("a parameter named 'body' beside a body; both become one argument", path)
        _content(body, (*path, "requestBody"))
    for status, response in operation.get("responses", {}).items():
        _content(_followed(response, document) or {}, (*path, "responses", status))


def _parameters(parameters: list[Any], path: Path, document: dict[str, Any]) -> None:
    for index, each in enumerate(parameters):
        parameter, place = _followed(each, document) or {}, (*path, index)
        name = str(parameter.get("name", ""))
        _name(name, (*place, "name"))
        if snake(name) in RESERVED_PARAMETERS:
            raise Fault(
                f"the parameter name {name!r} is one that the generated function uses itself",
                (*place, "name"),
            )
        if "content" in parameter:
            raise Fault(
                "a parameter with 'content' is sent as if it had a schema; give it a schema",
                (*place, "content"),
            )
        _style(parameter, place, document)
        _schema(parameter.get("schema", {}), (*place, "schema"))


def _style(parameter: dict[str, Any], place: Path, document: dict[str, Any]) -> None:
    style = parameter.get("style", _PLAIN.get(str(parameter.get("in"))))
    schema = _followed(parameter.get("schema"), document) or {}
    kinds = schema.get("type")
    exploded = parameter.get("explode", style == "form")
    if style != _PLAIN.get(str(parameter.get("in"))):
        raise Fault(
            f"style {style!r} is ignored by the generated client; only the default works",
            (*place, "style"),
        )
    if kinds == "array" and parameter.get("in") == "query" and not exploded:
        raise Fault(
            "explode: false is ignored by the generated client, which repeats the parameter",
            (*place, "explode"),
        )
    if kinds == "object" and parameter.get("in") == "query":
        raise Fault(
            "an object as a query parameter is spread by the generated client; declare its fields",
            (*place, "schema"),
        )


def _one_media_type(body: dict[str, Any], path: Path) -> None:
    media = list(body.get("content", {}))
    if len(media) > 1:
        raise Fault(
            f"several body media types ({', '.join(media)}); the generated client sends only one"
            " of them. Keep one",
            (*path, "content"),
        )


def _content(holder: dict[str, Any], path: Path) -> None:
    for media, each in holder.get("content", {}).items():
        _schema(each.get("schema", {}), (*path, "content", media, "schema"))


def _schema(schema: Any, path: Path) -> None:
    if not isinstance(schema, dict):
        return
    for rule in _RULES:
        rule(schema, path)
    for key, value in schema.items():
        if key in {"properties", "patternProperties", "$defs"} and isinstance(value, dict):
            for name, each in value.items():
                _schema(each, (*path, key, name))
        elif key in {"items", "additionalProperties", "not"}:
            _schema(value, (*path, key))
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems"} and isinstance(value, list):
            for index, each in enumerate(value):
                _schema(each, (*path, key, index))


def _properties(schema: dict[str, Any], path: Path) -> None:
    known: dict[tuple[str, str], str] = {}
    for name in schema.get("properties", {}):
        place = (*path, "properties", name)
        _name(name, place)
        if snake(name) in RESERVED_PROPERTIES or snake(name).startswith(PROTECTED):
            raise Fault(
                f"the property name {name!r} is one that the generated model uses itself", place
            )
        # Names that differ by case alone are told apart, names that differ by signs are not.
        other = known.setdefault((snake(name), re.sub(r"\W", "", name)), name)
        if other != name:
            raise Fault(f"the property names {other!r} and {name!r} become one in code", place)


def _default(schema: dict[str, Any], path: Path) -> None:
    if isinstance(schema.get("default"), list | dict):
        raise Fault(
            "a list or an object as a default is dropped by the generated client; leave it out"
            " and say in the description what omitting means",
            (*path, "default"),
        )


def _enum(schema: dict[str, Any], path: Path) -> None:
    values = schema.get("enum")
    if isinstance(values, list) and len(values) > MAX_ENUM:
        raise Fault(f"an enum of {len(values)} values; at most {MAX_ENUM} become code", path)


_RULES: tuple[Callable[[dict[str, Any], Path], None], ...] = (_properties, _default, _enum)


def _name(name: str, path: Path) -> None:
    if len(name) > MAX_NAME:
        raise Fault(f"a name of {len(name)} characters; at most {MAX_NAME} become code", path)


def _followed(node: Any, document: dict[str, Any]) -> Any:
    """Return what a `$ref` leads to; that it leads somewhere is known by now."""
    while isinstance(node, dict) and isinstance(reference := node.get("$ref"), str):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def snake(name: str) -> str:
    """Return a name as openapi-python-client writes it, near enough to find the reserved ones."""
    return "_".join(_words(name)).lower()


def _words(name: str) -> Iterator[str]:
    for part in re.split(r"[\W_]+", name):
        yield from re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z\d]+|[A-Z]+|\d+", part)
