"""The formats: chosen by name for writing, by the first bytes for reading."""

from __future__ import annotations

from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Protocol

from evrun.errors import ConfigurationError, InvalidRequestError
from evrun.transfer.jsonl import JsonlWriter, read_jsonl
from evrun.transfer.parquet import ParquetWriter, read_parquet
from evrun.transfer.spreadsheet import CsvWriter, read_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from evrun.transfer.records import Record


class Writer(Protocol):
    """Writes records to a stream."""

    def write(self, record: Record, /) -> None:
        """Write a record."""

    def close(self) -> None:
        """Write the rest, and leave the stream open."""


WRITERS: dict[str, Callable[[IO[bytes]], Writer]] = {
    "jsonl": JsonlWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}
_READERS: dict[str, Callable[[IO[bytes]], Iterator[Record]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
}


def write(records: Iterable[Record], stream: IO[bytes], format_name: str) -> None:
    """Write records. Raises `InvalidRequestError` for a value that the format cannot hold."""
    remaining = iter(records)
    first = list(islice(remaining, 1))  # no header if the first record fails
    writer = WRITERS[format_name](stream)
    for record in chain(first, remaining):
        try:
            writer.write(record)
        except ValueError as error:
            raise _unwritable(format_name, error) from error
    try:
        writer.close()
    except ValueError as error:
        raise _unwritable(format_name, error) from error


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file of any format.

    Raises `InvalidRequestError` if its content is wrong, `ConfigurationError` if it is unreadable.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            yield from _READERS[_format_of(start)](stream)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from error
    except InvalidRequestError:
        raise
    except ValueError as error:
        raise InvalidRequestError(
            f"{path} is not a file that `evrun export` wrote, or was changed since: {error}. "
            "Export it again.",
            parameter="file",
        ) from error


def _format_of(start: bytes) -> str:
    if start == b"PAR1":
        return "parquet"
    return "jsonl" if start[:1] == b"{" else "csv"


def _unwritable(format_name: str, error: ValueError) -> InvalidRequestError:
    return InvalidRequestError(
        f"A value does not fit into {format_name} ({error}). Export as jsonl, which fits all.",
        parameter="format",
    )
