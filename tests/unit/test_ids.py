from __future__ import annotations

import contextlib
import copy
import enum
import importlib
import json
import pickle
import sqlite3
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from evrun._base.yaml import dump_as_text
from evrun.errors import InvalidIdError
from evrun.ids import (
    ConfigId,
    DatapointId,
    DatasetId,
    DirectoryId,
    EvaluateeId,
    EvaluationRunId,
    EvaluatorId,
    EvaluatorVersionId,
    FeedbackId,
    Id,
    LinkedToolId,
    LogId,
    ProjectId,
    ReferenceId,
    SessionId,
    TeamId,
    UserId,
    parse_id,
)

PREFIXED: dict[str, type[Id]] = {
    "evrun_": EvaluationRunId,
    "ev_": EvaluationRunId,
    "evv_": EvaluateeId,
    "evfn_": EvaluatorId,
    "evts_": DatasetId,
    "data_": LogId,
    "pr_": ProjectId,
    "sesh_": SessionId,
    "config_": ConfigId,
    "oc_": LinkedToolId,
    "dir_": DirectoryId,
    "usr_": UserId,
    "tm_": TeamId,
    "ann_": FeedbackId,
}
BODY = st.text("abcXYZ019_-", min_size=1, max_size=100)

RUN = (
    "Expected an evaluation run id: 'evrun_' or 'ev_' followed by letters, digits, '_' or '-', "
    "at most 128 characters."
)
FAULTS = [
    ("data_x", "`data_x` is a log id; did you swap arguments?"),
    ("evts_x", "`evts_x` is a dataset id; did you swap arguments?"),
    ("", "got an empty string."),
    (None, "got None."),
    (7, "got 7 (int), not a string."),
    (True, "got True (bool), not a string."),
    (b"evrun_x", "got b'evrun_x' (bytes), not a string."),
    (["evrun_x"], "got ['evrun_x'] (list), not a string."),
    (" evrun_x", "' evrun_x' has white space around it; strip it."),
    ("evrun_x\n", "'evrun_x\\n' has white space around it; strip it."),
    ("evrun_x y", "'evrun_x y' contains a space at position 7."),
    ("evrun_x\ny", "'evrun_x\\ny' contains a newline at position 7."),
    ("evrun_x/y", "'evrun_x/y' contains a slash at position 7."),
    ("evrun_../x", "'evrun_../x' contains the character '.' at position 6."),
    ("..", "'..' does not begin with 'evrun_'."),
    (".", "'.' does not begin with 'evrun_'."),
    ("../evrun_x", "'../evrun_x' does not begin with 'evrun_'."),
    ("evrun_%2F", "'evrun_%2F' contains a percent sign at position 6."),
    ("evrun_\x00", "'evrun_\\x00' contains the control character U+0000 at position 6."),
    ("evrun_\x7f", "'evrun_\\x7f' contains the control character U+007F at position 6."),
    ("evrun_é", "'evrun_é' contains the non-ASCII character 'é' at position 6."),
    ("evrun_٣", "'evrun_٣' contains the non-ASCII character '٣' at position 6."),
    ("evrun_…", "'evrun_…' contains '…', as in a documentation's example, at position 6."),
    ("evrun_", "'evrun_' is a prefix with nothing after it."),
    ("EVRUN_x", "'EVRUN_x' does not begin with 'evrun_'."),
    ("run", "'run' does not begin with 'evrun_'."),
    (
        "evrun_" + "a" * 123,
        "'evrun_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… is 129 characters long.",
    ),
]


@pytest.mark.parametrize(("value", "fault"), FAULTS, ids=[repr(v)[:30] for v, _ in FAULTS])
def test_a_refusal_says_what_came_and_what_was_expected(value: object, fault: str) -> None:
    """Every kind of bad value is refused in one voice: parameter, value, fault, expectation."""
    with pytest.raises(InvalidIdError) as caught:
        EvaluationRunId.parse(value, "evaluation_id")
    assert str(caught.value) == f"evaluation_id: {fault} {RUN}"
    assert caught.value.parameter == "evaluation_id"
    assert caught.value.value == (value if isinstance(value, str) else repr(value))
    assert caught.value.expected in RUN


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "got an empty string"),
        (".", "'.' would change the path"),
        ("..", "'..' would change the path"),
        ("...", "'...' contains nothing but dots"),
        ("a/b", "'a/b' contains a slash at position 1"),
        ("a%2e", "'a%2e' contains a percent sign at position 1"),
        ("a b", "'a b' contains a space at position 1"),
        ("a?b", "'a?b' contains the character '?' at position 1"),
        ("a#b", "'a#b' contains the character '#' at position 1"),
        ("é", "'é' contains the non-ASCII character 'é' at position 0"),
    ],
)
def test_a_datapoint_id_is_one_path_segment(value: str, fault: str) -> None:
    """An id without a documented prefix must still mean itself in a path."""
    with pytest.raises(InvalidIdError) as caught:
        DatapointId.parse(value, "datapoint_id")
    assert str(caught.value) == (
        f"datapoint_id: {fault}. Expected a datapoint id: letters, digits and any of _ - . ~ : @, "
        "at most 128 characters, not '.' or '..', without the prefix of another resource."
    )


