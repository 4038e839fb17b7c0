"""Which texts every database can keep in a column of its own. JSON columns keep any text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.server.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.server.errors import Location

LONGEST_REFERENCE = 2000
"""Bytes of a caller's own name for a log or a session. PostgreSQL's indexes take 2,704 of a row."""


def require_storable(fields: Mapping[str, Any], within: Location = ()) -> None:
    """Raise `InvalidValueError` for a text with U+0000, which PostgreSQL cannot keep in a text.

    `fields` are some of the object at `within`: texts, lists of them, or what is no text.
    """
    for name, value in fields.items():
        texts = value if isinstance(value, list) else (value,)
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise InvalidValueError(
                (*within, name),
                "Names, references and labels must not hold the character U+0000.",
                type="nul_character",
            )


def require_indexable(name: str, reference: str | None) -> None:
    """Raise `InvalidValueError` for a log's reference that is too long for an index.

    `name` is its field.
    """
    if reference is not None and len(reference.encode()) > LONGEST_REFERENCE:
        raise InvalidValueError(
            ("log", name),
            f"A reference has at most {LONGEST_REFERENCE} bytes.",
            type="too_long",
        )
