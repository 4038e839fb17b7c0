"""Cut the selected operations and everything that they reach out of a document."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from attrs import frozen

from _openapi import validity
from _openapi.document import Fault, parts, pointer
from _openapi.refusal import Refusal
from _openapi.walk import METHODS, references, resolve

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from _openapi.document import Path

_KEPT = ("openapi", "info", "servers")
_COMPONENT = 3
"""Slashes in the reference to a component."""


@frozen
class Selection:
    """Which operations to take: by operationId, by tag, or all of them."""

    operations: Collection[str] = ()
    tags: Collection[str] = ()
    everything: bool = False

    @classmethod
    def read(cls, data: dict[str, Any]) -> Selection:
        """Return the selection in a file: `operations` (a list, or `all`), `tags`, or both."""
        if unknown := sorted(data.keys() - {"operations", "tags"}):
            raise Refusal("a selection has 'operations' and 'tags'", pointer=pointer(unknown[0]))
        chosen = data.get("operations", [])
        if chosen == "all":
            return cls(everything=True)
        for key, names in (("operations", chosen), ("tags", data.get("tags", []))):
            if not (isinstance(names, list) and all(isinstance(each, str) for each in names)):
                alternative = ", or 'all'" if key == "operations" else ""
                raise Refusal(f"must be a list of names{alternative}", pointer=pointer(key))
        return cls(chosen, data.get("tags", []))

    def takes(self, operation: dict[str, Any]) -> bool:
        """Whether the operation is wanted."""
        return (
            self.everything
            or operation.get("operationId") in self.operations
            or any(tag in self.tags for tag in operation.get("tags", ()))
        )


def select(document: dict[str, Any], selection: Selection) -> dict[str, Any]:
    """Return `document` with only the selected operations, and the components those refer to.

    What a path or the document says for its operations (parameters, security) is written on each.
    An unknown operationId or tag, an operation without an id of its own, or a reference that leads
    nowhere, elsewhere or to itself, is a `Refusal`.
    """
    try:
        components = _object(document.get("components", {}), ("components",))
        paths: dict[str, Any] = {}
        for path, method, operation in _operations(document):
            if selection.takes(operation):
                paths.setdefault(path, {})[method] = operation
        _check_ids(document, paths, selection)
        reached = _reachable(document, paths)
        validity.check_references({"paths": paths, "components": reached})
    except Fault as fault:
        raise Refusal(fault.message, pointer=pointer(*fault.path)) from fault
    if "securitySchemes" in components:
        reached["securitySchemes"] = components["securitySchemes"]
    kept = {key: document[key] for key in _KEPT if key in document}
    return {**kept, "paths": paths, "components": reached}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (path, method, operation) with each operation made independent of what surrounds it."""
    version = str(document.get("openapi", "nothing"))
    if not version.startswith(("3.0.", "3.1.")):
        raise Fault(f"openapi must be 3.0.x or 3.1.x, not {version}", ("openapi",))
    for path, item in _object(document.get("paths", {}), ("paths",)).items():
        place: Path = ("paths", path)
        if "$ref" in _object(item, place):
            target = resolve(document, str(item["$ref"]), (*place, "$ref"))
            item = {**_object(target, place), **item}  # noqa: PLW2901 -- the same path, written out
        for method in METHODS:
            if method not in item:
                continue
            operation = dict(_object(item[method], (*place, method)))
            if shared := item.get("parameters"):
                operation["parameters"] = _parameters(document, shared, operation, place)
            if "security" in document:
                operation.setdefault("security", document["security"])
            yield path, method, operation


def _parameters(
    document: dict[str, Any], shared: list[Any], operation: dict[str, Any], place: Path
) -> list[Any]:
    """Return a path's parameters, then the operation's own, which replace those of their name."""

    def key(parameter: Any) -> tuple[Any, Any]:
        path = (*place, "parameters")
        seen: set[str] = set()
        while "$ref" in _object(parameter, path):
            reference = str(parameter["$ref"])
            if reference in seen:
                raise Fault(f"$ref {reference!r} leads back to itself", path)
            seen.add(reference)
            parameter = resolve(document, reference, path)
        return parameter.get("in"), parameter.get("name")

    own = operation.get("parameters", [])
    said = {key(each) for each in own}
    return [*(each for each in shared if key(each) not in said), *own]


def _check_ids(document: dict[str, Any], paths: dict[str, Any], selection: Selection) -> None:
    ids: dict[str, str] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            place: Path = ("paths", path, method)
            name = operation.get("operationId")
            if not isinstance(name, str) or not name:
                raise Fault("has no operationId, by which everything here is named", place)
            if name in ids:
                raise Fault(f"operationId {name!r} stands at {ids[name]} already", place)
            ids[name] = pointer(*place)
    tags = {tag for _, _, operation in _operations(document) for tag in operation.get("tags", ())}
    if unknown := sorted(set(selection.operations) - set(ids)):
        raise Fault(f"no operation has the id {unknown[0]!r}", ("paths",))
    if unknown := sorted(set(selection.tags) - tags):
        raise Fault(f"no operation has the tag {unknown[0]!r}", ("paths",))
    if not ids:
        raise Fault("no operation is selected", ("paths",))


def _reachable(document: dict[str, Any], paths: dict[str, Any]) -> dict[str, Any]:
    """Return the components that `paths` reach, deeper references written out on the way."""
    found: dict[str, dict[str, Any]] = {}
    queue: list[tuple[Path, Any]] = [(("paths",), paths)]
    while queue:
        place, node = queue.pop()
        _write_out(document, node, place, frozenset())
        for path, reference in [*references(node, place), *_mapped(node, place)]:
            target = resolve(document, reference, path)
            if not _is_component(reference):
                raise Fault(f"{reference} is no component", path)
            _, section, name = parts(reference)
            if name not in found.get(section, {}):
                found.setdefault(section, {})[name] = target
                queue.append((("components", section, name), target))
    return {section: dict(sorted(nodes.items())) for section, nodes in sorted(found.items())}


def _is_component(reference: str) -> bool:
    """Whether it is `#/components/<section>/<name>`, which every tool follows."""
    return reference.startswith("#/components/") and reference.count("/") == _COMPONENT


def _write_out(document: dict[str, Any], node: Any, place: Path, inside: frozenset[str]) -> None:
    """Replace references below `node` that lead to no component by what they lead to."""
    for path, reference in list(references(node, place)):
        if _is_component(reference):
            continue
        target = copy.deepcopy(_object(resolve(document, reference, path), path))
        if reference in inside:
            raise Fault(f"$ref {reference!r} contains itself; make it a component", path)
        above = node
        for key in path[len(place) : -1]:
            above = above[key]
        beside = {key: value for key, value in above.items() if key != "$ref"}
        above.clear()
        above.update(target | beside)
        _write_out(document, above, path[:-1], inside | {reference})


def _mapped(node: Any, place: Path) -> Iterator[tuple[Path, str]]:
    """Yield the schemas that discriminators name, by reference or by name alone."""
    if isinstance(node, dict):
        discriminator = node.get("discriminator")
        mapping = discriminator.get("mapping") if isinstance(discriminator, dict) else None
        if isinstance(mapping, dict):
            for tag, named in mapping.items():
                path = (*place, "discriminator", "mapping", tag)
                if not str(named).startswith("#"):
                    mapping[tag] = pointer("components", "schemas", str(named))
                yield path, mapping[tag]
        for key, value in node.items():
            yield from _mapped(value, (*place, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _mapped(value, (*place, index))


def _object(node: Any, path: Path) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise Fault("is no object", path)
    return node
