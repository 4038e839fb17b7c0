"""`regenerate.py --spec`: what a new contract breaks, said before anything is replaced."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from _import_spec.layout import dump
from _openapi.document import load
from _regenerate import impact
from _spec_diff.operations import WHOLE
from _spec_diff.policy import RULES, Severity
from _support.planted_changes import (
    FROM_ANOTHER,
    GET,
    MAKE,
    OPERATION_CHANGES,
    PLACES,
    SCHEMA_CHANGES,
    document,
    schema_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "regenerate.py"

pytestmark = pytest.mark.timeout(300)


def schema(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def find(document: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = document["components"]["schemas"][name]
        return found

    return find


def rename(mapping: dict[str, Any], old: str, new: str) -> None:
    mapping[new] = mapping.pop(old)


def plant_breaks(document: dict[str, Any]) -> None:
    """Change what the staged type-check sees."""
    paths = document["paths"]
    del paths["/datapoints/{id}"]  # an operation
    paths["/sessions/{id}"]["get"]["operationId"] = "Sessions_fetch"
    log = schema("CreateEvaluationLogRequest")(document)
    rename(log["properties"], "datapoint_id", "datapoint")  # a property
    log["required"] = ["datapoint", "log"]
    schema("ProjectSortBy")(document)["enum"].remove("name")  # a value
    logs = paths["/logs"]["get"]["parameters"]
    logs.remove(next(each for each in logs if each["name"] == "search"))  # a parameter
    schema("CreateDatasetRequest")(document)["properties"]["name"] = {"type": "integer"}
    body = {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}
    paths["/sessions"]["post"]["requestBody"] = body
    _without_examples(document)


def plant_risks(document: dict[str, Any]) -> None:
    """Change what types cannot see."""
    schemas = document["components"]["schemas"]
    dataset = schemas["DatasetResponse"]
    dataset["required"].remove("datapoint_count")  # nullability and required-ness
    schemas["CreateSessionResponse"]["properties"]["id"]["pattern"] = "^s_"
    parameters = document["paths"]["/evaluations"]["get"]["parameters"]
    size = next(each for each in parameters if each["name"] == "size")
    size["schema"]["default"] = 20
    _without_examples(document)


def _without_examples(node: Any) -> None:
    if isinstance(node, dict):
        for key in ("example", "examples"):
            node.pop(key, None)
        for value in node.values():
            _without_examples(value)
    elif isinstance(node, list):
        for value in node:
            _without_examples(value)


def run(
    tmp_path: Path, plant: Callable[[dict[str, Any]], None], *options: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Regenerate a copy of generated/ from a changed contract, with our overlay on it."""
    document = load(ROOT / "openapi" / "openapi.yaml")
    plant(document)
    spec, output = tmp_path / "new.yaml", tmp_path / "generated"
    spec.write_text(dump(document), "utf-8")
    if not output.exists():
        shutil.copytree(ROOT / "generated", output)
    named: list[str | Path] = ["--spec", spec, "--output", output]
    named += ["--overlay", ROOT / "overlays"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *named, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done, output


def report(printed: str) -> dict[str, list[str]]:
    """Return the functions under each heading."""
    found: dict[str, list[str]] = {"BROKEN": [], "AT RISK": []}
    for line in printed.splitlines():
        for heading, functions in found.items():
            if line.startswith(heading):
                functions.append(line.removeprefix(heading).strip())
    return found


def content(folder: Path) -> dict[str, bytes]:
    files = (each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): each.read_bytes() for each in files}


@pytest.mark.typing
def test_what_breaks_is_named_and_nothing_is_touched(tmp_path: Path) -> None:
    """Each planted break is mapped to the functions that users call; the old tree stays."""
    done, output = run(tmp_path, plant_breaks)
    assert done.returncode == 1, done.stderr
    found = report(done.stdout)
    assert set(found["BROKEN"]) == {
        "datapoints.get",
        "sessions.get",
        "sessions.create",
        *("evaluations.log", "run.log"),
        *("projects.list", "projects.iter_all"),
        *("logs.list", "logs.iter_all"),
        "datasets.create",
        *(
            "evrun.server.api.routes.datasets.get_datapoint",
            "evrun.server.api.routes.datasets.create",
        ),
        *("evrun.server.api.routes.sessions.get", "evrun.server.api.batches.Item.of"),
        "evrun.server.api.routes.logs.list_logs",
    }
    assert found["AT RISK"] == []
    assert "evrun/resources/_evaluation_calls.py:" in done.stdout
    assert 'Unexpected keyword argument "datapoint_id"' in done.stdout
    assert "generated/ is untouched; --accept-breaking" in done.stdout
    assert content(output) == content(ROOT / "generated")


