"""Cursors: which list a page was of, and the values that its last record is sorted by. No I/O.

A cursor is not secret and not signed. It says only where to go on: which records may be seen is
decided by the request's own key and parameters.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, Integer

from evrun.server.db.tables import UtcDateTime
from evrun.server.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evrun.server.store.ordering import Key

_AGAIN = "Pass the `next_cursor` of an earlier page as it is, or leave it out to begin anew."


def write(listed: str, values: Sequence[Any]) -> str:
    """Return the cursor behind a record with these values, in the list that `listed` names."""
    plain = [each.isoformat() if isinstance(each, datetime) else each for each in values]
    text = json.dumps([listed, *plain], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def read(cursor: str, listed: str, keys: Sequence[Key]) -> list[Any]:
    """Return the values in a cursor of that list. Raises `InvalidValueError`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, *values = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, RecursionError) as error:
        raise _refusal(f"{cursor[:40]!r} is not a cursor.") from error
    if found != listed:
        raise _refusal("The cursor is of another list, or of other filters or another order.")
    try:
        return [_value(key, each) for key, each in zip(keys, values, strict=True)]
    except ValueError as error:
        raise _refusal(f"{cursor[:40]!r} is not a cursor of this list.") from error


def _refusal(what: str) -> InvalidValueError:
    return InvalidValueError(("cursor",), f"{what} {_AGAIN}", type="cursor")


def _value(key: Key, plain: Any) -> Any:
    """Return a value as the database takes it. Raises `ValueError`."""
    if plain is None and key.nullable:
        return None
    kind = key.value.type
    if isinstance(kind, Double) and isinstance(plain, float):
        return plain
    if isinstance(kind, Integer) and type(plain) is int and abs(plain) < 2**31:
        return plain
    if isinstance(plain, str):
        if isinstance(kind, UtcDateTime):
            return _instant(plain)
        if not isinstance(kind, Double | Integer) and "\0" not in plain:
            plain.encode()  # half of a surrogate pair is a `ValueError`
            return plain
    raise ValueError(plain)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is not UTC:
        raise ValueError(text)
    return instant
