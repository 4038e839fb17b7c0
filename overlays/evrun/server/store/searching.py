"""Text that can be searched whatever its case, in any language and in every database.

SQLite folds ASCII only, and JSON may hide a letter behind an escape: so what can be searched is
folded when it is written and stands in a column of its own.
"""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

from evrun.server.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column, ColumnElement

    from evrun.server.store.scope import Json

LONGEST_TERM = 10_000
"""Bytes of what is searched for, folded."""


def fold(text: str) -> str:
    """Return `text` as it is compared: without case, one spelling per letter."""
    return unicodedata.normalize("NFC", text.casefold())


def payload_of(log: Json) -> str:
    """Return what a search finds a log by: the values of its inputs, and its output."""
    return _lines([*_texts(log.get("inputs")), log.get("output") or ""])


def metadata_of(log: Json) -> str:
    """Return what a search in metadata finds a log by: names and values."""
    return _lines(_texts(log.get("metadata"), names=True))


def contains(column: Column[str], term: str, name: str) -> ColumnElement[bool]:
    """Return whether a folded column contains `term`, the query parameter `name`.

    Raises `InvalidValueError` for a term that databases would not take: SQLite's patterns end at
    50,000 bytes.
    """
    folded = fold(term)
    if len(folded.encode()) > LONGEST_TERM:
        message = f"A search term has at most {LONGEST_TERM} bytes."
        raise InvalidValueError((name,), message, type="too_long")
    return column.contains(folded, autoescape=True)


def _texts(value: Any, *, names: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if names:
                yield name
            yield from _texts(each, names=names)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, names=names)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _lines(texts: Any) -> str:
    # On lines of their own, so that no search finds what only stands side by side.
    # U+0000 cannot stand in a column of PostgreSQL, nor in what is searched for.
    return fold("\n".join(texts).replace("\0", " "))
