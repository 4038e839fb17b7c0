"""Compare two schemas in one direction: what changed right there, and what lies below."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from _spec_diff.normal import LOWER, UPPER, Node, normalize, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[Any, Any]
"""An old schema and the new one at the same place."""


class Finding(NamedTuple):
    """A kind of change below a schema, before anybody says in which operation."""

    place: str
    kind: str
    old: Any = None
    new: Any = None


class Local(NamedTuple):
    """What a pair of components says by itself, and the pairs of components it leads to."""

    findings: tuple[Finding, ...]
    below: tuple[tuple[str, Pair], ...]


class Schemas:
    """Compares the schemas of two documents; each pair of components once for a direction."""

    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self._old, self._new = old, new
        self._known: dict[tuple[str, str], Local] = {}

    def compare(self, old: Any, new: Any) -> list[Finding]:
        """Return every finding below a pair, each at its shortest place.

        The nearest first, and each pair of components once: so cycles end.
        """
        found: list[Finding] = []
        seen: set[tuple[str, str]] = set()
        queue: list[tuple[int, str, int, Pair]] = [(0, "", 0, (old, new))]
        count = 0  # what comes first of two at the same place; schemas have no order
        while queue:
            _, place, _, pair = heappop(queue)
            names = self._names(pair)
            if names in seen:
                continue
            if names:
                seen.add(names)
            local = self._local(pair)
            found += [each._replace(place=place + each.place) for each in local.findings]
            for deeper, below in local.below:
                count += 1
                there = place + deeper
                heappush(queue, (there.count(".") + there.count("["), there, count, below))
        return found

    def _names(self, pair: Pair) -> tuple[str, str] | None:
        names = resolve(self._old, pair[0])[0], resolve(self._new, pair[1])[0]
        # Keys beside a reference make it a schema of its own.
        plain = all(isinstance(each, dict) and set(each) == {"$ref"} for each in pair)
        return (names[0], names[1]) if plain and names[0] and names[1] else None

    def _local(self, pair: Pair) -> Local:
        names = self._names(pair)
        if names and names in self._known:
            return self._known[names]
        findings: list[Finding] = []
        below: list[tuple[str, Pair]] = []
        self._walk(pair, "", findings, below)
        local = Local(tuple(findings), tuple(below))
        if names:
            self._known[names] = local
        return local

    def _walk(
        self, pair: Pair, place: str, findings: list[Finding], below: list[tuple[str, Pair]]
    ) -> None:
        old, new = normalize(self._old, pair[0]), normalize(self._new, pair[1])
        found = (*here(old, new), *self._variants(old, new))
        findings += [each._replace(place=place + each.place) for each in found]
        for deeper, child in self._children(old, new):
            if self._names(child):
                below.append((place + deeper, child))
            else:
                self._walk(child, place + deeper, findings, below)

    def _children(self, old: Node, new: Node) -> Iterator[tuple[str, Pair]]:
        for name in sorted(old.properties.keys() & new.properties.keys()):
            yield f".{name}", (old.properties[name], new.properties[name])
        if old.items is not None and new.items is not None:
            yield "[]", (old.items, new.items)
        if isinstance(old.further, dict) and isinstance(new.further, dict):
            yield ".*", (old.further, new.further)
        if old.variants and new.variants:
            yield from (("", pair) for pair in self._matched(old, new)[0])

    def _matched(self, old: Node, new: Node) -> tuple[list[Pair], list[Any], list[Any]]:
        """Pair the variants of two unions: by component first, then by what they look like."""
        rest_old, rest_new = list(old.variants), list(new.variants)
        pairs: list[Pair] = []
        for same in (_same_component, self._alike):
            for each in list(rest_old):
                other = next((o for o in rest_new if same(each, o)), None)
                if other is not None:
                    pairs.append((each, other))
                    rest_old.remove(each)
                    rest_new.remove(other)
        return pairs, rest_old, rest_new

    def _alike(self, old: Any, new: Any) -> bool:
        one, other = normalize(self._old, old), normalize(self._new, new)
        return one.types == other.types and (one.enum is None) == (other.enum is None)

    def _variants(self, old: Node, new: Node) -> Iterator[Finding]:
        """Yield the variants that only one of two unions has."""
        if not old.variants or not new.variants:
            return
        _, gone, come = self._matched(old, new)
        for each in gone:
            yield Finding("", "variant-removed", old=self._title(each, self._old))
        for each in come:
            yield Finding("", "variant-added", new=self._title(each, self._new))

    def _title(self, schema: Any, document: dict[str, Any]) -> str:
        name, _ = resolve(document, schema)
        return name.rsplit("/", 1)[1] if name else _types(normalize(document, schema))


def _same_component(old: Any, new: Any) -> bool:
    return isinstance(old, dict) and "$ref" in old and old.get("$ref") == new.get("$ref")


def here(old: Node, new: Node) -> Iterator[Finding]:
    """Yield what two nodes say differently, leaving alone what lies below them."""
    yield from _type(old, new)
    yield from _fields(old, new)
    if old.nullable != new.nullable and (old.types or old.variants):
        yield Finding("", "became-nullable" if new.nullable else "no-longer-nullable")
    yield from _enum(old, new)
    if old.pattern != new.pattern:
        kind = "added" if old.pattern is None else "removed" if new.pattern is None else "changed"
        yield Finding("", f"pattern-{kind}", old.pattern, new.pattern)
    if old.format != new.format:
        yield Finding("", "format-changed", old.format, new.format)
    if (old.default, old.has_default) != (new.default, new.has_default):
        yield Finding("", "default-changed", _default(old), _default(new))
    yield from _limits(old, new)
    if new.deprecated and not old.deprecated:
        yield Finding("", "deprecated")
    if old.description != new.description:
        yield Finding("", "description", old.description, new.description)


def _type(old: Node, new: Node) -> Iterator[Finding]:
    before, after = _kinds(old), _kinds(new)
    if before == after or (old.variants and new.variants):
        return
    if not after or (before and before < after):
        kind = "type-widened"
    elif not before or after < before:
        kind = "type-narrowed"
    else:
        kind = "type-changed"
    yield Finding("", kind, _types(old), _types(new))


def _kinds(node: Node) -> frozenset[str]:
    """Return the types that a node takes; an integer is a number too."""
    if node.variants and not node.types:
        return frozenset({"one of several"})
    return node.types | {"integer"} if "number" in node.types else node.types


def _types(node: Node) -> str:
    if node.variants and not node.types:
        return "one of several"
    return " or ".join(sorted(node.types)) or "anything"


def _fields(old: Node, new: Node) -> Iterator[Finding]:
    for name in sorted(old.properties.keys() - new.properties.keys()):
        yield Finding(f".{name}", "property-removed")
    for name in sorted(new.properties.keys() - old.properties.keys()):
        must = name in new.required
        yield Finding(f".{name}", "property-added-required" if must else "property-added")
    for name in sorted(old.properties.keys() & new.properties.keys()):
        if (name in old.required) != (name in new.required):
            kind = "became-required" if name in new.required else "became-optional"
            yield Finding(f".{name}", kind)
    if old.further is not False and new.further is False:
        yield Finding("", "further-fields-refused")
    if old.further is False and new.further is not False:
        yield Finding("", "further-fields-allowed")


def _enum(old: Node, new: Node) -> Iterator[Finding]:
    if old.enum is None and new.enum is not None:
        yield Finding("", "enum-introduced", new=list(new.enum))
    elif old.enum is not None and new.enum is None:
        yield Finding("", "enum-lifted", old=list(old.enum))
    elif old.enum is not None and new.enum is not None:
        if gone := [value for value in old.enum if value not in new.enum]:
            yield Finding("", "enum-shrank", old=gone)
        if come := [value for value in new.enum if value not in old.enum]:
            yield Finding("", "enum-grew", new=come)


def _limits(old: Node, new: Node) -> Iterator[Finding]:
    for key in (*LOWER, *UPPER):
        before, after = old.limits.get(key), new.limits.get(key)
        if before == after:
            continue
        if before is None or after is None:
            tighter = before is None
        else:
            tighter = after > before if key in LOWER else after < before
        kind = "limit-tightened" if tighter else "limit-loosened"
        yield Finding("", kind, _limit(key, before), _limit(key, after))


def _limit(key: str, value: float | None) -> str | None:
    return None if value is None else f"{key} {value:g}"


def _default(node: Node) -> Any:
    return node.default if node.has_default else None