@pytest.mark.typing
def test_what_types_cannot_see_is_at_risk(tmp_path: Path) -> None:
    """It is named with the place of the change, and does not stop the run."""
    done, output = run(tmp_path, plant_risks)
    assert done.returncode == 0, done.stdout + done.stderr
    found = report(done.stdout)
    assert found["BROKEN"] == []
    assert set(found["AT RISK"]) >= {
        *("datasets.get", "datasets.list", "datasets.create"),
        "sessions.create",
        *("evaluations.list", "evaluations.iter_all"),
    }
    assert not set(found["AT RISK"]) & {"logs.get", "evaluators.get", "evaluations.log"}
    for said in (
        "response 201.id: It matches ^s_ now",
        "query size: Left out, it means 20 now; it meant 50.",
        "response 200.datapoint_count: The field can be missing now.",
    ):
        assert said in done.stdout
    assert content(output) != content(ROOT / "generated")


FUNCTIONS = impact.public_functions(ROOT / "overlays")
HIT = {
    MAKE: {"sessions.create"},
    "Made": {"sessions.create"},
    GET: {"sessions.get"},
    WHOLE: {function for each in FUNCTIONS.values() for function in each},
}
"""Whom a change of an operation hits, where our overlay calls the planted document's operations."""

Case = tuple[str, str, "Severity", dict[str, Any], dict[str, Any]]


def cases() -> Iterator[Case]:
    """Yield every planted change: kind, operation, severity, and both documents."""
    for direction, (schema_name, _) in PLACES.items():
        for kind, changes, _ in SCHEMA_CHANGES:
            new = schema_document(schema_name, changes)
            yield kind, MAKE, _severity(direction, kind), document(), new
        for kind, (before, after, _) in FROM_ANOTHER.items():
            old, new = (schema_document(schema_name, each) for each in (before, after))
            yield kind, MAKE, _severity(direction, kind), old, new
    for kind, changes, operation, _ in OPERATION_CHANGES:
        yield kind, operation, _severity("operation", kind), document(), document(*changes)


def _severity(direction: Any, kind: str) -> Severity:
    return RULES[direction, kind].severity


@pytest.mark.parametrize(("kind", "operation", "severity", "old", "new"), list(cases()))
def test_a_planted_change_hits_whoever_calls_the_operation(
    kind: str, operation: str, severity: Severity, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """A break or a risk of any kind names the functions; what is compatible names none."""
    ours = {MAKE: "Sessions_create", GET: "Sessions_get"}
    before, after = (renamed(each, ours) for each in (old, new))
    hit = impact.at_risk(before, after, FUNCTIONS)
    assert set(hit) == (HIT[operation] if severity >= Severity.RISK else set())
    assert all(len(said) == 1 for said in hit.values())


def renamed(document: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the document with operationIds that our overlay calls."""
    text = json.dumps(document)
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    made: dict[str, Any] = json.loads(text)
    return made


def test_every_public_function_is_known() -> None:
    """What can be called on the client, or on a bound run, is in the report."""
    known = {function for each in FUNCTIONS.values() for function in each}
    assert {"run.log", "run.datapoints", "evaluations.iter_all", "logs.get"} <= known
    assert len(FUNCTIONS) == 33


@pytest.mark.typing
def test_a_break_can_be_accepted(tmp_path: Path) -> None:
    """The report is the same, and the tree is written."""
    done, output = run(tmp_path, plant_breaks, "--accept-breaking")
    assert done.returncode == 0, done.stderr
    assert "datapoints.get" in report(done.stdout)["BROKEN"]
    assert not (output / "evrun_api/api/datapoints/datapoints_get.py").exists()


@pytest.mark.typing
def test_the_same_contract_says_nothing(tmp_path: Path) -> None:
    """There is nothing to type-check where nothing changes."""
    done, _ = run(tmp_path, _without_examples)
    assert (done.returncode, report(done.stdout)) == (0, {"BROKEN": [], "AT RISK": []})
