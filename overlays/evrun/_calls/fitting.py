"""Make generated request models of what a caller hands over: one converter for every model.

The models' annotations say what fits where, as `structure` reads those of results. Generated
`from_dict` checks nothing, drops what it does not know, and fails without saying where. Here the
first value that does not fit has its place, and each value is looked at once.
"""

from __future__ import annotations

import re
from datetime import datetime
from difflib import get_close_matches
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from evrun._transport.json_data import Misfit, Walk, data, described, in_utc, key_text
from evrun.ids import Id
from evrun_api import models
from evrun_api.types import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evrun.errors import InvalidRequestError

    Convert = Callable[[Any, Walk], Any]
    """Return a value as the generated model has it. Raises `Misfit`."""

Ids = tuple[tuple[str, type[Id]], ...]
"""Where ids stand: dots lead inside, lists are walked through."""

_EXTRA: Final = "additional_properties"  # the generator's own field beside the documented ones
_WORD: Final = re.compile(r"\w+").findall
_CLOSE: Final = 0.6  # how similar a name must be to be suggested, of 1


class _WrongId(Misfit):
    def __init__(self, kind: type[Id], value: object) -> None:
        super().__init__(kind.fault(value))
        self._kind, self._value = kind, value

    def error(self, parameter: str) -> InvalidRequestError:
        return self._kind.refusal(self._value, self.place(parameter))


def fitted(annotation: Any, given: object, parameter: str, ids: Ids = ()) -> Any:
    """Return `given` as the generated type; `parameter` names it. Raises `InvalidRequestError`."""
    try:
        return converter(annotation, ids=ids)(given, Walk())
    except Misfit as misfit:
        # How it was found explains nothing.
        raise misfit.error(parameter) from misfit.__cause__


def nearest(name: object, known: Sequence[str]) -> str:
    """Return a sentence's part that suggests a known name, empty if none is similar."""
    close = get_close_matches(name, known, n=1, cutoff=_CLOSE) if isinstance(name, str) else ()
    return f"; the nearest known one is {close[0]!r}" if close else ""


@cache
def converter(annotation: Any, kind: type[Id] | None = None, ids: Ids = ()) -> Convert:
    """Return what makes a value of the generated type `annotation`.

    Texts in it are ids of `kind`, if one is given, and `ids` stand inside it.
    """
    return data if annotation is Any else _Slot(annotation, kind, ids)


class _Slot:
    """Takes what fits one annotation, by the type of the value."""

    def __init__(self, annotation: Any, kind: type[Id] | None, ids: Ids) -> None:
        self._by_type: dict[type, Convert] = {}
        self._kind = kind
        self._words: list[str] = []
        choices: list[str] = []
        models_in: list[type] = []
        for member in _members(annotation):
            if member is NoneType:
                self._by_type[NoneType] = _same
            elif get_origin(member) is Literal:
                choices += get_args(member)
            elif get_origin(member) is list:
                self._add(list, _each(converter(*get_args(member), kind, ids)), "a list")
            elif member in _SCALARS:
                self._add(member, _id(kind) if member is str and kind else _same, _SCALARS[member])
            else:
                models_in.append(member)
        if choices and str not in self._by_type:
            self._add(str, _choice(choices), " or ".join(map(repr, choices)))
        if models_in:
            self._add(dict, _one_of([_model(each, ids) for each in models_in]), _mapping(models_in))
        self._widen()

    def _add(self, kind: type, convert: Convert, words: str) -> None:
        self._by_type[kind] = convert
        if kind is not int or float not in self._by_type:
            self._words.append(words)

    def _widen(self) -> None:
        """Take what says the same in JSON: 2 is a number, 2.0 a whole one, a moment is a text."""
        if float in self._by_type:
            self._by_type.setdefault(int, _same)
        elif int in self._by_type:
            self._by_type[float] = _whole
        if datetime in self._by_type:
            self._by_type[str] = _moment

    def __call__(self, value: Any, walk: Walk) -> Any:
        taken = walk.take(value)
        convert = self._by_type.get(type(taken))
        if convert is not None:
            return convert(taken, walk)
        if self._kind is not None:
            raise _WrongId(self._kind, value)
        raise Misfit(f"got {described(value)}, expected {' or '.join(self._words)}")


_SCALARS: Final[dict[Any, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    datetime: "a moment",
}


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, UnionType}:
        yield from (each for each in get_args(annotation) if each is not Unset)
    else:
        yield annotation


def _mapping(kinds: list[type]) -> str:
    if len(kinds) > 1 or len(attrs.fields(kinds[0])) == 1:
        return "a mapping"
    name = kinds[0].__name__
    article = "an" if name[0] in "AEIOU" else "a"
    return f"a mapping of the documented fields or {article} {name}"


def _same(value: Any, _: Walk) -> Any:
    return value


def _id(kind: type[Id]) -> Convert:
    def convert(value: str, _: Walk) -> str:
        if not kind.accepts(value):
            raise _WrongId(kind, value)
        return value

    return convert


def _choice(choices: list[str]) -> Convert:
    def convert(value: str, _: Walk) -> str:
        if value not in choices:
            raise Misfit(
                f"got {described(value)}, expected {' or '.join(map(repr, choices))}"
                f"{nearest(value, choices)}"
            )
        return value

    return convert


def _whole(value: float, _: Walk) -> int:
    if not value.is_integer():
        raise Misfit(f"got {described(value)}, expected a whole number")
    return int(value)


