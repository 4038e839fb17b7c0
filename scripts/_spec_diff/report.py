"""Write changes down: for a terminal, for a program, for a comment on a pull request."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from _spec_diff.policy import Severity, bump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _spec_diff.policy import Change

_WORDS = {
    Severity.BREAKING: "breaking",
    Severity.RISK: "risk",
    Severity.COMPATIBLE: "compatible",
    Severity.DESCRIPTION: "description",
}


def text(changes: list[Change]) -> str:
    """Return a block for each operation, worst first, and a summary."""
    lines: list[str] = []
    for operation, each in _by_operation(changes):
        lines.append(operation)
        lines += [
            f"  {_WORDS[change.severity]:<11}  {change.place}: {change.sentence} ({change.kind})"
            for change in each
        ]
        lines.append("")
    return "\n".join([*lines, summary(changes)]) + "\n"


def markdown(changes: list[Change]) -> str:
    """Return the same as tables."""
    lines = ["# Changes of the API", "", summary(changes)]
    for operation, each in _by_operation(changes):
        lines += [
            "",
            f"## {_cell(operation)}",
            "",
            "| severity | place | change |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {_WORDS[change.severity]} | `{_cell(change.place)}` | {_cell(change.sentence)} |"
            for change in each
        ]
    return "\n".join(lines) + "\n"


def as_json(changes: list[Change]) -> str:
    """Return `{"bump", "counts", "changes"}`."""
    return (
        json.dumps(
            {
                "bump": bump(changes),
                "counts": _counts(changes),
                "changes": [
                    {
                        "operation": change.operation,
                        "place": change.place,
                        "kind": change.kind,
                        "severity": _WORDS[change.severity],
                        "sentence": change.sentence,
                        "old": change.old,
                        "new": change.new,
                    }
                    for change in changes
                ],
            },
            ensure_ascii=False,
            indent=2,
        )
        + "\n"
    )


def summary(changes: list[Change]) -> str:
    """Return one line: how many of each severity, and which version follows."""
    if not changes:
        return "No change."
    counts = ", ".join(f"{number} {word}" for word, number in _counts(changes).items() if number)
    total = "1 change" if len(changes) == 1 else f"{len(changes)} changes"
    return f"{total}: {counts}. Next version: {bump(changes)}."


def _counts(changes: list[Change]) -> dict[str, int]:
    return {
        word: sum(change.severity is severity for change in changes)
        for severity, word in _WORDS.items()
    }


def _by_operation(changes: list[Change]) -> Iterator[tuple[str, list[Change]]]:
    for operation, each in groupby(changes, key=lambda change: change.operation):
        yield operation, list(each)


def _cell(content: str) -> str:
    """Return text that stays within a cell, and inert: documents are untrusted."""
    escaped = content.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.replace("`", "'").split())
