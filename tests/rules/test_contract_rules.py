"""The overlay holds itself to the contract: ids, bodies, results, operations, addresses."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import attrs
import httpx
import pytest

from _openapi.document import load
from _openapi.identifiers import UNPREFIXED, id_sites
from _openapi.walk import operations, references, resolve
from evrun import Evrun, ids, results
from evrun._calls import bodies
from evrun._transport.exchange import is_harmless
from evrun._transport.wording import CALLS
from evrun.cli.serve import serve
from evrun.fields import LogFields, LogItem
from evrun.ids import Id, PlainStr
from evrun.server.api.operations import PREFIX
from evrun_api import models
from evrun_api.models import EvaluationLogItem, LogRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = load(ROOT / "openapi" / "openapi.yaml")
SCHEMAS: dict[str, Any] = CONTRACT["components"]["schemas"]
TYPES = [kind for kind in vars(ids).values() if isinstance(kind, type) and issubclass(kind, Id)]
PREFIXED = {prefix: kind for kind in TYPES for prefix in kind.prefixes}


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object below `node`."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def prefixes(site: Mapping[str, Any]) -> tuple[str, ...]:
    return (site["x-id-prefix"], *site.get("x-id-prefix-also", ()))


SITES = [node for node in nodes(CONTRACT) if isinstance(node.get("x-id-prefix"), str)]


def test_every_prefix_of_the_contract_has_a_type() -> None:
    """No `x-id-prefix` is unknown to `evrun.ids`."""
    assert {prefix for site in SITES for prefix in prefixes(site)} - set(PREFIXED) == set()


def test_every_prefix_of_the_overlay_stands_in_the_contract() -> None:
    """No id type exists that the contract does not use."""
    assert set(PREFIXED) - {prefix for site in SITES for prefix in prefixes(site)} == set()


def test_one_prefix_table() -> None:
    """`parse_id` and the contract agree on which prefixes go together."""
    for site in SITES:
        kinds = {PREFIXED[prefix] for prefix in prefixes(site)}
        # A tool's id may be a config's or a linked tool's; everywhere else it is one type.
        assert len(kinds) == 1 or kinds == {ids.ConfigId, ids.LinkedToolId}


@pytest.mark.parametrize(
    "value",
    [
        *(
            "data_1",
            "evrun_1",
            "ev_1",
            "pr_a-b_c",
            "sesh_" + "x" * 123,
            "data_" + "x" * 124,
            "data_",
        ),
        *("", "data_\n", "data_é", "data_a/b", "row.7", "..", ".", "...", "..a", "a b", "evv_%2e"),
    ],
)
def test_the_overlay_accepts_exactly_what_the_pattern_accepts(value: str) -> None:
    """An id that the overlay takes is one that the contract takes, and the other way round."""
    for site in SITES:
        kind = PREFIXED[prefixes(site)[0]]
        if len({PREFIXED[prefix] for prefix in prefixes(site)}) > 1 or "?" in site["pattern"]:
            continue
        fits = re.fullmatch(site["pattern"], value) and len(value) <= site["maxLength"]
        assert kind.accepts(value) == bool(fits)
    fits = re.fullmatch(UNPREFIXED, value) and len(value) <= ids.MAX_LENGTH
    assert ids.ReferenceId.accepts(value) == bool(fits)


def test_the_overlay_takes_no_other_prefix_for_a_datapoint() -> None:
    """The contract takes any token; one with another resource's prefix can only be a mistake."""
    for prefix in PREFIXED:
        assert re.fullmatch(UNPREFIXED, f"{prefix}1")
        assert not ids.DatapointId.accepts(f"{prefix}1")
        assert ids.DatapointId.accepts(f"{prefix.strip('_')}-1")


def test_every_id_is_anchored_and_bounded() -> None:
    """Each site says pattern and length, so that any validator of any language holds them."""
    assert SITES
    for site in SITES:
        assert site["pattern"].startswith("^")
        assert site["pattern"].endswith("$")
        assert site["maxLength"] == ids.MAX_LENGTH


def test_both_spellings_of_a_run_stand_together_everywhere() -> None:
    """`ev_` is an alias at every site that takes a run's id."""
    runs = [prefixes(site) for site in SITES if {"evrun_", "ev_"} & set(prefixes(site))]
    assert runs
    assert all(run == ("evrun_", "ev_") for run in runs)