def _moment(value: str, _: Walk) -> datetime | str:
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise Misfit(
            f"got {described(value)}, expected a datetime, or a text such as '2024-05-01T12:30:00Z'"
        ) from None
    return moment.isoformat() if moment.tzinfo is None else in_utc(moment)


def _each(convert_one: Convert) -> Convert:
    def convert(entries: list[Any], walk: Walk) -> list[Any]:
        made: list[Any] = []
        try:
            for each in entries:
                made.append(convert_one(each, walk))  # noqa: PERF401 - its length says where it failed
        except Misfit as misfit:
            misfit.within(len(made))
            raise
        return made

    return convert


def _one_of(several: list[_Model]) -> Convert:
    """Return what makes the model that a mapping fits; its `type` and the like decide first."""
    if len(several) == 1:
        return several[0]

    def convert(entries: dict[Any, Any], walk: Walk) -> Any:
        closest = max(each.match(entries) for each in several)
        refused: list[tuple[_Model, Misfit]] = []
        for each in several:
            if each.match(entries) == closest:
                try:
                    return each(entries, walk)
                except Misfit as misfit:
                    refused.append((each, misfit))
        if len(refused) == 1:
            raise refused[0][1]
        reasons = " nor ".join(f"{each.name} ({misfit.told()})" for each, misfit in refused)
        raise Misfit(f"it fits neither {reasons}")

    return convert


@cache
def _model(model: Any, ids: Ids) -> _Model:
    return _Model(model, ids)


class _Model:
    """Makes a generated model of its fields by their names in JSON."""

    def __init__(self, model: Any, ids: Ids) -> None:
        self._model = model
        self._ids = ids
        self.name: str = model.__name__

    @cached_property
    def _hints(self) -> dict[str, Any]:
        # Modules import each other's models for type-checkers only.
        words = {word for text in self._model.__annotations__.values() for word in _WORD(text)}
        named = {word: getattr(models, word) for word in words & {*models.__all__}}
        return get_type_hints(self._model, localns=named)

    @cached_property
    def fields(self) -> dict[str, tuple[str, Convert]]:
        """By the name in JSON: the attribute, and what makes its value."""
        # The generator appends "_" to the names of Python's builtins, such as `type`.
        return {
            name.removesuffix("_"): (name, self._converter(name.removesuffix("_"), hint))
            for name, hint in self._hints.items()
            if name != _EXTRA
        }

    def _converter(self, name: str, hint: Any) -> Convert:
        kind = dict(self._ids).get(name)
        start = f"{name}."
        inside = tuple((p.removeprefix(start), t) for p, t in self._ids if p.startswith(start))
        return converter(hint, kind, inside)

    @cached_property
    def _extra(self) -> Convert | None:
        """What makes values beside the documented fields; None if there are none."""
        hint = self._hints.get(_EXTRA)
        return None if hint is None else converter(get_args(hint)[1])

    @cached_property
    def _unset(self) -> dict[str, Unset]:
        # Said of each field, because the generator gives some a default that would be sent.
        return {name: UNSET for name, _ in self.fields.values() if name not in self._required}

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(f.name for f in attrs.fields(self._model) if f.default is attrs.NOTHING)

    @cached_property
    def _choices(self) -> dict[str, tuple[str, ...]]:
        """The fields that only take certain texts."""
        choices = {}
        for name, (attribute, _) in self.fields.items():
            members = [*_members(self._hints[attribute])]
            if all(get_origin(member) is Literal for member in members):
                choices[name] = tuple(text for member in members for text in get_args(member))
        return choices

    def match(self, entries: dict[Any, Any]) -> int:
        """Return how many texts say that this model is meant, -1 if one says that it is not."""
        found = 0
        for name, choices in self._choices.items():
            value = entries.get(name, UNSET)
            if value is UNSET:
                found -= len(self._choices) + 1 if self.fields[name][0] in self._required else 0
            elif issubclass(type(value), str) and str.__str__(value) in choices:
                found += 1
            else:
                return -1
        return max(found, -1)

    def __call__(self, entries: dict[Any, Any], walk: Walk) -> Any:
        """Make the model. Raises `Misfit`."""
        made: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in entries.items():
            name = key_text(key, walk)
            if name in self.fields:
                attribute, convert = self.fields[name]
                into = made
            else:
                attribute, convert = name, self._extra_of(name)
                into = extra
            try:
                into[attribute] = convert(value, walk)
            except Misfit as misfit:
                misfit.within(name)
                raise
        for attribute in self._required:
            if attribute not in made:
                raise Misfit(f"{attribute.removesuffix('_')!r} is required")
        model = self._model(**{**self._unset, **made})
        if extra:
            model.additional_properties = extra
        return model

    def _extra_of(self, name: str) -> Convert:
        if self._extra is None:
            raise self._unknown(name)
        return self._extra

    def _unknown(self, name: str) -> Misfit:
        known = sorted(self.fields)
        above = [field for field in known if name in self._inside(field)]
        if len(above) == 1:
            advice = f"; put it under {above[0]}={{{name!r}: …}}"
        else:
            advice = nearest(name, known)
        return Misfit(f"unknown field {name!r}{advice}. Known: {', '.join(known)}", field=name)

    def _inside(self, field: str) -> frozenset[str]:
        """Return the names that the models in a field know."""
        kinds = _flat(self._hints[self.fields[field][0]])
        return frozenset(
            attribute.name.removesuffix("_")
            for kind in kinds
            if attrs.has(kind)
            for attribute in attrs.fields(kind)
            if attribute.name != _EXTRA
        )


def _flat(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of."""
    if arguments := get_args(annotation):
        for each in arguments:
            yield from _flat(each)
    else:
        yield annotation
