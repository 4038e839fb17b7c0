"""Apply our reasoned differences: an OpenAPI Overlay document, strictly."""

from __future__ import annotations

from typing import Any

from jsonpath_ng.ext.parser import parse
from oas_patch.overlay import apply_overlay

from _openapi.document import pointer
from _openapi.refusal import Refusal


def apply(document: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return `document` after every action of `overlay`, in order.

    Stricter than the specification, which lets an action without a match pass in silence: a target
    that matches nothing, or an action without a reason (`description`), is a `Refusal`.
    """
    for index, action in enumerate(overlay.get("actions", [])):
        place = pointer("actions", index)
        if not str(action.get("description", "")).strip():
            raise Refusal("an action needs a description: the reason why we differ", pointer=place)
        if not parse(action["target"]).find(document):
            raise Refusal(f"the target {action['target']} matches nothing", pointer=place)
        document = _unshared(apply_overlay(document, {"actions": [action]}))
    return document


def _unshared(node: Any) -> Any:
    """Return a copy in which no two places are one object.

    The library puts the very same update at every match: a later action on one would change all.
    """
    if isinstance(node, dict):
        return {key: _unshared(value) for key, value in node.items()}
    return [_unshared(value) for value in node] if isinstance(node, list) else node