@pytest.mark.parametrize(
    ("schema", "table"),
    [
        ("LogRequest", bodies.LOG),
        ("EvaluationLogItem", bodies.LOG_ITEM),
        ("ProjectModelConfigRequest", bodies.PROJECT_CONFIG),
        ("ModelConfigCompletionRequest", {}),
        ("CreateDatapointRequest", {}),
        ("ProviderApiKeys", {}),
    ],
)
def test_every_id_inside_a_body_is_checked(schema: str, table: dict[str, type[Id]]) -> None:
    """The tables of `_bodies` name each id of the request schema, and nothing else."""
    assert set(table) == set(id_sites(SCHEMAS[schema], SCHEMAS))


RESULTS = {
    results.CreatedLog: "CreateLogResponse",
    results.LogOutcome: "EvaluationLogOutcome",
    results.LogOutcomes: "CreateEvaluationLogsResponse",
    results.Page: "PaginatedData_LogResponse_",
    results.Dataset: "DatasetResponse",
    results.Datapoint: "DatapointResponse",
    results.Evaluator: "EvaluatorResponse",
    results.EvaluatorAggregate: "ModelConfigEvaluatorAggregateResponse",
    results.ProjectConfig: "ProjectConfigResponse",
    results.Project: "ProjectResponse",
    results.Evaluatee: "EvaluateeResponse",
    results.EvaluationRun: "EvaluationResponse",
    results.Log: "LogResponse",
    results.EvaluationResult: "EvaluationResultResponse",
    results.EvaluatedDatapoint: "EvaluationDatapointSnapshotResponse",
    results.CreatedSession: "CreateSessionResponse",
    results.SessionProject: "SessionProjectResponse",
    results.Session: "SessionResponse",
}


def test_every_result_is_held_against_the_contract() -> None:
    """The table above is complete."""
    ours = [kind for kind in vars(results).values() if attrs.has(kind)]
    assert set(RESULTS) == {kind for kind in ours if kind.__module__ == results.__name__}


@pytest.mark.parametrize(("kind", "schema"), RESULTS.items(), ids=RESULTS.values())
def test_a_result_has_the_fields_of_its_schema(kind: type[Any], schema: str) -> None:
    """No field of a response is lost on the way, and none is made up."""
    assert set(attrs.fields_dict(kind)) == set(SCHEMAS[schema]["properties"])


@pytest.mark.parametrize(("kind", "schema"), RESULTS.items(), ids=RESULTS.values())
def test_a_result_allows_none_where_the_schema_does(kind: type[Any], schema: str) -> None:
    """An optional field may be None, a required one never is."""
    required = set(SCHEMAS[schema]["required"])
    hints = attrs.fields_dict(attrs.resolve_types(kind))
    for name, attribute in hints.items():
        if attribute.type is not Any:
            assert ("None" in str(attribute.type)) == (name not in required), name


@pytest.mark.parametrize(("kind", "schema"), RESULTS.items(), ids=RESULTS.values())
def test_an_id_in_a_result_has_its_type(kind: type[Any], schema: str) -> None:
    """Wherever the contract names a prefix, the result's field is of that id type alone."""
    hints = attrs.fields_dict(attrs.resolve_types(kind))
    for name, site in SCHEMAS[schema]["properties"].items():
        wanted = {PREFIXED[node["x-id-prefix"]] for node in nodes(site) if "x-id-prefix" in node}
        held = {each for each in _members(hints[name].type) if each in TYPES}
        assert held - {ids.DatapointId} == wanted, name


