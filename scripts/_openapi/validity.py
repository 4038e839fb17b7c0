"""Refuse a document whose references lead astray, or which is no OpenAPI. Raises `Fault`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from _openapi.document import Fault
from _openapi.refusal import shorten
from _openapi.walk import references, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _openapi.document import Path

_IN_OPERATION = re.compile(r"for '(\w+)' operation in '([^']+)'")


def check_references(document: Any) -> None:
    """Refuse a reference to nothing, to elsewhere or to itself, and a schema all of itself."""
    for path, reference in references(document):
        if path[0] == "paths" and path[2:] == ("$ref",):
            raise Fault("a path that is a $ref loses its operations; write them here", path)
        seen = {reference}
        target = resolve(document, reference, path)
        while isinstance(target, dict) and isinstance(following := target.get("$ref"), str):
            if following in seen:
                raise Fault(f"$ref {reference!r} leads back to itself", path)
            seen.add(following)
            target = resolve(document, following, path)
        if path[-3:-2] == ("allOf",):
            _check_all_of(document, reference, path)


def _check_all_of(document: Any, reference: str, path: Path) -> None:
    """Refuse a reference in an `allOf` that comes back by such references alone: nothing fits."""
    seen: set[str] = set()
    queue = [reference]
    while queue:
        at = queue.pop()
        for following in _all_of(resolve(document, at, path)):
            if following == reference:
                raise Fault(f"{reference} is all of itself", path)
            if following not in seen:
                seen.add(following)
                queue.append(following)


def _all_of(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        if isinstance(parts := schema.get("allOf"), list):
            for each in parts:
                yield from _all_of(each)


def check_openapi(document: Any) -> None:
    """Refuse what is no OpenAPI 3.0 or 3.1. Raises `Fault`."""
    # Imported late: it costs a quarter of a second, which `--help` need not pay.
    from openapi_spec_validator import (  # noqa: PLC0415
        OpenAPIV30SpecValidator,
        OpenAPIV31SpecValidator,
    )
    from openapi_spec_validator.validation.exceptions import (  # noqa: PLC0415
        DuplicateOperationIDError,
    )

    if not isinstance(document, dict):
        raise Fault("holds no OpenAPI document, which is an object", ())
    version = str(document.get("openapi", "nothing"))
    if not version.startswith(("3.0.", "3.1.")):
        raise Fault(f"openapi must be 3.0.x or 3.1.x, not {version}", ("openapi",))
    validator = OpenAPIV31SpecValidator if version.startswith("3.1.") else OpenAPIV30SpecValidator
    try:
        # Without patterns: it would run each over its default, and some never come to an end.
        errors = validator(_without_patterns(document)).iter_errors()
        # A duplicate operationId is left to `_operations`, which knows both places.
        ours = DuplicateOperationIDError
        error = next((each for each in errors if not isinstance(each, ours)), None)
    except RecursionError:
        raise
    except Exception as error:  # It raises whatever its parts raise; each means "not valid".
        raise Fault(f"is no valid OpenAPI document: {shorten(str(error))}", ()) from error
    if error is not None:
        while error.context:  # The alternative of a `oneOf` that came nearest: it got deepest.
            error = max(error.context, key=lambda each: len(each.absolute_path))
        message = error.message.partition("\n\n")[0]  # The rest quotes the whole meta-schema.
        # Some come without their place: a default of the wrong type, an undeclared path parameter.
        path: Path = tuple(error.absolute_path) or _default(document, error.instance, ())
        path = _rooted(document, path, error.instance)
        if not path and (match := _IN_OPERATION.search(message)):
            path = ("paths", match[2], match[1])
        raise Fault(f"is no valid OpenAPI: {shorten(message)}", path)


def _without_patterns(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _without_patterns(value)
            for key, value in node.items()
            if not (key == "pattern" and isinstance(value, str))
        }
    return [_without_patterns(each) for each in node] if isinstance(node, list) else node


def _rooted(document: Any, path: Path, instance: Any) -> Path:
    """Return the place of `instance` from the top; some errors say it from their schema only."""
    if not path or _follow(document, path) is not None:
        return path
    queue: list[tuple[Path, Any]] = [((), document)]
    while queue:
        place, node = queue.pop()
        if _follow(node, path) is instance:
            return (*place, *path)
        if isinstance(node, dict):
            queue += [((*place, key), value) for key, value in node.items()]
        elif isinstance(node, list):
            queue += [((*place, index), value) for index, value in enumerate(node)]
    return path


def _follow(node: Any, path: Path) -> Any:
    for key in path:
        if isinstance(node, dict):
            node = node.get(str(key))
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return None
    return node


def _default(node: Any, value: Any, path: Path) -> Path:
    """Return where `value` stands as a default, or the top."""
    children: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        if "default" in node and node["default"] is value:
            return (*path, "default")
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    return next(
        (found for key, child in children if (found := _default(child, value, (*path, key)))), ()
    )
