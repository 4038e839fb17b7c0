"""Read an OpenAPI document and refuse what the generators would get wrong without saying so.

Pure: text in, `Contract` or `Refusal` out. What the document means is left to the generators.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from _openapi.document import Fault, line_of, parse, parts, pointer
from _openapi.refusal import Refusal, shorten
from _openapi.walk import METHODS
from _regenerate import preflight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _openapi.document import Path

_NAMING = frozenset(
    {
        *("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"),
        *("paths", "pathItems", "responses", "content", "headers", "callbacks", "links"),
        *("schemas", "parameters", "requestBodies", "securitySchemes"),
    }
)
"""Keys of objects whose own keys are names, so that a property may be called `default`."""

_LITERAL = frozenset({"example", "examples", "default", "enum", "const"})
"""Keys whose value is data: a `$ref` below them refers to nothing."""


_IN_OPERATION = re.compile(r"for '(\w+)' operation in '([^']+)'")


class Operation(NamedTuple):
    """One operation of the document, and where it stands."""

    id: str
    method: str
    url: str
    pointer: str


@dataclass(frozen=True)
class Contract:
    """A document that both generators can be trusted with."""

    name: str
    text: str
    document: dict[str, Any]
    operations: tuple[Operation, ...]

    def located(self, refusal: Refusal) -> Refusal:
        """Return `refusal` with file and line, if it names a place in this document."""
        if not refusal.pointer or refusal.line:
            return refusal
        line = line_of(self.text, tuple(parts(refusal.pointer)))
        return Refusal(refusal.message, where=self.name, line=line, pointer=refusal.pointer)

    @property
    def schemas(self) -> dict[str, Any]:
        """The named schemas."""
        found: dict[str, Any] = self.document.get("components", {}).get("schemas", {})
        return found

    @property
    def json(self) -> str:
        """The document as both generators read it; their two YAML readers disagree."""
        return json.dumps(self.document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    @property
    def sha256(self) -> str:
        """A hash over content and order (which the output follows), but not over layout."""
        return hashlib.sha256(self.json.encode()).hexdigest()


def read(text: str, name: str) -> Contract:
    """Return the contract in `text`, YAML or JSON, or refuse it; `name` is its file."""
    try:
        document = parse(text)
        _check_references(document)
        _check_openapi(document)
        operations = tuple(_operations(document))
        preflight.check(document)
    except Fault as fault:
        raise Refusal(
            fault.message,
            where=name,
            line=fault.line or line_of(text, fault.path),
            pointer=pointer(*fault.path),
        ) from fault.__cause__
    except RecursionError:
        raise Refusal("is nested too deeply", where=name, pointer="#") from None
    return Contract(name, text, document, operations)


def _check_references(document: Any) -> None:
    for path, reference in _references(document, ()):
        if path[0] == "paths" and path[2:] == ("$ref",):
            raise Fault("a path that is a $ref loses its operations; write them here", path)
        if not reference.startswith("#/"):
            raise Fault(f"$ref {reference!r} leaves the document; only '#/…' is followed", path)
        seen = {reference}
        target = _resolve(document, reference, path)
        while isinstance(target, dict) and isinstance(following := target.get("$ref"), str):
            if following in seen:
                raise Fault(f"$ref {reference!r} leads back to itself", path)
            seen.add(following)
            target = _resolve(document, following, path)


def _references(node: Any, path: Path, *, names: bool = False) -> Iterator[tuple[Path, str]]:
    """Yield every `$ref` and its place. `names`: the keys of `node` are names, not keywords."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str) and not names:
                yield (*path, key), value
            elif names or (key not in _LITERAL and not key.startswith("x-")):
                below = key in _NAMING and not names
                yield from _references(value, (*path, key), names=below)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _references(value, (*path, index))


def _resolve(document: Any, reference: str, path: Path) -> Any:
    node = document
    for key in parts(reference):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            raise Fault(f"$ref {reference!r} points to nothing", path)
    return node


def _check_openapi(document: Any) -> None:
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


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    first: dict[str, str] = {}
    for url, item in document.get("paths", {}).items():
        for method in METHODS:
            if method not in item:
                continue
            path = ("paths", url, method)
            name = item[method].get("operationId")
            if not name:
                raise Fault("has no operationId, which names its module", path)
            if name in first:
                raise Fault(
                    f"operationId {name!r} stands at {first[name]} already; one would overwrite the"
                    " other",
                    (*path, "operationId"),
                )
            first[name] = pointer(*path)
            yield Operation(name, method, url, first[name])
    if not first:
        raise Fault("has no operations", ("paths",))
