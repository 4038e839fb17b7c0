"""What each kind of change means to whoever calls the API: the whole policy, as one table.

A request is what callers send: tightening it breaks them, widening it does not. A response is what
they get: taking something away breaks them, widening it is a risk that no type-checker sees.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal, NamedTuple

from attrs import frozen

Direction = Literal["request", "response", "operation"]


class Severity(IntEnum):
    """How bad a change is, for callers of the client. Worse is greater."""

    DESCRIPTION = 0
    """Only words changed."""
    COMPATIBLE = 1
    RISK = 2
    """What compiles today still compiles, and may meet what it does not expect."""
    BREAKING = 3


class Rule(NamedTuple):
    """The severity of one kind of change in one direction, and what to tell people."""

    severity: Severity
    sentence: str
    addition: bool = False
    """Whether callers gain something, which makes it a minor release."""


@frozen(order=True)
class Change:
    """One difference, seen from one operation."""

    operation: str
    place: str
    kind: str
    severity: Severity
    sentence: str
    addition: bool = False
    old: Any = None
    new: Any = None


_WIDTH = 120  # characters of a value within a sentence

_BREAKING, _RISK, _FINE = Severity.BREAKING, Severity.RISK, Severity.COMPATIBLE

RULES: dict[tuple[Direction, str], Rule] = {
    ("operation", "operation-removed"): Rule(_BREAKING, "The operation is gone."),
    ("operation", "operation-added"): Rule(_FINE, "A new operation.", addition=True),
    ("operation", "operation-renamed"): Rule(
        _BREAKING, "Generated functions are named for the operationId: {old} is now {new}."
    ),
    ("operation", "operation-moved"): Rule(
        _BREAKING, "It is called at another address: {old} is now {new}."
    ),
    ("operation", "deprecated"): Rule(_FINE, "It is deprecated now: look for its successor."),
    ("operation", "security-changed"): Rule(
        _BREAKING, "The credentials that were enough are not any more: {old} is now {new}."
    ),
    ("operation", "security-widened"): Rule(
        _FINE, "Further credentials are accepted: {new}.", addition=True
    ),
    ("operation", "parameter-removed"): Rule(_BREAKING, "The parameter is gone."),
    ("operation", "parameter-added"): Rule(_FINE, "A new optional parameter.", addition=True),
    ("operation", "parameter-added-required"): Rule(
        _BREAKING, "A new parameter that must be sent."
    ),
    ("operation", "parameter-became-required"): Rule(_BREAKING, "It must be sent now."),
    ("operation", "parameter-became-optional"): Rule(_FINE, "It may be left out now."),
    ("operation", "parameter-renamed"): Rule(
        _BREAKING, "The name in the path, and so the argument's, is now {new}; it was {old}."
    ),
    ("operation", "parameter-style"): Rule(
        _BREAKING, "It is written differently into the URL: {old} is now {new}."
    ),
    ("operation", "body-added"): Rule(_FINE, "A body may be sent now.", addition=True),
    ("operation", "body-added-required"): Rule(_BREAKING, "A body must be sent now."),
    ("operation", "body-removed"): Rule(_BREAKING, "No body is taken any more."),
    ("operation", "body-became-required"): Rule(_BREAKING, "The body must be sent now."),
    ("operation", "body-became-optional"): Rule(_FINE, "The body may be left out now."),
    ("operation", "request-media-removed"): Rule(_BREAKING, "{old} is not taken any more."),
    ("operation", "request-media-added"): Rule(_FINE, "{new} is taken too.", addition=True),
    ("operation", "response-media-removed"): Rule(_BREAKING, "{old} is not answered any more."),
    ("operation", "response-media-added"): Rule(_RISK, "It can answer {new} too."),
    ("operation", "response-added"): Rule(_RISK, "It can answer {new} now."),
    ("operation", "response-removed"): Rule(_FINE, "It does not answer {old} any more."),
    ("operation", "success-added"): Rule(_RISK, "A success can be {new} now."),
    ("operation", "success-removed"): Rule(_BREAKING, "A success is not {old} any more."),
    ("operation", "header-removed"): Rule(_RISK, "The answer lacks the header {old} now."),
    ("operation", "header-added"): Rule(
        _FINE, "The answer has the header {new} now.", addition=True
    ),
    ("operation", "servers-changed"): Rule(_RISK, "The API's address is {new}; it was {old}."),
    ("operation", "description"): Rule(Severity.DESCRIPTION, "The words changed."),
    # --- What callers send -----------------------------------------------------------------------
    ("request", "property-removed"): Rule(_BREAKING, "The field is not taken any more."),
    ("request", "property-added"): Rule(_FINE, "A new optional field.", addition=True),
    ("request", "property-added-required"): Rule(_BREAKING, "A new field that must be sent."),
    ("request", "became-required"): Rule(_BREAKING, "The field must be sent now."),
    ("request", "became-optional"): Rule(_FINE, "The field may be left out now."),
    ("request", "type-changed"): Rule(_BREAKING, "It must be {new} now; it was {old}."),
    ("request", "type-narrowed"): Rule(_BREAKING, "It takes {new} only; it took {old}."),
    ("request", "type-widened"): Rule(_FINE, "It takes {new}; it took {old}.", addition=True),
    ("request", "became-nullable"): Rule(_FINE, "Null is taken now.", addition=True),
    ("request", "no-longer-nullable"): Rule(_BREAKING, "Null is not taken any more."),
    ("request", "enum-grew"): Rule(_FINE, "It takes {new} too.", addition=True),
    ("request", "enum-shrank"): Rule(_BREAKING, "It does not take {old} any more."),
    ("request", "enum-introduced"): Rule(_BREAKING, "It takes {new} only."),
    ("request", "enum-lifted"): Rule(_FINE, "It takes any value now, not only {old}."),
    ("request", "pattern-added"): Rule(_BREAKING, "It must match {new}."),
    ("request", "pattern-removed"): Rule(_FINE, "It need not match {old} any more."),
    ("request", "pattern-changed"): Rule(
        _RISK, "It must match {new} now; it was {old}. Which of them takes more is not decided."
    ),
    ("request", "limit-tightened"): Rule(_BREAKING, "{new} now; it was {old}."),
    ("request", "limit-loosened"): Rule(_FINE, "{new} now; it was {old}."),
    ("request", "format-changed"): Rule(_RISK, "Its format is {new}; it was {old}."),
    ("request", "default-changed"): Rule(_RISK, "Left out, it means {new} now; it meant {old}."),
    ("request", "further-fields-refused"): Rule(_BREAKING, "Unknown fields are refused now."),
    ("request", "further-fields-allowed"): Rule(_FINE, "Unknown fields are allowed now."),
    ("request", "variant-removed"): Rule(_BREAKING, "The variant {old} is not taken any more."),
    ("request", "variant-added"): Rule(_FINE, "The variant {new} is taken too.", addition=True),
    ("request", "deprecated"): Rule(_FINE, "The field is deprecated now."),
    ("request", "description"): Rule(Severity.DESCRIPTION, "The words changed."),
    # --- What callers get ------------------------------------------------------------------------
    ("response", "property-removed"): Rule(_BREAKING, "The field is gone."),
    ("response", "property-added"): Rule(_FINE, "A new field.", addition=True),
    ("response", "property-added-required"): Rule(
        _FINE, "A new field that always comes.", addition=True
    ),
    ("response", "became-required"): Rule(_FINE, "The field always comes now."),
    ("response", "became-optional"): Rule(_RISK, "The field can be missing now."),
    ("response", "type-changed"): Rule(_BREAKING, "It is {new} now; it was {old}."),
    ("response", "type-narrowed"): Rule(_FINE, "It is {new} only; it was {old}."),
    ("response", "type-widened"): Rule(_RISK, "It can be {new}; it was {old}."),
    ("response", "became-nullable"): Rule(_RISK, "It can be null now."),
    ("response", "no-longer-nullable"): Rule(_FINE, "It is never null any more."),
    ("response", "enum-grew"): Rule(_RISK, "It can be {new} too."),
    ("response", "enum-shrank"): Rule(_FINE, "It is not {old} any more."),
    ("response", "enum-introduced"): Rule(_FINE, "It is one of {new}."),
    ("response", "enum-lifted"): Rule(_RISK, "It can be any value now, not only {old}."),
    ("response", "pattern-added"): Rule(_FINE, "It always matches {new}."),
    ("response", "pattern-removed"): Rule(_RISK, "It need not match {old} any more."),
    ("response", "pattern-changed"): Rule(_RISK, "It matches {new} now; it was {old}."),
    ("response", "limit-tightened"): Rule(_FINE, "{new} now; it was {old}."),
    ("response", "limit-loosened"): Rule(_RISK, "{new} now; it was {old}."),
    ("response", "format-changed"): Rule(_RISK, "Its format is {new}; it was {old}."),
    ("response", "default-changed"): Rule(_RISK, "Missing, it means {new} now; it meant {old}."),
    ("response", "further-fields-refused"): Rule(_FINE, "No unknown fields come any more."),
    ("response", "further-fields-allowed"): Rule(_RISK, "Unknown fields can come now."),
    ("response", "variant-removed"): Rule(_FINE, "The variant {old} does not come any more."),
    ("response", "variant-added"): Rule(_RISK, "The variant {new} can come too."),
    ("response", "deprecated"): Rule(_FINE, "The field is deprecated now."),
    ("response", "description"): Rule(Severity.DESCRIPTION, "The words changed."),
}


def judge(
    direction: Direction, kind: str, operation: str, place: str, *, old: Any = None, new: Any = None
) -> Change:
    """Return the change of this kind, judged."""
    rule = RULES[direction, kind]
    sentence = rule.sentence.format(old=_shown(old), new=_shown(new))
    return Change(operation, place, kind, rule.severity, sentence, rule.addition, old, new)


def bump(changes: list[Change]) -> str:
    """Return which part of the semantic version the changes move: https://semver.org."""
    if any(change.severity is Severity.BREAKING for change in changes):
        return "major"
    if any(change.severity is Severity.RISK or change.addition for change in changes):
        return "minor"
    return "patch" if changes else "none"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
