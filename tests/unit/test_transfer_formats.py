"""Records in files: what is written is what is read, in every format."""

from __future__ import annotations

import builtins
import csv
import io
import json
import string
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evrun.errors import ConfigurationError, InvalidRequestError
from evrun.transfer import formats, spreadsheet
from evrun.transfer.records import COLUMNS, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = list(formats.WRITERS)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        *("", "'", "''", "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r", "\n", "\r\n", "\ufeff=1"),
        *("\uff1d1", '"', ",", ";", "a\n=1", "null", "None", "1e5", "\u2028", "\x85", "\0", "🙂"),
    ]
)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "json": JSON.filter(lambda given: given is not None),
    "time": st.datetimes(timezones=st.just(UTC)),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": NUMBER,
    "flag": st.booleans(),
}
RECORDS = (
    st.sets(st.sampled_from([name for name in COLUMNS if name != "kind"]), max_size=6)
    .flatmap(lambda names: st.fixed_dictionaries({each: VALUES[COLUMNS[each]] for each in names}))
    .map(lambda values: record("log", **values))
)
FORMULAS = frozenset("=+-@|%\t\r\n")


def exact(records: list[dict[str, Any]]) -> str:
    """Return everything that tells records apart, types too; of an instant, when it is."""
    shown = [
        {
            name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for name, value in sorted(each.items())
        }
        for each in records
    ]
    return repr(shown)


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_what_is_written_is_read(
    name: str, records: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Text, nested JSON, floats, big integers, instants, and what was not said: all as it was."""
    path = tmp_path_factory.getbasetemp() / f"records.{name}"
    with path.open("wb") as stream:
        formats.write(records, stream, name)
    assert exact(list(formats.read(path))) == exact(records)


@settings(deadline=None)
@given(TEXT)
@example(" =1")
@example("\u200b=1")
def test_no_cell_is_a_formula(text: str) -> None:
    """A cell of text never begins as a formula does, and gives the text back."""
    shown = spreadsheet.cell(text, "text")
    assert shown[:1] not in FORMULAS
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))
    assert spreadsheet.value(shown, "text") == text


@settings(deadline=None)
@given(JSON.filter(lambda given: given is not None))
def test_no_json_is_a_formula(given_value: Any) -> None:
    """What begins with a sign in a column of JSON is a number and nothing else."""
    shown = spreadsheet.cell(given_value, "json")
    assert shown[:1] not in FORMULAS or set(shown) <= set("-" + string.digits + ".e+")
    assert repr(spreadsheet.value(shown, "json")) == repr(given_value)


def test_a_table_reads_as_a_spreadsheet_reads_it() -> None:
    """Marked as UTF-8, one row of names, every cell quoted, formulas with an apostrophe."""
    stream = io.BytesIO()
    formats.write([record("log", id="data_1", output="=cmd|'/c calc'!A1")], stream, "csv")
    assert stream.getvalue().startswith(b"\xef\xbb\xbf")
    names, row = csv.reader(io.StringIO(stream.getvalue().decode("utf-8-sig")))
    assert names == list(COLUMNS)
    assert row[names.index("output")] == "'=cmd|'/c calc'!A1"
    assert b'"","' in stream.getvalue()


def test_a_file_in_jsonl_is_read_by_any_program() -> None:
    """Each line is one JSON object, with the fields that were said."""
    stream = io.BytesIO()
    at = datetime(2024, 5, 1, tzinfo=UTC)
    formats.write([record("log", output="é\n", inputs={"a": None}, created_at=at)], stream, "jsonl")
    (line,) = stream.getvalue().decode().splitlines()
    assert json.loads(line) == {
        "kind": "log",
        "output": "é\n",
        "inputs": {"a": None},
        "created_at": "2024-05-01T00:00:00+00:00",
    }


def test_half_a_character_is_kept_or_refused(tmp_path: Path) -> None:
    """JSON can escape a lone surrogate; the others cannot hold it, and say what can."""
    odd = [record("log", output="\ud800")]
    path = tmp_path / "odd.jsonl"
    with path.open("wb") as stream:
        formats.write(odd, stream, "jsonl")
    assert list(formats.read(path)) == odd
    for name in ("csv", "parquet"):
        with pytest.raises(InvalidRequestError, match=f"not fit into {name}.*Export as jsonl"):
            formats.write(odd, io.BytesIO(), name)


def test_a_number_too_large_for_parquet_is_refused() -> None:
    """Its columns of integers have 64 bits."""
    with pytest.raises(InvalidRequestError, match="not fit into parquet"):
        formats.write([record("log", prompt_tokens=2**70)], io.BytesIO(), "parquet")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the command that installs it."""
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return imported(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'evrun\[data\]'"):
        formats.write([], io.BytesIO(), "parquet")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{}\n{oops\n", "line 2 is not JSON (Expecting property name"),
        (b'{"kind": "log"}\n[1]\n', "line 2 is not a JSON object"),
        (b"{}\n{\xff}\n", "line 2 is not text in UTF-8"),
        (b'{}\n{"created_at": "today"}', "line 2 has a time that cannot be read"),
        (b'{"created_at": 5}', "line 1 has a time that cannot be read"),
        (b"kind,id\nlog\n", "line 2: the first line names 2 columns, and here are 1"),
        (b"kind,id\nlog,data_\xff\n", "line 2 is not text in UTF-8"),
        (b"kind,inputs\nlog,oops\n", "line 2: the cell under inputs is not JSON"),
        (b"kind,created_at\nlog,today\n", "line 2: the cell under created_at is not a time"),
        (b'kind,id\nlog,"data', "line 2: unexpected end of data"),
        (b"PAR1 and no more", "not a file that `evrun export` wrote"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    """The sentence names the file and the line, and what to do."""
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        list(formats.read(path))
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(". Export it again.")
    assert "codec" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    """Forty megabytes are written and read in fifteen of memory."""
    path = tmp_path / "large"

    def many() -> Iterator[dict[str, Any]]:
        for number in range(10_000):
            yield record("log", id=f"data_{number}", output=str(number).zfill(4000))

    tracemalloc.start()
    try:
        with path.open("wb") as stream:
            formats.write(many(), stream, name)
        count = sum(1 for _ in formats.read(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 15_000_000
