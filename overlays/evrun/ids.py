"""Typed ids: every id of the contract is a `str` that knows which resource it names.

An id is a prefix and one or more of `A-Z a-z 0-9 _ -`, at most 128 characters in all
(`x-id-prefix` in the contract). The class statements below are the only table of prefixes; a rule
test compares them with the contract, in both directions.

Ids are `str` subclasses: JSON, `==`, `hash`, pickle, copy and pydantic treat them as text. The
constructor checks the value, so a `LogId` is always a log's id.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from evrun._base.yaml import dump_as_text
from evrun.errors import InvalidIdError

if TYPE_CHECKING:
    from typing import Never, Self

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = [
    "ConfigId",
    "DatapointId",
    "DatasetId",
    "DirectoryId",
    "EvaluateeId",
    "EvaluationRunId",
    "EvaluatorId",
    "EvaluatorVersionId",
    "FeedbackId",
    "Id",
    "LinkedToolId",
    "LogId",
    "PlainStr",
    "ProjectId",
    "ReferenceId",
    "SessionId",
    "TeamId",
    "UserId",
    "parse_id",
]

MAX_LENGTH = 128
"""Characters of a whole id, prefix included."""

_BODY = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(r"\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*")
_LEADING_PREFIX = re.compile(r"[a-z]+_")
_SHOWN = 60  # characters of a refused value in a message

_NAMES = {
    " ": "a space",
    "\n": "a newline",
    "\t": "a tab",
    "/": "a slash",
    "%": "a percent sign",
    "…": "'…', as in a documentation's example,",
}

_BY_PREFIX: dict[str, type[Id]] = {}


class PlainStr(Protocol):
    """An ordinary `str`: what a parameter takes besides its own id type.

    Every id type hides one `str` method from type-checkers, and so does not match this protocol. A
    checker accepts `log("evrun_…")`, and reports `log(logged.id)`, which passes a log's id as a
    run's id.
    """

    def isidentifier(self) -> bool: ...  # noqa: D102 - see the class


class Id(str):
    """The base of all id types.

    `Id` itself cannot be made: `parse_id` picks the type by the prefix.
    """

    __slots__ = ()
    prefixes: ClassVar[tuple[str, ...]] = ()
    """The canonical prefix comes first; empty for ids without a prefix."""
    noun: ClassVar[str]
    """With its article, for messages: `a log id`."""
    foreign: ClassVar[bool] = True
    """Whether an id without a prefix may begin with the prefix of another resource."""

    if TYPE_CHECKING:
        # See PlainStr. No program calls this method of an id.
        def isidentifier(self, _: Never) -> bool: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: D102

    def __init_subclass__(
        cls,
        *,
        noun: str,
        prefix: str = "",
        also: tuple[str, ...] = (),
        usual: str = "",
        foreign: bool = True,
    ) -> None:
        """Add the class to the table of prefixes.

        Servers usually give a `usual` prefix to ids of this type, but do not promise it. It
        identifies the type, and an id without it is valid.
        """
        super().__init_subclass__()
        cls.noun = noun
        cls.prefixes = (prefix, *also) if prefix else ()
        cls.foreign = foreign
        for each in (*cls.prefixes, *([usual] if usual else [])):
            if _BY_PREFIX.setdefault(each, cls) is not cls:
                raise TypeError(f"{each} already names {_BY_PREFIX[each].__name__}")

    def __new__(cls, value: object) -> Self:
        """Return `value` as an id of this type. Raises `InvalidIdError`."""
        return cls.parse(value)

    @classmethod
    def parse(cls, value: object, parameter: str = "") -> Self:
        """Return `value` as an id of this type; an error names it as `parameter`.

        Raises `InvalidIdError`.
        """
        if type(value) is cls:
            return value
        if cls is Id:
            raise TypeError("Id is the base of all ids: call parse_id, or a type such as LogId")
        text = _text(value)
        if not cls.accepts(text):
            raise cls.refusal(value, parameter)
        return str.__new__(cls, text)

    @classmethod
    def accepts(cls, value: object) -> bool:
        """Whether `value` is an id of this type."""
        text = _text(value)
        if text is None or len(text) > MAX_LENGTH:
            return False
        if not cls.prefixes:
            return _TOKEN.fullmatch(text) is not None and (
                cls.foreign or _type_of(text) in {None, cls}
            )
        return any(
            text.startswith(prefix) and _BODY.fullmatch(text, len(prefix))
            for prefix in cls.prefixes
        )

    @classmethod
    def refusal(cls, value: object, parameter: str = "") -> InvalidIdError:
        """Return the error for a `value` that `parse` refuses."""
        return _refusal(cls, value, parameter)

    @classmethod
    def fault(cls, value: object) -> str:
        """Say what is wrong with a `value` that `parse` refuses."""
        return _fault(cls, value)

    @classmethod
    def expected(cls) -> str:
        """Describe an id of this type, in words."""
        if not cls.prefixes:
            but = "" if cls.foreign else ", without the prefix of another resource"
            return (
                f"{cls.noun}: letters, digits and any of _ - . ~ : @, "
                f"at most {MAX_LENGTH} characters, not '.' or '..'{but}"
            )
        starts = " or ".join(f"'{prefix}'" for prefix in cls.prefixes)
        return (
            f"{cls.noun}: {starts} followed by letters, digits, '_' or '-', "
            f"at most {MAX_LENGTH} characters"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str.__repr__(self)})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Only pydantic calls this, so it is installed; see its "Customizing validation".
        from pydantic_core import core_schema  # noqa: PLC0415

        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(strict=True),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        if not cls.prefixes:
            pattern = f"^{_others(cls)}{_TOKEN.pattern}$"
        elif len(cls.prefixes) == 1:
            pattern = f"^{cls.prefixes[0]}{_BODY.pattern}$"
        else:
            pattern = f"^({'|'.join(cls.prefixes)}){_BODY.pattern}$"
        return {**handler(schema), "maxLength": MAX_LENGTH, "pattern": pattern}


class EvaluationRunId(Id, prefix="evrun_", also=("ev_",), noun="an evaluation run id"):
    """Names an evaluation run.

    `ev_…` is an older spelling of the same syntax. evrun never rewrites one into the other: use
    the id in the run's response.
    """


class EvaluateeId(Id, prefix="evv_", noun="an evaluatee or evaluator version id"):
    """Names an evaluatee of a run. The contract uses the same prefix for evaluator versions."""


EvaluatorVersionId = EvaluateeId
"""The same prefix, so the same type: the two cannot be distinguished."""


class EvaluatorId(Id, prefix="evfn_", noun="an evaluator id"):
    """Names an evaluator."""


class DatasetId(Id, prefix="evts_", noun="a dataset id"):
    """Names a dataset."""


class LogId(Id, prefix="data_", noun="a log id"):
    """Names a log. `data_` does not name a datapoint: a `DatapointId` has no prefix."""


class ProjectId(Id, prefix="pr_", noun="a project id"):
    """Names a project."""


class SessionId(Id, prefix="sesh_", noun="a session id"):
    """Names a session."""


class ConfigId(Id, prefix="config_", noun="a model config id"):
    """Names a model config, or a tool's or evaluator's."""


class LinkedToolId(Id, prefix="oc_", noun="a linked tool id"):
    """Names a tool that an organisation shares."""


class DirectoryId(Id, prefix="dir_", noun="a directory id"):
    """Names a directory of projects."""


class UserId(Id, prefix="usr_", noun="a user id"):
    """Names a user."""


class TeamId(Id, prefix="tm_", noun="a team id"):
    """Names a team."""


class FeedbackId(Id, prefix="ann_", noun="a feedback id"):
    """Names a piece of feedback (an annotation)."""


class DatapointId(Id, noun="a datapoint id", usual="evtc_", foreign=False):
    """Names a row of a dataset.

    The contract documents no prefix: any single path segment is valid, unless it begins with the
    prefix of another resource. Servers use `evtc_…`.
    """


class ReferenceId(Id, noun="a log id or a reference of your own"):
    """Names a parent log by its id, or by the `reference_id` that you chose."""


def _others(cls: type[Id]) -> str:
    """Return the part of a pattern that refuses the prefixes of other resources."""
    if cls.foreign:
        return ""
    return f"(?!{'|'.join(each for each, kind in _BY_PREFIX.items() if kind is not cls)})"


def parse_id(value: object, parameter: str = "") -> Id:
    """Return `value` as the id type that its prefix names: `parse_id("data_x")` is a `LogId`.

    Raises `InvalidIdError` for an unknown prefix; an error names the value as `parameter`.
    """
    text = _text(value)
    id_type = None if text is None else _type_of(text)
    if id_type is None:
        raise _refusal(None, value, parameter)
    return id_type.parse(value, parameter)


def _text(value: object) -> str | None:
    """Return the text of a `str`, or None for another type.

    A subclass may override `str()`: for a member of an enum it returns the name.
    """
    if type(value) is str:
        return value
    return str.__str__(cast("str", value)) if issubclass(type(value), str) else None


def _type_of(value: str) -> type[Id] | None:
    match = _LEADING_PREFIX.match(value)
    return _BY_PREFIX.get(match.group()) if match else None


def _refusal(cls: type[Id] | None, value: object, parameter: str) -> InvalidIdError:
    expected = cls.expected() if cls else f"an id that begins with one of {', '.join(_BY_PREFIX)}"
    text = _text(value)
    swapped = text is not None and _other_type(cls, text)
    hint = "; did you swap arguments?" if swapped else "."
    return InvalidIdError(
        f"{parameter or 'id'}: {_fault(cls, value)}{hint} Expected {expected}.",
        parameter=parameter or None,
        value=_repr(value) if text is None else text,
        expected=expected,
    )


def _fault(cls: type[Id] | None, value: object) -> str:
    """Say what is wrong with `value`, the likeliest mistake first."""
    if value is None:
        return "got None"
    text = _text(value)
    if text is None:
        return f"got {_repr(value)} ({type(value).__name__}), not a string"
    return _fault_of_text(cls, text)


def _fault_of_text(cls: type[Id] | None, value: str) -> str:  # noqa: PLR0911 - one line a fault
    if not value:
        return "got an empty string"
    shown = _shown(repr(value))
    if value != value.strip():
        return f"{shown} has white space around it; strip it"
    if other := _other_type(cls, value):
        return f"`{value}` is {other.noun}"
    if len(value) > MAX_LENGTH:
        return f"{shown} is {len(value)} characters long"
    if cls and value in cls.prefixes:
        return f"{shown} is a prefix with nothing after it"
    if cls and cls.prefixes and not value.startswith(cls.prefixes):
        return f"{shown} does not begin with '{cls.prefixes[0]}'"
    actual = cls or _type_of(value)
    if actual is None:
        return f"{shown} has no prefix that evrun knows"
    if value in {".", ".."}:
        return f"{shown} would change the path"
    return f"{shown} contains {_culprit(actual, value)}"


def _other_type(cls: type[Id] | None, value: str) -> type[Id] | None:
    """Return the type of `value` if it is the id of another resource."""
    actual = _type_of(value)
    if actual is None or actual is cls:
        return None
    if actual.accepts(value):
        return actual
    # If any token may be an id, only the prefix shows the resource.
    misplaced = cls is not None and not cls.foreign and _TOKEN.fullmatch(value)
    return actual if misplaced and len(value) <= MAX_LENGTH else None


def _culprit(cls: type[Id], value: str) -> str:
    """Name the first invalid character and its position."""
    allowed = _BODY if cls.prefixes else _TOKEN
    for position, character in enumerate(value):
        if not allowed.fullmatch(character) and not (allowed is _TOKEN and character == "."):
            return f"{_name(character)} at position {position}"
    return "nothing but dots"


def _name(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if not character.isprintable():
        return f"the control character U+{ord(character):04X}"
    kind = "the character" if character.isascii() else "the non-ASCII character"
    return f"{kind} {character!r}"


def _repr(value: object) -> str:
    try:
        return _shown(reprlib.repr(value))
    except Exception:  # noqa: BLE001 - the object's own code
        return f"a {type(value).__name__}"


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


dump_as_text(Id)
