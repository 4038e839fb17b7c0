"""Turn what upstream says about ids in prose into something a machine can check.

`Starts with `evrun_`.` in a description becomes `x-id-prefix: evrun_` at that site; `expand` then
gives every such site its `pattern` and `maxLength`. The two steps are apart so that a patch can
say `x-id-prefix` where the prose is silent.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from _openapi.document import Fault, pointer
from _openapi.refusal import Refusal, shorten
from _openapi.walk import LITERAL, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _openapi.document import Path

PREFIX = "x-id-prefix"
ALSO = "x-id-prefix-also"
"""Further prefixes that the same site takes."""

BODY = "[A-Za-z0-9_-]+"
MAX_LENGTH = 128

_QUOTE = "(?:<code>|</code>|[`'\"*“”\u2018\u2019])*"
_NAME = rf"{_QUOTE}([A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*[_-])(?![A-Za-z0-9_-]){_QUOTE}"
_SAYS = r"\b(?:starts?|starting|begins?|beginning|prefixed)\s+(?:with|by)\b"
_LEAD_IN = r"(?:\s+(?:either|one of|any of|the prefix(?:es)?|a prefix of|prefix))*:?\s+"
_AND = r"(?:\s*,\s*(?:or\s+)?|\s*[/|]\s*|\s+(?:or|and)\s+)(?:with\s+)?"
_SOUNDS = re.compile(_SAYS, re.IGNORECASE)
_PROSE = re.compile(rf"{_LEAD_IN}({_NAME}(?:{_AND}{_NAME})*)", re.IGNORECASE)
_ONE = re.compile(_NAME)
_NEGATED = re.compile(r"(?:\bnot|n't|\bcannot|\bnever)\s+$", re.IGNORECASE)
_LITERAL_START = re.compile(
    r"\^\(?(?:\?:)?((?:[A-Za-z0-9_-]+\|)*[A-Za-z0-9_-]+)(?:\)(?![?*+{])|[\[\\.(]|\$|$)"
)
"""The start of a pattern that says its prefixes outright: `^(evrun_|ev_)[a-z]+$`."""


class Doubt(NamedTuple):
    """A place where the prose sounds like a prefix and does not settle it."""

    path: Path
    said: str
    pattern: str | None = None
    """Upstream's own pattern, which may say otherwise."""


def mark(document: dict[str, Any]) -> tuple[dict[str, Any], list[Doubt]]:
    """Write `x-id-prefix` beside every description that names a prefix, on the string schema.

    Two prefixes that contradict each other, or a pattern that does, are a `Refusal`.
    """
    doubts: list[Doubt] = []
    _mark(document, document, (), doubts)
    return document, doubts


def undecided(document: dict[str, Any], doubts: list[Doubt]) -> Iterator[str]:
    """Yield the doubts that no patch has settled since, by giving the site a pattern."""
    for doubt in doubts:
        place = pointer(*doubt.path)
        try:
            node = resolve(document, place)
        except Fault:  # A patch has removed it.
            continue
        site = copy.deepcopy(node.get("schema", node) if isinstance(node, dict) else node)
        patterns = [each.get("pattern") for each in _strings(document, site)]
        if not patterns or {None, doubt.pattern}.intersection(patterns):
            yield f"{place}: {doubt.said}"


def prefixes(description: str) -> tuple[list[str], str]:
    """Return the prefixes that prose names, or the words that sound like one and settle nothing."""
    text = " ".join(description.split())
    found: list[str] = []
    for said in _SOUNDS.finditer(text):
        match = _PROSE.match(text, said.end())
        names = _ONE.findall(match[1]) if match else []
        negated = _NEGATED.search(text, 0, said.start())
        if negated or not names or (found and names != found):
            return [], shorten(text[said.start() :], 60)
        found = names
    return found, ""


def _mark(document: dict[str, Any], node: Any, path: Path, doubts: list[Doubt]) -> None:
    if isinstance(node, list):
        for index, value in enumerate(node):
            _mark(document, value, (*path, index), doubts)
    if not isinstance(node, dict):
        return
    description = node.get("description")
    if isinstance(description, str):
        found, vain = prefixes(description)
        sites = list(_strings(document, node.get("schema", node))) if found else []
        if vain:
            doubts.append(Doubt(path, f"no prefix in {vain!r}"))
        elif found and not sites:
            doubts.append(Doubt(path, f"{found[0]} is said of no string"))
        for site in sites:
            _write(site, found, path, doubts)
    for key, value in node.items():
        if key not in LITERAL and not key.startswith("x-"):
            _mark(document, value, (*path, key), doubts)


def _write(site: dict[str, Any], found: list[str], path: Path, doubts: list[Doubt]) -> None:
    known = [site[PREFIX], *site.get(ALSO, [])] if PREFIX in site else found
    if known != found:
        raise Refusal(
            f"the prose names both {' or '.join(known)} and {' or '.join(found)}",
            pointer=pointer(*path),
        )
    if isinstance(pattern := site.get("pattern"), str):
        start = _LITERAL_START.match(pattern)
        if start is None:
            said = f"{found[0]} is not seen in the pattern {shorten(pattern, 60)}"
            doubts.append(Doubt(path, said, pattern))
        elif not all(_within(each, found) for each in start[1].split("|")):
            raise Refusal(
                f"the prose names {' or '.join(found)}, but the pattern is {shorten(pattern, 60)}",
                pointer=pointer(*path),
            )
    site[PREFIX] = found[0]
    if found[1:]:
        site[ALSO] = found[1:]


def _within(start: str, found: list[str]) -> bool:
    return any(start.startswith(prefix) for prefix in found)


def _strings(document: dict[str, Any], schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the string schemas that an id at this site stands in: itself, items, alternatives.

    A referenced string is written out: its prefix is said here, and not wherever else it is used.
    """
    if not isinstance(schema, dict) or "enum" in schema:
        return
    if isinstance(reference := schema.get("$ref"), str):
        target = resolve(document, reference)
        if isinstance(target, dict) and target.get("type") == "string" and "enum" not in target:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema.clear()
            schema.update(target | beside)
    kinds = schema.get("type")
    if kinds == "string" or (isinstance(kinds, list) and "string" in kinds):
        yield schema
    elif "items" in schema:
        yield from _strings(document, schema["items"])
    for key in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(key, ()):
            yield from _strings(document, each)


def expand(node: Any) -> Any:
    """Give every site with `x-id-prefix` its `pattern` and `maxLength`, unless they are set.

    Match the pattern in full: in Python `$` lets a trailing newline pass.
    """
    if isinstance(node, list):
        return [expand(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {key: expand(value) for key, value in node.items()}
    if isinstance(node.get(PREFIX), str):
        names = [re.escape(each) for each in (node[PREFIX], *node.get(ALSO, []))]
        alternatives = names[0] if len(names) == 1 else f"({'|'.join(names)})"
        node.setdefault("maxLength", MAX_LENGTH)
        node.setdefault("pattern", f"^{alternatives}{BODY}$")
    return node
