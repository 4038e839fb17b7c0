"""Which texts every database can keep in a column of its own. JSON columns keep any text."""

from __future__ import annotations

from evrun.server.errors import InvalidValueError

LONGEST_REFERENCE = 2000
"""Bytes of a caller's own name for a log or a session. PostgreSQL's indexes take 2,704 of a row."""


def require_storable(*texts: str | None) -> None:
    """Raise `InvalidValueError` for a text with U+0000, which PostgreSQL cannot keep in a text."""
    if any(text is not None and "\0" in text for text in texts):
        raise InvalidValueError(
            (),
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
