"""Compare two documents, operation by operation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from _openapi.walk import operations
from _spec_diff.normal import resolve
from _spec_diff.policy import Change, Direction, judge
from _spec_diff.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WHOLE = "(document)"
"""The operation of what concerns all of them."""

_JSON = "application/json"


def diff(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Return every change, by operation, worst first. Raises `Refusal` for unusable references."""
    found = {_key(change): change for change in _Comparison(old, new).changes()}
    return [found[key] for key in sorted(found)]


def _key(change: Change) -> tuple[str, int, str, str, str]:
    # A place that several ways lead to is one place.
    return change.operation, -change.severity, change.place, change.kind, change.sentence


class _Operation:
    """An operation with what its path says for it."""

    def __init__(self, document: dict[str, Any], path: str, method: str, raw: Any) -> None:
        item = document["paths"][path]
        self.document, self.path, self.method, self.raw = document, path, method, raw
        self.name = str(raw.get("operationId") or f"{method.upper()} {path}")
        self.address = f"{method.upper()} {path}"
        self.key = f"{method} {re.sub(r'{[^}]*}', '{}', path)}"
        self.parameters: dict[tuple[str, str], Any] = {}
        for each in [*item.get("parameters", ()), *raw.get("parameters", ())]:
            parameter = resolve(document, each)[1]
            self.parameters[parameter["in"], parameter["name"]] = parameter
        # Names in a path are compared by their place in it.
        self.path_names = re.findall(r"{([^}]*)}", path)

    @property
    def responses(self) -> dict[str, Any]:
        found: dict[str, Any] = self.raw.get("responses", {})
        return found

    @property
    def security(self) -> Any:
        return self.raw.get("security", self.document.get("security", []))


