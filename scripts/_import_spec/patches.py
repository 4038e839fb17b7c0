"""Apply our reasoned differences: an OpenAPI Overlay document, strictly."""

from __future__ import annotations

from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse
from oas_patch.overlay import apply_overlay

from _openapi.document import pointer
from _openapi.refusal import Refusal, shorten

_VERBS = {"update", "remove"}


def apply(document: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return `document` after every action of `overlay`, in order.

    Stricter than the specification, which lets an action without a match pass in silence: a target
    that matches nothing, an action that does nothing, or one without a reason (`description`), is a
    `Refusal`.
    """
    actions = overlay.get("actions", [])
    if not isinstance(actions, list):
        raise Refusal("must be a list", pointer=pointer("actions"))
    for index, action in enumerate(actions):
        try:
            document = _apply(document, action)
        except Refusal as refusal:
            raise Refusal(refusal.message, pointer=pointer("actions", index)) from refusal
    return document


def _apply(document: dict[str, Any], action: Any) -> dict[str, Any]:
    if not isinstance(action, dict) or not isinstance(target := action.get("target"), str):
        raise Refusal("an action needs a target: a JSONPath")
    if not str(action.get("description", "")).strip():
        raise Refusal("an action needs a description: the reason why we differ")
    if unknown := sorted(action.keys() - {"target", "description", *_VERBS}):
        raise Refusal(f"an action has no {unknown[0]!r}")
    if len(action.keys() & _VERBS) != 1:
        raise Refusal(f"an action does one of {', '.join(sorted(_VERBS))}")
    try:
        found = parse(target).find(document)
    except (JSONPathError, AttributeError) as error:  # Its lexer stumbles over some that are none.
        raise Refusal(f"{target} is no JSONPath: {shorten(str(error), 100)}") from error
    if not found:
        raise Refusal(f"the target {target} matches nothing")
    try:
        patched: dict[str, Any] = _unshared(apply_overlay(document, {"actions": [action]}))
    except (AttributeError, TypeError, ValueError) as error:
        raise Refusal(f"cannot be applied to {target}: {error}") from error
    return patched


def _unshared(node: Any) -> Any:
    """Return a copy in which no two places are one object.

    The library puts the very same update at every match: a later action on one would change all.
    """
    if isinstance(node, dict):
        return {key: _unshared(value) for key, value in node.items()}
    return [_unshared(value) for value in node] if isinstance(node, list) else node
