"""Values that are no JSON, or pretend to be: what a request body must survive."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import uuid
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final

import attrs
import pydantic

from evrun_api.models import ChatMessageWithToolCall


class Made(Mapping[str, Any]):
    """A mapping whose entries are made when they are asked for."""

    def __init__(self, value: Any, names: tuple[str, ...] = ("a", "b")) -> None:
        self._value, self._names = value, names

    def __getitem__(self, name: str) -> Any:
        return self._value()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Levels(Made):
    def __init__(self) -> None:
        super().__init__(Levels)


class Endless(Made):
    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())


class Unreadable(Made):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError


class Converts:
    def to_dict(self) -> object:
        raise RuntimeError


class Liar:
    """Says that it is a dict."""

    __class__ = dict  # type: ignore[assignment]


class Meta(type):
    def __getattr__(cls, name: str) -> object:
        raise RuntimeError


class Guarded(metaclass=Meta):
    def __getattr__(self, name: str) -> object:
        raise RuntimeError


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError

    def __hash__(self) -> int:
        return 1


class Broken(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        raise RuntimeError

    dst = tzname = utcoffset  # type: ignore[assignment]


class Shade(enum.Enum):
    DARK = "dark"


@dataclasses.dataclass
class Point:
    x: int = 1


@attrs.frozen
class Spot:
    x: int = 1


class Place(pydantic.BaseModel):
    x: int = 1


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    return cycle


def _deep(levels: int) -> Any:
    deep: Any = {}
    for _ in range(levels):
        deep = {"a": deep}
    return deep


def _laughs() -> list[Any]:
    """Return a few hundred lists that are 10**80 values to whoever writes them down."""
    laughs: list[Any] = ["ha"]
    for _ in range(80):
        laughs = [laughs] * 10
    return laughs


def _message_in_itself() -> ChatMessageWithToolCall:
    message = ChatMessageWithToolCall(role="user")
    message.additional_properties["x"] = message
    return message


INSIDE: Final = "more than 100 lists and mappings lie inside one another here, or one holds itself."
AGAIN: Final = "more than 50000 values are repetitions of the same list or mapping, or "
PLAIN: Final = "pass str(value), or what it holds as a dict, list, text or number."

HOSTILE: Final[dict[str, tuple[Any, str]]] = {
    "cycle": (_cycle(), f"…: {INSIDE}"),
    "3000 levels": (_deep(3000), f"…: {INSIDE}"),
    "a model in itself": (_message_in_itself(), f"…: {INSIDE}"),
    "endless levels": (Levels(), f"…: {INSIDE}"),
    "a billion laughs": (_laughs(), f"…: {AGAIN}"),
    "the same text again and again": (["x" * 10**6] * 10**5, "[67]: the body holds more than 671"),
    "an endless mapping": (Endless(int), f": {AGAIN}"),
    "a mapping that raises": (
        Unreadable(int),
        ": the mapping (Unreadable) raised RuntimeError when it was read.",
    ),
    "a value that raises": (
        Made(lambda: 1 // 0),
        ": the mapping (Made) raised ZeroDivisionError when it was read.",
    ),
    "its own to_dict": (Converts(), ": JSON has no Converts; pass value.to_dict()."),
    "a liar": (Liar(), f": JSON has no Liar; {PLAIN}"),
    "a metaclass": (Guarded(), f": JSON has no Guarded; {PLAIN}"),
    "an odd key": ({Silent(): 1}, ": the key Silent is not a text, as JSON's keys are."),
    "a number as key": ({1: 2}, ": the key 1 (int) is not a text, as JSON's keys are."),
    "a key of half a pair": ({"\udfff": 1}, ": the text has half of a surrogate pair (U+DFFF)"),
    "half a pair": (["x\ud800"], "[0]: the text has half of a surrogate pair (U+D800) at posi"),
    "NaN": (
        {"a": [float("nan")]},
        ".a[0]: nan cannot be sent as JSON; send a finite number, or le",
    ),
    "5000 digits": (10**5000, ": the number has more than 4300 digits."),
    "no zone": (datetime(2024, 1, 1), ": 2024-01-01T00:00:00 has no time zone; use datetime.now("),  # noqa: DTZ001
    "a broken zone": (
        datetime(2024, 1, 1, tzinfo=Broken()),
        ": 2024-01-01T00:00:00 cannot be converted to UTC (RuntimeError).",
    ),
    "beyond time": (
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        ": 9999-12-31T23:59:59.999999 cannot be converted to UTC (OverflowError).",
    ),
    "an object": (object(), f": JSON has no object; {PLAIN}"),
    "bytes": (b"x", ": JSON has no bytes; pass value.decode()."),
    "a set": ({1}, ": JSON has no set; pass list(value)."),
    "an endless generator": ((n for n in itertools.count()), ": JSON has no generator; pass list("),
    "a day": (date(2024, 1, 1), ": JSON has no date; pass value.isoformat()."),
    "a decimal": (Decimal("0.1"), ": JSON has no Decimal; pass float(value), or str(value)."),
    "an enum": (Shade.DARK, ": JSON has no Shade; pass value.value."),
    "a dataclass": (Point(), ": JSON has no Point; pass dataclasses.asdict(value)."),
    "an attrs class": (Spot(), ": JSON has no Spot; pass attrs.asdict(value)."),
    "a pydantic model": (Place(), ': JSON has no Place; pass value.model_dump(mode="json").'),
    "a UUID": (uuid.UUID(int=1), f": JSON has no UUID; {PLAIN}"),
}
"""By name: a value, and how its refusal goes on after the place; `…` stands for many levels."""
