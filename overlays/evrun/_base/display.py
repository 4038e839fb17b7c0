"""How results look in a terminal and in a notebook: short, and without the fields that are None."""

from __future__ import annotations

from html import escape
from reprlib import Repr
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

_LONGEST: Final = 80  # characters of one value
_ENTRIES: Final = 3  # of a list in a result
_COLUMNS: Final = 6
_ROWS: Final = 100


class _Short(Repr):
    """Shows both ends of what is long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _LONGEST
        self.maxtuple = self.maxlist = _ENTRIES

    def repr_datetime(self, value: datetime, _level: int) -> str:
        return value.isoformat(sep=" ", timespec="seconds")


_SHORT: Final = _Short()


@attrs.frozen(repr=False)
class Displayed:
    """The base of results: attrs classes that leave their `repr` to this one."""

    _columns: ClassVar[tuple[str, ...]] = ()
    """The fields that a table of many shows; the first ones if empty."""

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in present(self))
        return f"{type(self).__name__}({said})"

    def _repr_html_(self) -> str:
        """Return a table of the fields, for a notebook."""
        rows = [(name, cell(value)) for name, value in present(self)]
        return table(type(self).__name__, ("field", "value"), rows)


def present(result: Displayed) -> list[tuple[str, object]]:
    """Return the fields that are not None."""
    fields = attrs.fields(type(result))
    values = [(field.name, getattr(result, field.name)) for field in fields]
    return [(name, value) for name, value in values if value is not None]


def cell(value: object) -> str:
    """Return a value as a table shows it: short, and a text without quotes."""
    return str(value) if isinstance(value, str) and len(value) <= _LONGEST else _SHORT.repr(value)


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; every text in it is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def table_of(caption: str, records: Sequence[Any]) -> str:
    """Return an HTML table with a row for each result, at most 100."""
    shown = [dict(present(each)) for each in records[:_ROWS]]
    named = records[0]._columns if records else ()  # noqa: SLF001 - of our own base
    columns = named or [*dict.fromkeys(name for each in shown for name in each)][:_COLUMNS]
    if len(records) > _ROWS:
        caption = f"{caption}, the first {_ROWS} of them"
    rows = [[cell(each[name]) if name in each else "" for name in columns] for each in shown]
    return table(caption, columns, rows)
