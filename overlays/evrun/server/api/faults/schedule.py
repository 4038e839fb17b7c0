"""Which requests go wrong, and how: values, checked when they are made. No I/O, no state.

Every attempt is a request of its own, also one that repeats another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from attrs import field, fields, frozen

from evrun.errors import ConfigurationError
from evrun.server.api.operations import PREFIX
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from attrs import Attribute

When = Literal["before", "after"]
"""Before the request is carried out, which then never happens; or after it was, durably."""

LONGEST = 86400
"""Seconds of a delay: a day, which no client waits."""
METHODS = ("DELETE", "GET", "PATCH", "POST")


class InvalidScheduleError(ConfigurationError):
    """A schedule says something that cannot be done; `key` is where."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def wrong(key: str, value: object, expected: str) -> InvalidScheduleError:
    """Return the error for a value that will not do."""
    return InvalidScheduleError(f"{key}={value!r}: expected {expected}.", key)


def _one_of(*allowed: str) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise wrong(attribute.name, value, " or ".join(map(repr, allowed)))

    return check


def _whole(least: int, most: int | None = None) -> Any:
    bounds = f"from {least} to {most}" if most else f"from {least} up"

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if not _is_whole(value, least) or (most is not None and value > most):  # type: ignore[operator]
            raise wrong(attribute.name, value, f"a whole number {bounds}")

    return check


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(least: float, most: float) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:  # type: ignore[operator]
            raise wrong(attribute.name, value, f"a number from {least:g} to {most:g}")

    return check


def _unless_none(check: Any) -> Any:
    def optional(instance: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None:
            check(instance, attribute, value)

    return optional


_WHEN = _one_of(*get_args(When))


@frozen
class Status:
    """An error is answered: instead of carrying the request out, or although it was."""

    status: int = field(validator=_whole(400, 599))
    retry_after: int | None = field(default=None, kw_only=True, validator=_unless_none(_whole(0)))
    """Seconds, in a `Retry-After` header."""
    when: When = field(default="before", kw_only=True, validator=_WHEN)

    def __str__(self) -> str:
        asked = "" if self.retry_after is None else f", Retry-After {self.retry_after}"
        return f"status {self.status}{asked} {_in_time(self.when)}"


@frozen
class Delay:
    """The request arrives late, or its answer does."""

    seconds: float = field(validator=_number(0, LONGEST))
    when: When = field(default="before", kw_only=True, validator=_WHEN)

    def __str__(self) -> str:
        return f"delay of {self.seconds:g} s {_in_time(self.when)}"


@frozen
class Drop:
    """The connection is closed without an answer."""

    when: When = field(default="before", validator=_WHEN)

    def __str__(self) -> str:
        return f"drop {_in_time(self.when)}"


@frozen
class Duplicate:
    """The request is delivered twice, one after the other; the second answer is sent."""

    def __str__(self) -> str:
        return "duplicate delivery"


@frozen
class Truncate:
    """The request is carried out, and the connection closed in the middle of the answer's body.

    An answer without a body is dropped whole.
    """

    keep: int | None = field(default=None, validator=_unless_none(_whole(0)))
    """Bytes of the body that are sent, fewer than it has; half of it by default."""

    def __str__(self) -> str:
        kept = "half" if self.keep is None else f"{self.keep} bytes"
        return f"body truncated to {kept}"


Fault: TypeAlias = Status | Delay | Drop | Duplicate | Truncate

KINDS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in get_args(Fault)}
"""The kinds of faults, by the name that a file gives them."""


def _in_time(when: When) -> str:
    return f"{when} the commit"


def _check_fault(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple(KINDS.values())):
        raise wrong(
            attribute.name, value, f"one of {', '.join(k.__name__ for k in KINDS.values())}"
        )


def _check_operation(_: object, attribute: Attribute[Any], value: object) -> None:
    if value not in OPERATIONS:
        near = get_close_matches(str(value), OPERATIONS, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidScheduleError(
            f"{attribute.name}={value!r}: the contract has no such operation{hint or '.'}",
            attribute.name,
        )


def _check_path(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.startswith((f"{PREFIX}/", "*")):
        raise wrong(attribute.name, value, f"a path such as {PREFIX}/evaluations/*/log")


def _numbers(value: Iterable[int] | int | None) -> tuple[int, ...] | None:
    """Return one number or several as a tuple; what is neither is for the check to refuse."""
    if value is None:
        return None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    return cast("tuple[int, ...]", (value,))


def _check_numbers(_: object, attribute: Attribute[Any], value: tuple[object, ...]) -> None:
    if not (value and all(_is_whole(each, 1) for each in value)):
        given = value[0] if len(value) == 1 else list(value)
        raise wrong(attribute.name, given, "a whole number from 1 up, or a list of them")


@frozen
class Rule:
    """A fault, and the requests that meet it: those for which everything holds that is given.

    - `operation`: the contract's operationId, such as `Evaluations_log`.
    - `method`: such as `POST`.
    - `path`: as on the wire, without the query; `*` stands for anything: `/v4/evaluations/*/log`.
    - `nth`: which of the requests that match those three, counted from 1: a number or several.
    - `probability`: from 0 to 1, for each of them. The schedule's seed settles which.
    """

    fault: Fault = field(validator=_check_fault)
    operation: str | None = field(
        default=None, kw_only=True, validator=_unless_none(_check_operation)
    )
    method: str | None = field(
        default=None, kw_only=True, validator=_unless_none(_one_of(*METHODS))
    )
    path: str | None = field(default=None, kw_only=True, validator=_unless_none(_check_path))
    nth: tuple[int, ...] | None = field(
        default=None,
        kw_only=True,
        converter=_numbers,
        validator=_unless_none(_check_numbers),
    )
    probability: float | None = field(
        default=None, kw_only=True, validator=_unless_none(_number(0, 1))
    )

    def matches(self, method: str, path: str, operation: str | None) -> bool:
        """Whether a request is one of those that are counted."""
        return (
            self.operation in {None, operation}
            and self.method in {None, method}
            and (self.path is None or fnmatchcase(path, self.path))
        )

    def __str__(self) -> str:
        chosen = {
            each.name: getattr(self, each.name)
            for each in fields(Rule)
            if each.name != "fault" and getattr(self, each.name) is not None
        }
        if self.nth:
            chosen["nth"] = ",".join(map(str, self.nth))
        which = " ".join(f"{name}={value}" for name, value in chosen.items())
        return f"{self.fault}: {which or 'every request'}"


def _check_rules(_: object, attribute: Attribute[Any], value: tuple[object, ...]) -> None:
    for rule in value:
        if not isinstance(rule, Rule):
            raise wrong(attribute.name, rule, "rules only")


def _in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rules)


@frozen
class Schedule:
    """Rules in order: the first that takes a request decides. One seed settles every chance."""

    rules: tuple[Rule, ...] = field(default=(), converter=_in_order, validator=_check_rules)
    seed: int = field(default=0, kw_only=True, validator=_whole(0))


@cache
def _addresses() -> list[tuple[str, re.Pattern[str], str]]:
    return [
        (each.method, re.compile(PREFIX + re.sub(r"\{\w+\}", "[^/]+", each.path)), each.id)
        for each in OPERATIONS.values()
    ]


def operation_of(method: str, path: str) -> str | None:
    """Return the id of the operation that a request asks for, None if there is none."""
    return next(
        (name for verb, form, name in _addresses() if verb == method and form.fullmatch(path)), None
    )