def _members(kind: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of."""
    yield kind
    for each in get_args(kind):
        yield from _members(each)


def test_every_operation_is_reached_by_a_resource() -> None:
    """Each operation of the contract is called by a resource of its tag."""
    called = set()
    package = importlib.import_module("evrun.resources")
    for module in pkgutil.iter_modules(package.__path__, "evrun.resources."):
        source = vars(importlib.import_module(module.name))
        called |= {v.__name__.rsplit(".", 1)[-1] for v in source.values() if _is_endpoint(v)}
    wanted = {_snake(operation["operationId"]) for _, _, operation in operations(CONTRACT)}
    assert called == wanted


def _is_endpoint(value: object) -> bool:
    return getattr(value, "__name__", "").startswith("evrun_api.api.")


def _snake(operation_id: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation_id).lower()


@pytest.mark.parametrize(
    ("operation_id", "harmless"),
    [
        ("Evaluations_updateStatus", True),  # the status that it has already: 200
        ("Evaluations_addEvaluators", True),  # one that is there already: 200
        ("Logs_update", True),  # fields are set to what was sent
        ("Logs_updateByRef", True),
        ("Evaluators_update", False),  # each change is a new version
    ],
)
def test_the_patches_that_may_happen_twice_are_named(operation_id: str, *, harmless: bool) -> None:
    """The client repeats exactly those after a lost answer."""
    path = next(
        path for path, _, each in operations(CONTRACT) if each["operationId"] == operation_id
    )
    url = f"https://api.test/v4{re.sub('{[^}]*}', 'id_1', path)}"
    assert is_harmless(httpx.Request("PATCH", url)) is harmless
    # Whatever path the API stands under.
    below = httpx.Request("PATCH", url.replace("/v4", "/logs/v4/evaluations/x"))
    assert is_harmless(below) is harmless


def test_every_patch_is_judged() -> None:
    """A new PATCH of the contract needs a row above."""
    patches = {each["operationId"] for _, method, each in operations(CONTRACT) if method == "patch"}
    (mark,) = test_the_patches_that_may_happen_twice_are_named.pytestmark  # type: ignore[attr-defined]
    assert patches == {operation_id for operation_id, _ in mark.args[1]}


def test_sentences_of_the_server_name_operations_that_clients_translate() -> None:
    """An operation in a sentence is one of the contract, and has a call of the client's."""
    names = {each["operationId"] for _, _, each in operations(CONTRACT)}
    server = ROOT / "overlays" / "evrun" / "server"
    sources = [*(server / "store").glob("*.py"), server / "api" / "unserved.py"]
    named = set(re.findall(r"[A-Z]\w+_[a-z]\w+", "".join(each.read_text() for each in sources)))
    assert named & names == CALLS.keys()
    client = Evrun(api_key="evk_x", base_url="http://h")
    for call in CALLS.values():
        found: Any = client
        for name in re.findall(r"\.(\w+)", call):
            found = getattr(found, name)
            if name == "run":
                found = found("evrun_1")
        assert callable(found), call


def test_the_contracts_server_is_where_ours_listens() -> None:
    """The contract names one server: the address that `evrun serve` has by default."""
    host, port = (option.default for option in serve.params if option.name in {"host", "port"})
    assert [each["url"] for each in CONTRACT["servers"]] == [f"http://{host}:{port}{PREFIX}"]


def test_everything_in_the_contract_is_described() -> None:
    """No node waits for a description."""
    assert [node for node in nodes(CONTRACT) if "x-undescribed" in node] == []


def test_every_object_in_a_request_is_open_or_closed() -> None:
    """It says whether it keeps fields that nobody knows or refuses them: none is lost."""
    queue = [each["requestBody"] for _, _, each in operations(CONTRACT) if "requestBody" in each]
    names, undecided = set[str](), set[str]()
    while queue:
        for _, name in references(queue.pop()):
            if name not in names:
                names.add(name)
                schema = resolve(CONTRACT, name)
                queue.append(schema)
                if "properties" in schema and "additionalProperties" not in schema:
                    undecided.add(name)
    assert names
    assert undecided == set()


def kinds(annotation: Any) -> set[str]:
    """Return what fits an annotation, by the names of JSON and Python: "str", "list", "object"."""
    found = set()
    for each in get_args(annotation) or (annotation,):
        kind = get_origin(each) or each
        if kind in {str, PlainStr} or (isinstance(kind, type) and issubclass(kind, Id)):
            found.add("str")
        elif kind in {list, Sequence}:
            found.add("list")
        elif kind is Mapping or attrs.has(kind):
            found.add("object")
        else:
            found.add(kind.__name__)
    return found - {"Unset"}


@pytest.mark.parametrize(
    ("ours", "generated"), [(LogFields, LogRequest), (LogItem, EvaluationLogItem)]
)
def test_the_fields_of_a_log_are_those_of_the_contract(ours: type, generated: type) -> None:
    """The mappings that editors complete have the contract's fields, and take what it takes."""
    theirs = get_type_hints(
        generated, localns={name: getattr(models, name) for name in models.__all__}
    )
    said = {name: kinds(each) for name, each in get_type_hints(ours).items()}
    expected = {
        name: kinds(each) for name, each in theirs.items() if name != "additional_properties"
    }
    if ours is LogFields:
        expected["created_at"].add("str")  # a moment, as a text
    else:
        said["log"] -= {"UntypedFields"}
        said["log"] = {"object" if each == "LogFields" else each for each in said["log"]}
    assert said == expected