@pytest.mark.parametrize(
    "value",
    [
        *("evtc_1", "row-7", "a.b", "..a", "x:1", "u@h", "~", "7", "Argentina"),
        *("data-1", "pr-2", "evrunx", "row_1", "DATA_1", ".data_1", "my_data_1"),
    ],
)
def test_a_datapoint_id_has_no_prefix(value: str) -> None:
    """Any path-safe token names a datapoint: the contract documents no prefix."""
    assert DatapointId(value) == value
    assert ReferenceId(value) == value


@pytest.mark.parametrize("prefix", sorted(PREFIXED))
def test_another_resources_prefix_is_no_datapoint_id(prefix: str) -> None:
    """Only a mistake can put it there, whatever follows; a reference of one's own may look so."""
    noun = PREFIXED[prefix].noun
    for value in (f"{prefix}1", prefix, f"{prefix}1.2"):
        with pytest.raises(InvalidIdError) as caught:
            DatapointId.parse(value, "datapoint_id")
        assert str(caught.value).startswith(
            f"datapoint_id: `{value}` is {noun}; did you swap arguments? Expected a datapoint id: "
        )
        assert ReferenceId(value) == value


@pytest.mark.parametrize("kind", dict.fromkeys(PREFIXED.values()))
def test_a_datapoint_id_in_another_place_is_a_swap(kind: type[Id]) -> None:
    """Servers give datapoints ids with `evtc_`: it is recognised wherever it does not belong."""
    with pytest.raises(InvalidIdError) as caught:
        kind.parse("evtc_1", "place")
    assert str(caught.value).startswith(
        "place: `evtc_1` is a datapoint id; did you swap arguments? Expected "
    )


class Row(str, enum.Enum):  # noqa: UP042 - `StrEnum` has the right text anyway
    FIRST = "evtc_1"


def test_an_id_is_the_text_that_was_checked() -> None:
    """`str()` of an enum's member is its name: the id is what the member is, not its name."""
    assert DatapointId(Row.FIRST) == "evtc_1"
    assert str(parse_id(Row.FIRST)) == "evtc_1"


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("value", [Hostile(), [Hostile()], 10**5000], ids=type)
def test_what_cannot_be_shown_is_refused_too(value: object) -> None:
    """An object whose `repr` raises gets our error, not its own."""
    with pytest.raises(
        InvalidIdError, match=rf"id: got .* \({type(value).__name__}\), not a string"
    ):
        LogId(value)


@given(st.sampled_from(sorted(PREFIXED)), BODY)
def test_parse_id_returns_the_type_of_the_prefix(prefix: str, body: str) -> None:
    """`parse_id` knows every prefix, and keeps the text as it is."""
    parsed = parse_id(prefix + body)
    assert type(parsed) is PREFIXED[prefix]
    assert parsed == prefix + body


@given(st.text(max_size=140))
def test_no_text_makes_anything_but_an_id_or_our_error(value: str) -> None:
    """For any text at all, parsing returns it unchanged or raises `InvalidIdError`."""
    try:
        parsed = parse_id(value)
    except InvalidIdError as error:
        assert "Expected" in str(error)
    else:
        assert str(parsed) == value
        assert value.isascii()
        assert len(value) <= 128


def test_parse_id_names_the_prefixes_it_knows() -> None:
    """An unknown prefix is refused with the list of known ones."""
    with pytest.raises(InvalidIdError, match="has no prefix that evrun knows") as caught:
        parse_id("foo_1")
    assert all(prefix in str(caught.value) for prefix in PREFIXED)
    with pytest.raises(InvalidIdError, match="id: got None"):
        parse_id(None)


def test_the_alias_is_kept_as_it_is() -> None:
    """`ev_` is another spelling of the syntax: accepted, and never rewritten."""
    assert EvaluationRunId("ev_1") == "ev_1"
    assert EvaluationRunId("ev_1") != EvaluationRunId("evrun_1")


def test_evaluator_versions_share_their_prefix_with_evaluatees() -> None:
    """The text cannot tell the two apart, so they are one type."""
    assert EvaluatorVersionId is EvaluateeId


def test_an_id_is_a_string() -> None:
    """JSON, `==`, `hash`, formatting and `isinstance` treat an id as its text."""
    log_id = LogId("data_1")
    assert isinstance(log_id, str)
    assert log_id == "data_1"
    assert hash(log_id) == hash("data_1")
    assert {"data_1": 1}[log_id] == 1
    assert json.dumps({"id": log_id}) == '{"id": "data_1"}'
    assert f"{log_id}" == str(log_id) == "data_1"
    assert type(str(log_id)) is str
    assert repr(log_id) == "LogId('data_1')"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_id_keeps_its_type_through_pickle(protocol: int) -> None:
    """An id crosses processes as what it is."""
    copied = pickle.loads(pickle.dumps(LogId("data_1"), protocol))  # noqa: S301 - our own bytes
    assert type(copied) is LogId
    assert copied == "data_1"


