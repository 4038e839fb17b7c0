from __future__ import annotations

import importlib
import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from _support.commands import new_key, serving
from _support.contract_examples import STORY, Ids, examples, request
from _support.databases import KINDS, fresh, stored
from _support.served import MISSING, contract_operations
from _support.vendor.sdk import VendorSdk, method_of, without_ours
from evrun import Evrun, LogFields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The environment is made at the first test.
pytestmark = [pytest.mark.vendor, pytest.mark.timeout(300)]

SECRET = "sk-of-a-provider"

# What the SDK does not offer, because upstream only describes it.
NOT_OFFERED = {"sort", "id_filter", "dataset_filter", "config_filter", "status_filter"} | {
    "source_filter",
    "model_filter",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the server runs."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Return where its database is: what uses it runs over both kinds."""
    with fresh(request, folder / "evals.db") as url:
        yield url


@pytest.fixture(scope="module")
def base_url(folder: Path, url: str) -> Iterator[str]:
    """Return the address of a running server."""
    with serving(folder, "--database", url) as address:
        yield address


@pytest.fixture(scope="module")
def key(base_url: str, folder: Path, url: str) -> str:
    """Return a key of the running server."""
    return new_key(folder, database=url)


@pytest.fixture(scope="module")
def vendor(vendor_python: Path, base_url: str, key: str) -> Iterator[VendorSdk]:
    """Return the vendor's SDK."""
    with VendorSdk(vendor_python, base_url, key) as sdk:
        yield sdk


@pytest.fixture
def ours(base_url: str, key: str) -> Iterator[Evrun]:
    """Return our own client."""
    with Evrun(base_url=base_url, api_key=key) as client:
        yield client


def arguments(name: str, example: str | None, ids: Ids) -> dict[str, Any]:
    """Return an example as the SDK's methods take it: parameters and fields side by side."""
    given, body = request(name, example)
    fields = {"body": body} if isinstance(body, list) else body or {}
    offered = {key: value for key, value in given.items() if key not in NOT_OFFERED}
    found: dict[str, Any] = ids.real({**offered, **fields})
    return found


def shown(name: str, example: str | None) -> Any:
    """Return the answer that the contract shows."""
    responses = contract_operations()[name][2]["responses"]
    (success,) = (each for status, each in responses.items() if status.startswith("2"))
    return (
        examples(success["content"]["application/json"])[example] if "content" in success else None
    )


def read(client: Evrun, name: str, given: dict[str, Any]) -> Any:
    """Return what our generated client makes of a GET, as JSON."""
    resource, _, _ = method_of(name).partition(".")
    module = importlib.import_module(
        f"evrun_api.api.{resource}.{method_of(name).replace('.', '_')}"
    )
    known = {"filter": "filter_"}
    if "start_date" in given:
        given = {**given, "start_date": datetime.fromisoformat(given["start_date"]).date()}
    parsed = module.sync_detailed(
        client=client.generated, **{known.get(key, key): value for key, value in given.items()}
    ).parsed
    return [each.to_dict() for each in parsed] if isinstance(parsed, list) else parsed.to_dict()


def normal(value: Any) -> Any:
    """Return an answer with instants for times, and without what is null."""
    if isinstance(value, dict):
        return {key: normal(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if isinstance(value, str) and len(value) > 18 and value[4:5] == "-" and value[10:11] == "T":
        return datetime.fromisoformat(value)
    return value


def without_extensions(value: Any) -> Any:
    """Return an answer as the SDK can know it."""
    if isinstance(value, dict):
        return {key: without_extensions(each) for key, each in without_ours(value).items()}
    return [without_extensions(each) for each in value] if isinstance(value, list) else value


def test_every_operation_is_driven_and_read_alike(vendor: VendorSdk, ours: Evrun) -> None:
    """The contract's whole story, told through the SDK.

    Each answer is the one that the contract shows, passes the SDK's own models unchanged, and is
    what our client reads.
    """
    operations = contract_operations()
    ours_alone = {name for name in operations if operations[name][2].get("x-evrun-extension")}
    ids, driven = Ids(), set()
    for name, example in STORY:
        if name in ours_alone:
            continue
        given = arguments(name, example, ids)
        answer = vendor.call(method_of(name), **given)
        assert answer.error is None, (name, answer.raw)
        if (expected := shown(name, example)) is not None:
            ids.compare(expected, answer.raw, name)
        assert normal(answer.typed) == without_extensions(normal(answer.raw)), name
        if operations[name][0] == "GET":
            assert normal(read(ours, name, given)) == normal(answer.raw), name
        driven.add(name)
    assert driven == set(operations) - ours_alone


@pytest.fixture
def run(vendor: VendorSdk) -> dict[str, Any]:
    """Return a running run made through the SDK, with the ids of all that it stands on."""

    def made(method: str, **arguments: Any) -> Any:
        answer = vendor.call(method, **arguments)
        assert answer.error is None, answer.raw
        return answer.raw

    project = made("projects.create", name=f"project {time.time_ns()}")["id"]
    dataset = made("datasets.create", project_id=project, name="rows", description="")["id"]
    rows = made("datasets.create_datapoint", dataset_id=dataset, body=[{}] * 5)
    config = made("model_configs.register", project_id=project, model="m")["config"]["id"]
    evaluator = made(
        "evaluators.create",
        name="e",
        description="",
        arguments_type="target_free",
        return_type="number",
        type="external",
    )["id"]
    created = made(
        "evaluations.create",
        project_id=project,
        config_id=config,
        dataset_id=dataset,
        evaluator_ids=[evaluator],
        hl_generated=False,
        name="with keys",
        provider_api_keys={"openai": SECRET, "anthropic": SECRET},
    )
    made("evaluations.update_status", id=created["id"], status="running")
    return {
        "id": created["id"],
        "project": project,
        "dataset": dataset,
        "config": config,
        "evaluator": evaluator,
        "evaluatee": created["evaluatees"][0]["id"],
        "rows": [row["id"] for row in rows],
    }


def test_a_log_with_everything_is_read_alike(
    vendor: VendorSdk, ours: Evrun, run: dict[str, Any]
) -> None:
    """Every field that the SDK's log takes arrives, and both clients read the same."""
    log = {
        "project_id": run["project"],
        "config_id": run["config"],
        "source_datapoint_id": run["rows"][0],
        "session_reference_id": "a session",
        "inputs": {"q": "?", "n": [1, {"deep": True}]},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        ],
        "output": "Zürich",
        "output_message": {"role": "assistant", "content": "Zürich"},
        "judgment": 0.5,
        "error": "e",
        "stdout": "s",
        "source": "vendor",
        "metadata": {"a": 1},
        "environment": "staging",
        "duration": 1.5,
        "prompt_tokens": 1,
        "output_tokens": 2,
        "prompt_cost": 0.1,
        "output_cost": 0.2,
        "provider_request": {"a": []},
        "provider_response": {"b": {}},
        "reference_id": f"ref {run['id']}",
        "save": True,
        "created_at": "2024-05-01T10:00:00+02:00",
        "feedback": [{"type": "rating", "value": "good"}],
    }
    logged = vendor.call(
        "evaluations.log",
        evaluation_id=run["id"],
        datapoint_id=run["rows"][0],
        evaluatee_id=run["evaluatee"],
        log=log,
    )
    assert logged.error is None, logged.raw
    theirs = vendor.call("logs.get", id=logged.raw["id"])
    assert normal(read(ours, "Logs_get", {"id": logged.raw["id"]})) == normal(theirs.raw)
    kept = ours.logs.get(logged.raw["id"])
    for field in log.keys() - {"created_at", "feedback", "session_reference_id", "messages"}:
        assert getattr(kept, field) == log[field], field
    assert kept.created_at == datetime.fromisoformat("2024-05-01T08:00:00Z")
    assert [normal(each) for each in kept.messages or ()] == normal(log["messages"])


def test_fields_that_nobody_knows_are_not_lost(
    vendor: VendorSdk, ours: Evrun, run: dict[str, Any]
) -> None:
    """The SDK sends what its user adds: in a message it is kept, in a log it is refused by name."""
    given = {"evaluation_id": run["id"], "datapoint_id": run["rows"][0]}
    messages = [{"role": "user", "parts": [{"text": "x"}]}]
    logged = vendor.call("evaluations.log", **given, log={"output": "x", "messages": messages})
    assert logged.error is None, logged.raw
    assert ours.logs.get(logged.raw["id"]).messages == (*messages,)
    refused = vendor.call("evaluations.log", **given, log={"output": "x", "novel": 1})
    assert refused.error == 422
    assert [each["loc"] for each in refused.raw["detail"]] == [["body", "log", "novel"]]


def test_what_our_client_wrote_the_sdk_reads(
    vendor: VendorSdk, ours: Evrun, run: dict[str, Any]
) -> None:
    """Pages of both conventions hold the same records in the same order, filtered alike."""
    bound = ours.run(run["id"])
    for number, row in enumerate(run["rows"]):
        log: LogFields = {
            "output": f"output {number}",
            "source": "ci" if number % 2 else "nightly",
            "session_reference_id": f"{run['id']} {number}",
        }
        logged = bound.log(row, log=log)
        bound.result(logged.id, evaluator_id=run["evaluator"], result=float(number))

    for method, given, expected, first in (
        (
            "logs.list",
            {"project_id": run["project"]},
            [each.id for each in ours.logs.iter_all(run["project"])],
            0,
        ),
        (
            "evaluations.list_datapoints",
            {"id": run["id"]},
            [each.datapoint.id for each in bound.iter_datapoints()],
            1,
        ),
        (
            "sessions.list",
            {"project_id": run["project"]},
            [each.id for each in ours.sessions.iter_all(run["project"])],
            1,
        ),
        (
            "datasets.list_datapoints",
            {"dataset_id": run["dataset"]},
            [each.id for each in ours.datasets.iter_datapoints(run["dataset"])],
            0,
        ),
    ):
        pages = [vendor.call(method, **given, page=first + n, size=2).raw for n in range(4)]
        assert [page["total"] for page in pages] == [5] * 4
        assert [len(page["records"]) for page in pages] == [2, 2, 1, 0]
        theirs = [each.get("datapoint", each)["id"] for page in pages for each in page["records"]]
        assert theirs == expected

    found = vendor.call("logs.list", project_id=run["project"], search="OUTPUT 3").raw
    assert [each["output"] for each in found["records"]] == ["output 3"]
    mean = vendor.call(
        "evaluations.get", id=run["id"], evaluator_aggregates=True, evaluatee_id=run["evaluatee"]
    ).typed["evaluator_aggregates"][0]["aggregate_value"]
    assert mean == 2.0
    aggregates = bound.get(evaluator_aggregates=True).evaluator_aggregates
    assert aggregates is not None
    assert aggregates[0].aggregate_value == mean


def test_the_keys_of_providers_are_kept_nowhere(run: dict[str, Any], url: str) -> None:
    """The SDK always sends them; no byte of the database has them."""
    everything = stored(url)
    assert run["id"].encode() in everything
    assert SECRET.encode() not in everything


@pytest.mark.parametrize(
    ("method", "given", "status", "said"),
    [
        ("projects.get", {"id": f"pr_{MISSING}"}, 404, f"There is no project pr_{MISSING}."),
        ("logs.update_by_ref", {"reference_id": "none", "output": "x"}, 404, "reference_id 'none'"),
        ("projects.get", {"id": "no id"}, 422, "path"),
        ("evaluations.update_status", {"id": "{id}", "status": "pending"}, 422, "cannot become"),
        (
            "evaluations.result",
            {"evaluation_id": "{id}", "log_id": f"data_{MISSING}", "evaluator_id": "{evaluator}"},
            422,
            "result",
        ),
        (
            "evaluations.create",
            {
                "project_id": "{project}",
                "config_id": "{config}",
                "dataset_id": "{dataset}",
                "evaluator_ids": ["{evaluator}"],
            },
            422,
            "hl_generated=false",
        ),
        ("evaluators.delete", {"id": "{evaluator}"}, 409, "uses it"),
    ],
)
def test_failures_come_as_documented(
    vendor: VendorSdk,
    run: dict[str, Any],
    method: str,
    given: dict[str, Any],
    *,
    status: int,
    said: str,
) -> None:
    """The SDK raises its ApiException with the status and the documented body."""
    texts = {key: value for key, value in run.items() if isinstance(value, str)}
    filled = json.loads(re.sub(r"\{(\w+)\}", lambda m: texts[m[1]], json.dumps(given)))
    answer = vendor.call(method, **filled)
    assert answer.error == status
    assert said in json.dumps(answer.raw["detail"])
    detail = answer.raw["detail"]
    assert isinstance(detail, list if status == 422 else str)


def test_a_wrong_key_is_told(vendor_python: Path, base_url: str) -> None:
    """401 reaches the SDK with a sentence that says what to do."""
    with VendorSdk(vendor_python, base_url, "evk_wrong") as sdk:
        answer = sdk.call("projects.list")
    assert answer.error == 401
    assert "evrun keys create" in answer.raw["detail"]
