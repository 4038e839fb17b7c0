"""From what a caller hands over to JSON data, without trusting it. No I/O.

Only types are asked what they are: `hasattr` on an object may run the object's code. What may be
more than the caller holds in memory (a container that occurs again, a mapping that makes its
entries) is limited. So no object costs more than milliseconds beyond its own size.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from inspect import getattr_static
from typing import Any, Final

from evrun.errors import InvalidRequestError

MOST_LEVELS: Final = 100
"""Lists and mappings inside one another, in JSON that the contract does not describe."""
MOST_AGAIN: Final = 50_000
"""Values that are not in memory once each: they occur again, or a mapping makes them."""
MOST_TEXT: Final = 64 * 1024 * 1024
"""Characters in one body. The server takes 10 MiB, unless it is told otherwise."""

_TOO_LARGE: Final = 10**4300  # Python writes no longer whole number
_SHOWN: Final = 60  # characters of a value that a message repeats
_STEPS: Final = 12  # of a place that a message names

_HINTS: Final = (
    ("__dataclass_fields__", "pass dataclasses.asdict(value)"),
    ("model_dump", 'pass value.model_dump(mode="json")'),
    ("__attrs_attrs__", "pass attrs.asdict(value)"),
    ("tolist", "pass value.tolist()"),  # numpy's arrays, pandas' series
    ("item", "pass value.item()"),  # single numbers of other libraries
    ("to_dict", "pass value.to_dict()"),
    ("isoformat", "pass value.isoformat()"),
    ("decode", "pass value.decode()"),
    ("__next__", "pass list(value)"),
    ("__iter__", "pass list(value)"),
)


class Misfit(Exception):  # noqa: N818 - it becomes an error when its place is known
    """Why a value cannot be sent. The place is collected from the inside out."""

    def __init__(self, problem: str, *, field: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self._field = field
        self._steps: list[str | int] = []

    def within(self, step: str | int) -> None:
        """Note that the value stands in an entry of something larger."""
        self._steps.append(step)

    def place(self, parameter: str) -> str:
        """Return where the value stands: `log.messages[0].content`."""
        steps = [
            f"[{step}]" if isinstance(step, int) else f".{step[:_SHOWN]}"
            for step in reversed(self._steps)
        ]
        if len(steps) > _STEPS:
            steps[_STEPS:] = ["…"]
        return f"{parameter}{''.join(steps)}".removeprefix(".")

    def told(self) -> str:
        """Return the place, as far as it is known, and the problem."""
        return f"{self.place('')}: {self.problem}".removeprefix(": ")

    def error(self, parameter: str) -> InvalidRequestError:
        """Return the error for a value in the argument `parameter`."""
        place = self.place(parameter)
        field = f"{place}.{self._field}" if self._field else place
        return InvalidRequestError(f"{place}: {self.problem}.", parameter=field)


class Walk:
    """One way through a body: it takes the values, and counts what they cost."""

    __slots__ = ("_again", "_seen", "_text")

    def __init__(self) -> None:
        self._seen: dict[int, object] = {}  # containers by identity; they are held to keep it
        self._again = 0
        self._text = 0

    def take(self, value: Any) -> Any:
        """Return `value` as None, a bool, int, float, str, datetime in UTC, list or dict.

        What a list or dict holds is not taken yet. Raises `Misfit`.
        """
        kind = type(value)
        if kind is str:
            return self._as_text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return _whole(value)
        if kind is float:
            return _finite(value)
        if kind is dict or kind is list:
            self._enter(value, len(value))
            return value
        return self._other(value, kind)

    def _as_text(self, value: str) -> str:
        self._text += len(value)
        if self._text > MOST_TEXT:
            raise Misfit(f"the body holds more than {MOST_TEXT} characters up to here")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise Misfit(
                    f"the text has half of a surrogate pair (U+{ord(value[error.start]):04X}) at "
                    f"position {error.start}, which UTF-8 cannot carry; "
                    'value.encode("utf-8", "replace").decode() replaces it'
                ) from error
        return value

    def _enter(self, value: object, size: int) -> None:
        if id(value) in self._seen:
            self._charge(size + 1)
        else:
            self._seen[id(value)] = value

    def _charge(self, values: int) -> None:
        self._again += values
        if self._again > MOST_AGAIN:
            raise Misfit(
                f"more than {MOST_AGAIN} values are repetitions of the same list or mapping, or "
                "are made by a mapping while it is read; pass fewer, or plain copies"
            )

    def _other(self, value: Any, kind: type) -> Any:
        """Take what is not exactly of a type of JSON: subclasses, and what stands for JSON."""
        if issubclass(kind, str):
            return self._as_text(str.__str__(value))
        if issubclass(kind, int):
            return _whole(int.__int__(value))
        if issubclass(kind, float):
            return _finite(float.__float__(value))
        if issubclass(kind, datetime):
            return in_utc(value)
        entries = self._entries(value, kind)
        if entries is not None:
            self._enter(value, len(entries))
            return entries
        # A program that has a number of numpy's has imported numpy.
        generic: Any = getattr(sys.modules.get("numpy"), "generic", None)
        if generic is not None and issubclass(kind, generic):
            return _number_of_numpy(value, kind)
        raise Misfit(f"JSON has no {kind.__name__}; {_hint(kind)}")

    def _entries(self, value: Any, kind: type) -> dict[Any, Any] | list[Any] | None:
        if issubclass(kind, tuple):
            return [*tuple.__iter__(value)]
        if issubclass(kind, list):
            return [*list.__iter__(value)]
        if issubclass(kind, dict):
            return dict(dict.items(value))
        if is_generated(kind):
            return members(value, kind)
        if issubclass(kind, Mapping):
            return self._read(value)
        return None

    def _read(self, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the entries of a mapping whose own code makes them."""
        entries = {}
        try:
            for key in mapping:
                self._charge(1)
                entries[key] = mapping[key]
        except Misfit:
            raise
        except Exception as error:
            raise Misfit(
                f"the mapping ({type(mapping).__name__}) raised {type(error).__name__} when it was "
                "read"
            ) from error
        return entries


