"""Schedules in files.

    seed = 7

    [[fault]]
    kind = "drop"
    when = "after"
    operation = "Evaluations_log"
    nth = [1, 3]

A `[[fault]]` has a `kind`, what that kind takes, and what a `Rule` takes.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import NOTHING, fields

from evrun.server.api.faults.schedule import KINDS, InvalidScheduleError, Rule, Schedule, wrong

if TYPE_CHECKING:
    import os

_HEADER = re.compile(r"\s*\[\[\s*fault\s*\]\]")
_CHOOSING = [each.name for each in fields(Rule) if each.name != "fault"]


def read_schedule(path: str | os.PathLike[str]) -> Schedule:
    """Return the schedule in a TOML file.

    Raises `InvalidScheduleError`, which names the file, the line and the key.
    """
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidScheduleError(f"{name}: cannot be read ({reason}).") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidScheduleError(f"{name}: {error}.") from error
    try:
        schedule = _schedule(document, text)
    except InvalidScheduleError as error:
        raise InvalidScheduleError(f"{name}, {error}", error.key) from error
    if not schedule.rules:
        raise InvalidScheduleError(f"{name}: no fault is planned. Write a [[fault]].", "fault")
    return schedule


def _schedule(document: dict[str, Any], text: str) -> Schedule:
    lines = text.splitlines()
    try:
        tables, seed = _tables(document), Schedule(seed=document.get("seed", 0)).seed
    except InvalidScheduleError as error:
        raise _placed(error, _line(lines, error.key)) from error
    rules: list[Rule] = []
    for number, table in enumerate(tables):
        try:
            rules.append(_rule(table))
        except InvalidScheduleError as error:
            line = _line_in_table(lines, len(tables), number, error.key)
            raise _placed(error, line, f"fault {number + 1}: ") from error
    return Schedule(rules, seed=seed)


def _tables(document: dict[str, Any]) -> list[dict[str, Any]]:
    for key in document.keys() - {"seed", "fault"}:
        raise InvalidScheduleError(f"{key}: unknown here; expected seed and [[fault]].", key)
    tables = document.get("fault", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise InvalidScheduleError("fault: expected tables, each as [[fault]].", "fault")
    return tables


def _placed(error: InvalidScheduleError, line: int | None, more: str = "") -> InvalidScheduleError:
    place = "" if line is None else f"line {line}, "
    return InvalidScheduleError(f"{place}{more}{error}", error.key)


def _rule(table: dict[str, Any]) -> Rule:
    given = dict(table)
    if "kind" not in given:
        raise InvalidScheduleError(f"kind is missing: {_kinds()}.", "kind")
    name = given.pop("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise wrong("kind", name, _kinds())
    own = fields(kind)
    known = [*(each.name for each in own), *_CHOOSING]
    for key in given.keys() - set(known):
        raise InvalidScheduleError(f"{key}: unknown; {name} takes {', '.join(known)}.", key)
    for each in own:
        if each.default is NOTHING and each.name not in given:
            raise InvalidScheduleError(f"{each.name} is missing: {name} needs it.", each.name)
    fault = kind(**{each.name: given.pop(each.name) for each in own if each.name in given})
    return Rule(fault, **given)


def _kinds() -> str:
    return f"one of {', '.join(KINDS)}"


def _line(lines: list[str], key: str | None) -> int | None:
    """Return the number of the line that gives `key` a value."""
    form = re.compile(rf"""\s*["']?{re.escape(key or "")}["']?\s*=""")
    return next((number for number, line in enumerate(lines, 1) if form.match(line)), None)


def _line_in_table(lines: list[str], tables: int, number: int, key: str | None) -> int | None:
    """Return the line of a key in the table with this number, or that of the table's header."""
    headers = [index for index, line in enumerate(lines) if _HEADER.match(line)]
    if len(headers) != tables:
        return None  # an inline list, or a text that looks like a header
    start = headers[number]
    end = headers[number + 1] if number + 1 < tables else len(lines)
    return start + (_line(lines[start:end], key) or 1)
