"""Read an OpenAPI document and refuse what the generators would get wrong without saying so.

Pure: text in, `Contract` or `Refusal` out. What the document means is left to the generators.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from _openapi import validity
from _openapi.document import Fault, line_of, parse, parts, pointer
from _openapi.refusal import Refusal
from _openapi.walk import METHODS
from _regenerate import preflight

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        validity.check_references(document)
        validity.check_openapi(document)
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