def plain(given: object, parameter: str) -> Any:
    """Return `given` as JSON data; `parameter` names it. Raises `InvalidRequestError`."""
    try:
        return data(given, Walk())
    except Misfit as misfit:
        raise misfit.error(parameter) from misfit.__cause__


def data(value: Any, walk: Walk, level: int = 0) -> Any:
    """Return `value` as JSON data that shares nothing with it. Raises `Misfit`."""
    value = walk.take(value)
    kind = type(value)
    if kind is list:
        return _list(value, walk, level + 1)
    if kind is dict:
        return _dict(value, walk, level + 1)
    return value.isoformat() if kind is datetime else value


def _list(entries: list[Any], walk: Walk, level: int) -> list[Any]:
    _check(level)
    made: list[Any] = []
    try:
        for each in entries:
            made.append(data(each, walk, level))  # noqa: PERF401 - its length says where it failed
    except Misfit as misfit:
        misfit.within(len(made))
        raise
    return made


def _dict(entries: dict[Any, Any], walk: Walk, level: int) -> dict[str, Any]:
    _check(level)
    made = {}
    for key, each in entries.items():
        name = key_text(key, walk)
        try:
            made[name] = data(each, walk, level)
        except Misfit as misfit:
            misfit.within(name)
            raise
    return made


def _check(level: int) -> None:
    if level > MOST_LEVELS:
        raise Misfit(
            f"more than {MOST_LEVELS} lists and mappings lie inside one another here, or one holds "
            "itself"
        )


def key_text(key: Any, walk: Walk) -> str:
    """Return the key of a mapping as JSON has it. Raises `Misfit`."""
    if not issubclass(type(key), str):
        raise Misfit(f"the key {described(key)} is not a text, as JSON's keys are")
    text: str = walk.take(key)
    return text


def is_generated(kind: type) -> bool:
    """Whether `kind` is a model of the generated client, whose import is left to the resources."""
    return kind.__module__.startswith("evrun_api.models.") and "__attrs_attrs__" in vars(kind)


def members(model: Any, kind: type) -> dict[str, Any]:
    """Return the fields of a generated model that are set, by their names in JSON."""
    # The generator appends "_" to the names of Python's builtins, such as `type`.
    fields = {
        attribute.name.removesuffix("_"): getattr(model, attribute.name)
        for attribute in vars(kind)["__attrs_attrs__"]
    }
    extra = fields.pop("additional_properties", {})
    return {**extra, **{name: each for name, each in fields.items() if not _is_unset(each)}}


def _is_unset(value: object) -> bool:
    return type(value).__name__ == "Unset"


def in_utc(value: datetime) -> datetime:
    """Return a moment in UTC: some zones had offsets of seconds, which RFC 3339 cannot say.

    Raises `Misfit`.
    """
    # Without the methods of a subclass: pandas' timestamps write nanoseconds.
    moment = datetime.combine(datetime.date(value), datetime.timetz(value))
    try:
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except Exception as error:  # a zone is an object of the caller's
        raise Misfit(
            f"{moment.replace(tzinfo=None).isoformat()} cannot be converted to UTC "
            f"({type(error).__name__})"
        ) from error
    raise Misfit(
        f"{moment.replace(tzinfo=None).isoformat()} has no time zone; "
        "use datetime.now(timezone.utc), or value.astimezone()"
    )


def described(value: Any) -> str:
    """Return `value` for a message: what it is, and of which type."""
    kind = type(value)
    if value is None:
        return "None"
    if kind is str:
        return f"{value[:_SHOWN]!r} (str)"
    if kind in {bool, float} or (kind is int and abs(value) < 10**_SHOWN):
        return f"{value} ({kind.__name__})"
    return kind.__name__


def _whole(value: int) -> int:
    if not -_TOO_LARGE < value < _TOO_LARGE:
        raise Misfit("the number has more than 4300 digits")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Misfit(f"{value} cannot be sent as JSON; send a finite number, or leave it out")
    return value


def _number_of_numpy(value: Any, kind: type) -> bool | int | float:
    match value.dtype.kind:
        case "b":
            return bool(value)
        case "i" | "u":
            return int(value)
        case "f":
            return _finite(float(value))
    raise Misfit(f"JSON has no {kind.__name__}; pass str(value)")


def _hint(kind: type) -> str:
    if issubclass(kind, Enum):
        return "pass value.value"
    if issubclass(kind, Decimal):
        return "pass float(value), or str(value)"
    if issubclass(kind, date):
        return "pass value.isoformat()"
    for name, hint in _HINTS:
        if getattr_static(kind, name, None) is not None:
            return hint
    return "pass str(value), or what it holds as a dict, list, text or number"
