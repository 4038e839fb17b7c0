"""Records as comma-separated values that are safe to open in a spreadsheet.

Spreadsheets execute a cell that begins with `=` and similar characters, for example a model's
output (https://owasp.org/www-community/attacks/CSV_Injection). Such a text gets an apostrophe in
front, which marks a text. A text that begins with an apostrophe gets a second one, and reading
removes one. An empty text is a single apostrophe, and an unset value is an empty cell. Numbers are
unchanged; lists and objects are JSON.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from evrun.transfer.records import COLUMNS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.transfer.records import ColumnType

_GUARD = "'"
_STARTS = frozenset("=+-@|%")  # some spreadsheet reads them as a formula or a command
_LONGEST_CELL = 2**31 - 1  # Python's own limit is 128 KiB


class CsvWriter:
    """Writes a table whose first row names the columns.

    Every cell is quoted, because some spreadsheets also split at other characters than commas.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        # The byte order mark tells spreadsheets that the file is UTF-8.
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        self._rows = csv.writer(self._text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._rows.writerow(COLUMNS)

    def write(self, record: Record) -> None:
        """Write a record. Raises `ValueError` for a lone surrogate, which UTF-8 cannot encode."""
        self._rows.writerow(cell(record.get(name), kind) for name, kind in COLUMNS.items())

    def close(self) -> None:
        """Finish, and leave the stream open."""
        self._text.flush()
        self._text.detach()


def read_csv(stream: IO[bytes]) -> Iterator[Record]:
    """Yield the records. Raises `ValueError`, naming the line."""
    csv.field_size_limit(_LONGEST_CELL)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    rows = csv.reader(text, strict=True)
    try:
        names = next(rows, [])
        for row in rows:
            if row:
                yield _record(names, row)
    except UnicodeDecodeError as error:
        # The decoder reads ahead of the rows.
        raise ValueError(f"line {_first_odd_line(stream)} is not text in UTF-8") from error
    except (csv.Error, ValueError) as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error
    finally:
        text.detach()


def _record(names: list[str], row: list[str]) -> Record:
    if len(row) != len(names):
        raise ValueError(f"the first line names {len(names)} columns, and here are {len(row)}")
    found: Record = {}
    for name, shown in zip(names, row, strict=True):
        if shown:
            kind = COLUMNS.get(name, "text")
            try:
                found[name] = value(shown, kind)
            except ValueError as error:
                raise ValueError(
                    f"the cell under {name} is not {'a time' if kind == 'time' else 'JSON'}"
                ) from error
    return found


def _first_odd_line(stream: IO[bytes]) -> int:
    stream.seek(0)
    for number, line in enumerate(stream, start=1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return number
    raise AssertionError  # pragma: no cover - one of them is


def cell(value: Any, kind: ColumnType) -> str:
    """Return the text of a cell."""
    if value is None:
        return ""
    if kind == "text":
        return _GUARD + value if _needs_guard(value) else str(value)
    return value.isoformat() if kind == "time" else json.dumps(value, ensure_ascii=False)


def value(shown: str, kind: ColumnType) -> Any:
    """Return the value of a cell that is not empty: the inverse of `cell`."""
    if kind == "text":
        return shown.removeprefix(_GUARD)
    return datetime.fromisoformat(shown) if kind == "time" else json.loads(shown)


def _needs_guard(text: str) -> bool:
    if not text or text.startswith(_GUARD) or text[0].isspace() or not text[0].isprintable():
        return True
    # Wide forms, such as U+FF1D for "=", count as the plain characters.
    return unicodedata.normalize("NFKC", text[0])[:1] in _STARTS