def test_an_id_keeps_its_type_through_copy() -> None:
    """`copy` and `deepcopy` return the same kind of id."""
    for copied in (copy.copy(LogId("data_1")), copy.deepcopy(LogId("data_1"))):
        assert type(copied) is LogId
        assert copied == "data_1"


def test_an_id_of_the_right_type_is_returned_as_it_is() -> None:
    """Parsing twice costs nothing."""
    log_id = LogId("data_1")
    assert LogId.parse(log_id) is log_id
    assert LogId(log_id) is log_id


def test_the_base_cannot_be_made() -> None:
    """`Id` itself says what to call instead."""
    with pytest.raises(TypeError, match="call parse_id, or a type such as LogId"):
        Id("data_1")


def test_sqlite_takes_an_id() -> None:
    """An id is bound as its text."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        row = database.execute("SELECT ?, typeof(?)", (LogId("data_1"), LogId("data_1"))).fetchone()
    assert row == ("data_1", "text")


YAML = "id: data_1\nids:\n- data_1\n- evtc_1\n"


def test_yaml_writes_an_id_as_text() -> None:
    """Each of PyYAML's dumpers writes the text, without a tag that only Python reads."""
    data = {"id": LogId("data_1"), "ids": [LogId("data_1"), DatapointId("evtc_1")]}
    assert yaml.safe_dump(data) == YAML
    assert yaml.dump(data) == YAML
    assert yaml.dump(data, Dumper=yaml.CSafeDumper) == YAML


class Marked(str):
    __slots__ = ()


def test_yaml_is_taught_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is found as ever, and taught once it has run; nothing else is looked for."""
    dump_as_text(Marked)
    assert yaml.safe_dump([Marked("x")]) == "- x\n"

    monkeypatch.delitem(sys.modules, "yaml.representer")
    before = [*sys.meta_path]
    dump_as_text(LogId)
    (finder,) = (each for each in sys.meta_path if each not in before)
    assert finder.find_spec("yaml.nodes", None) is None
    module = importlib.import_module("yaml.representer")
    assert LogId in module.SafeRepresenter.yaml_multi_representers
    assert LogId in module.Representer.yaml_multi_representers
    assert sys.meta_path == before


def test_another_package_may_be_called_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no representers is not found, as ever, and left alone."""
    monkeypatch.setattr(yaml, "__path__", [])
    monkeypatch.delitem(sys.modules, "yaml.representer")
    before = [*sys.meta_path]
    dump_as_text(LogId)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("yaml.representer")
    assert sys.meta_path == before


@pytest.mark.parametrize(
    "imports",
    ["import yaml, evrun", "import evrun, sys\nassert 'yaml' not in sys.modules\nimport yaml"],
    ids=["yaml first", "evrun first"],
)
def test_yaml_may_be_imported_first_or_last(imports: str) -> None:
    """Which of the two a program imports first makes no difference, and evrun imports no yaml."""
    code = f"{imports}\nprint(yaml.safe_dump([evrun.LogId('data_1')]), end='')"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == (
        "- data_1\n"
    )


class Record(BaseModel):
    log: LogId
    run: EvaluationRunId
    row: DatapointId


def test_pydantic_validates_and_dumps_ids() -> None:
    """A pydantic model takes and gives ids, from Python and from JSON."""
    record = Record.model_validate({"log": "data_1", "run": "ev_1", "row": "7"})
    assert type(record.log) is LogId
    assert record.model_dump(mode="json") == {"log": "data_1", "run": "ev_1", "row": "7"}
    assert Record.model_validate_json(record.model_dump_json()) == record
    with pytest.raises(ValidationError, match="`pr_1` is a project id; did you swap arguments"):
        Record.model_validate({"log": "pr_1", "run": "ev_1", "row": "7"})


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (LogId, "^data_[A-Za-z0-9_-]+$"),
        (EvaluationRunId, "^(evrun_|ev_)[A-Za-z0-9_-]+$"),
        (ReferenceId, r"^\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*$"),
        (
            DatapointId,
            f"^(?!{'|'.join(PREFIXED)})" + r"\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*$",
        ),
    ],
)
def test_pydantic_says_the_pattern_in_json_schema(kind: type[Id], pattern: str) -> None:
    """A schema that pydantic makes of an id says the same as our contract."""
    schema = TypeAdapter(kind).json_schema()
    assert schema == {"type": "string", "maxLength": 128, "pattern": pattern}


def test_a_prefix_names_one_type_only() -> None:
    """The table of prefixes cannot contradict itself."""
    with pytest.raises(TypeError, match="data_ already names LogId"):
        type("Other", (Id,), {}, prefix="data_", noun="another id")