class _Comparison:
    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self._old, self._new = old, new
        self._schemas = Schemas(old, new)

    def changes(self) -> Iterator[Change]:
        """Yield every change."""
        servers = [
            [each.get("url") for each in d.get("servers", ())] for d in (self._old, self._new)
        ]
        if servers[0] != servers[1]:
            yield judge(
                "operation", "servers-changed", WHOLE, "servers", old=servers[0], new=servers[1]
            )
        before, after = _by_key(self._old), _by_key(self._new)
        pairs, gone, come = _pairs(before, after)
        for each in gone:
            yield judge("operation", "operation-removed", each.name, each.address, old=each.address)
        for each in come:
            yield judge("operation", "operation-added", each.name, each.address, new=each.address)
        for one, other in pairs:
            yield from self._operation(one, other)

    def _operation(self, old: _Operation, new: _Operation) -> Iterator[Change]:
        name = new.name

        def say(kind: str, place: str, before: Any = None, after: Any = None) -> Change:
            return judge("operation", kind, name, place, old=before, new=after)

        if old.key != new.key:
            yield say("operation-moved", new.address, old.address, new.address)
        if old.raw.get("operationId") != new.raw.get("operationId"):
            yield say("operation-renamed", new.address, old.name, new.name)
        if new.raw.get("deprecated") and not old.raw.get("deprecated"):
            yield say("deprecated", new.address)
        if _words(old.raw) != _words(new.raw):
            yield say("description", new.address, _words(old.raw), _words(new.raw))
        yield from self._security(old, new)
        yield from self._parameters(old, new)
        yield from self._body(old, new)
        yield from self._responses(old, new)

    def _security(self, old: _Operation, new: _Operation) -> Iterator[Change]:
        # Each alternative is a set of schemes, and none at all is an alternative of its own.
        before, after = (
            {tuple(sorted(each)) for each in one.security} or {()} for one in (old, new)
        )
        shown = [[" and ".join(each) or "none" for each in sorted(one)] for one in (before, after)]
        if before - after:
            kind = "security-changed"
        elif after - before:
            kind = "security-widened"
        else:
            return
        yield judge("operation", kind, new.name, "security", old=shown[0], new=shown[1])

    def _parameters(self, old: _Operation, new: _Operation) -> Iterator[Change]:
        renamed = {
            ("path", one): ("path", other)
            for one, other in zip(old.path_names, new.path_names, strict=False)
            if one != other
        }
        kept = {renamed.get(key, key) for key in old.parameters}
        for key, parameter in new.parameters.items():
            if key not in kept:
                must = parameter.get("required")
                kind = "parameter-added-required" if must else "parameter-added"
                yield judge("operation", kind, new.name, " ".join(key))
        for key, parameter in old.parameters.items():
            other = new.parameters.get(renamed.get(key, key))
            if other is None:
                yield judge("operation", "parameter-removed", new.name, " ".join(key))
            else:
                yield from self._parameter(new.name, parameter, other)

    def _parameter(self, operation: str, old: Any, new: Any) -> Iterator[Change]:
        place = f"{new['in']} {new['name']}"

        def say(kind: str, before: Any = None, after: Any = None) -> Change:
            return judge("operation", kind, operation, place, old=before, new=after)

        if old["name"] != new["name"]:
            yield say("parameter-renamed", old["name"], new["name"])
        if bool(old.get("required")) != bool(new.get("required")):
            yield say(
                "parameter-became-required" if new.get("required") else "parameter-became-optional"
            )
        styles = [_style(old), _style(new)]
        if styles[0] != styles[1]:
            yield say("parameter-style", *styles)
        if new.get("deprecated") and not old.get("deprecated"):
            yield say("deprecated")
        if _words(old) != _words(new):
            yield say("description", _words(old), _words(new))
        yield from self._schema("request", operation, place, _schema(old), _schema(new))

    def _body(self, old: _Operation, new: _Operation) -> Iterator[Change]:
        before, after = (
            resolve(one.document, one.raw["requestBody"])[1] if "requestBody" in one.raw else None
            for one in (old, new)
        )
        kind = None
        if before is None and after is not None:
            kind = "body-added-required" if after.get("required") else "body-added"
        elif before is not None and after is None:
            kind = "body-removed"
        elif before is not None and after is not None:
            if bool(before.get("required")) != bool(after.get("required")):
                kind = "body-became-required" if after.get("required") else "body-became-optional"
            yield from self._content("request", new.name, "request", before, after)
        if kind:
            yield judge("operation", kind, new.name, "request")

    def _responses(self, old: _Operation, new: _Operation) -> Iterator[Change]:
        before, after = (
            {
                status: resolve(one.document, each)[1]
                for status, each in one.raw["responses"].items()
            }
            for one in (old, new)
        )
        for status in sorted(before.keys() | after.keys()):
            place = f"response {status}"
            what = "success" if status.startswith("2") else "response"
            if status not in after:
                yield judge("operation", f"{what}-removed", new.name, place, old=status)
            elif status not in before:
                yield judge("operation", f"{what}-added", new.name, place, new=status)
            else:
                yield from self._headers(new.name, place, before[status], after[status])
                yield from self._content("response", new.name, place, before[status], after[status])

    def _headers(self, operation: str, place: str, old: Any, new: Any) -> Iterator[Change]:
        before, after = old.get("headers", {}), new.get("headers", {})
        for name in sorted(before.keys() - after.keys()):
            yield judge("operation", "header-removed", operation, place, old=name)
        for name in sorted(after.keys() - before.keys()):
            yield judge("operation", "header-added", operation, place, new=name)

    def _content(
        self, direction: Direction, operation: str, place: str, old: Any, new: Any
    ) -> Iterator[Change]:
        before, after = old.get("content", {}), new.get("content", {})
        for media in sorted(before.keys() - after.keys()):
            yield judge("operation", f"{direction}-media-removed", operation, place, old=media)
        for media in sorted(after.keys() - before.keys()):
            yield judge("operation", f"{direction}-media-added", operation, place, new=media)
        for media in sorted(before.keys() & after.keys()):
            where = place if media == _JSON else f"{place} ({media})"
            one, other = before[media].get("schema", {}), after[media].get("schema", {})
            yield from self._schema(direction, operation, where, one, other)

    def _schema(
        self, direction: Direction, operation: str, place: str, old: Any, new: Any
    ) -> Iterator[Change]:
        for finding in self._schemas.compare(old, new):
            yield judge(
                direction,
                finding.kind,
                operation,
                place + finding.place,
                old=finding.old,
                new=finding.new,
            )


def _by_key(document: dict[str, Any]) -> dict[str, _Operation]:
    found = (_Operation(document, *each) for each in operations(document))
    return {each.key: each for each in found}


def _pairs(
    before: Mapping[str, _Operation], after: Mapping[str, _Operation]
) -> tuple[list[tuple[_Operation, _Operation]], list[_Operation], list[_Operation]]:
    """Pair operations by address, and those that moved by their operationId."""
    pairs = [(before[key], after[key]) for key in before if key in after]
    gone = {each.name: each for key, each in before.items() if key not in after}
    come = {each.name: each for key, each in after.items() if key not in before}
    moved = [(gone.pop(name), come.pop(name)) for name in list(gone) if name in come]
    return pairs + moved, list(gone.values()), list(come.values())


def _schema(parameter: Any) -> Any:
    """Return the schema of a parameter, which may stand below a media type."""
    if "schema" in parameter:
        return parameter["schema"]
    content = parameter.get("content", {})
    return next((each.get("schema", {}) for each in content.values()), {})


def _style(parameter: Any) -> str:
    default = "form" if parameter["in"] in {"query", "cookie"} else "simple"
    style = parameter.get("style", default)
    explode = parameter.get("explode", style == "form")
    written = f" as {', '.join(parameter['content'])}" if "content" in parameter else ""
    return f"{style}{', exploded' if explode else ''}{written}"


def _words(node: Any) -> str:
    return " ".join(f"{node.get('summary', '')} {node.get('description', '')}".split())
