"""Records as lines of JSON, without any conversion of values."""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from evrun.transfer.records import COLUMNS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator


class JsonlWriter:
    """Writes a line for each record."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        """Write a record."""
        shown = {name: _shown(value) for name, value in record.items()}
        try:
            line = json.dumps(shown, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            line = json.dumps(shown).encode()  # a lone surrogate, which JSON must escape
        self._stream.write(line + b"\n")

    def close(self) -> None:
        """Finish."""


def read_jsonl(stream: IO[bytes]) -> Iterator[Record]:
    """Yield the records. Raises `ValueError`, naming the line."""
    for number, line in enumerate(stream, start=1):
        try:
            found = json.loads(line)
        except UnicodeDecodeError as error:
            raise ValueError(f"line {number} is not text in UTF-8") from error
        except json.JSONDecodeError as error:
            raise ValueError(
                f"line {number} is not JSON ({error.msg}, at character {error.colno})"
            ) from error
        if not isinstance(found, dict):
            raise ValueError(f"line {number} is not a JSON object")  # noqa: TRY004 - one error for all
        try:
            yield {
                name: datetime.fromisoformat(value) if COLUMNS.get(name) == "time" else value
                for name, value in found.items()
                if value is not None
            }
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {number} has a time that cannot be read") from error


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
