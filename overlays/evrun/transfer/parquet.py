"""Records as a Parquet file, for data frames. Lists and objects are JSON in columns of text."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from evrun.errors import ConfigurationError
from evrun.transfer.records import COLUMNS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_GROUP_RECORDS = 1000
_GROUP_CHARACTERS = 4_000_000  # a group of records is in memory until either limit


class ParquetWriter:
    """Writes groups of records. Needs the extra `data`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._arrow = _arrow()
        self._schema = _schema(self._arrow)
        self._file = self._arrow.parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._group: list[Record] = []
        self._characters = 0

    def write(self, record: Record) -> None:
        """Write a record. Raises `ValueError` for a value that does not fit its column."""
        row = {
            name: json.dumps(value, ensure_ascii=False) if COLUMNS[name] == "json" else value
            for name, value in record.items()
        }
        self._group.append(row)
        self._characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(self._group) >= _GROUP_RECORDS or self._characters >= _GROUP_CHARACTERS:
            self._flush()

    def close(self) -> None:
        """Finish, and leave the stream open."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._group:
            try:
                table = self._arrow.Table.from_pylist(self._group, schema=self._schema)
            except OverflowError as error:  # ArrowInvalid is a ValueError already
                raise ValueError(str(error)) from error
            self._file.write_table(table)
        self._group = []
        self._characters = 0


def read_parquet(stream: IO[bytes]) -> Iterator[Record]:
    """Yield the records. Raises `ValueError`."""
    arrow = _arrow()
    file = arrow.parquet.ParquetFile(stream)
    for batch in file.iter_batches(batch_size=100):
        for row in batch.to_pylist():
            yield {
                name: json.loads(value) if COLUMNS.get(name) == "json" else value
                for name, value in row.items()
                if value is not None
            }


def _arrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Parquet needs pyarrow. Install it with: pip install 'evrun[data]'"
        ) from error
    return pa


def _schema(arrow: ModuleType | Any) -> Any:
    types = {
        "text": arrow.string(),
        "json": arrow.string(),
        "time": arrow.timestamp("us", tz="UTC"),
        "integer": arrow.int64(),
        "number": arrow.float64(),
        "flag": arrow.bool_(),
    }
    return arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
