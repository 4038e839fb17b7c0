from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from _openapi.refusal import Refusal
from _spec_diff.operations import diff
from _spec_diff.policy import RULES, Severity, bump
from _support.planted_changes import (
    BASE,
    DELETE,
    FROM_ANOTHER,
    GET,
    MAKE,
    OPERATION_CHANGES,
    PLACES,
    POST,
    SCHEMA_CHANGES,
    document,
    schema_document,
)

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "spec_diff.py"


def found(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, str, str, Severity]]:
    return {(each.operation, each.place, each.kind, each.severity) for each in diff(old, new)}


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize(("kind", "changes", "place"), SCHEMA_CHANGES)
def test_a_change_of_a_schema_is_judged(
    direction: Any, kind: str, changes: list[tuple[str, Any]], place: str
) -> None:
    """The one change is named, at its place, with the severity that its direction gives it."""
    schema, where = PLACES[direction]
    expected = (MAKE, where + place, kind, RULES[direction, kind].severity)
    assert found(document(), schema_document(schema, changes)) == {expected}


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize("kind", FROM_ANOTHER)
def test_a_change_from_another_base_is_judged(direction: Any, kind: str) -> None:
    """As above, where the base has nothing to change."""
    schema, where = PLACES[direction]
    before, after, place = FROM_ANOTHER[kind]
    old, new = schema_document(schema, before), schema_document(schema, after)
    expected = (MAKE, where + place, kind, RULES[direction, kind].severity)
    assert found(old, new) == {expected}


@pytest.mark.parametrize(("kind", "changes", "operation", "place"), OPERATION_CHANGES)
def test_a_change_of_an_operation_is_judged(
    kind: str, changes: list[tuple[str, Any]], operation: str, place: str
) -> None:
    """The one change is named, in its operation, at its place."""
    expected = (operation, place, kind, RULES["operation", kind].severity)
    assert found(document(), document(*changes)) == {expected}


@pytest.mark.parametrize(
    ("kind", "reverse"),
    [
        ("parameter-became-optional", [(f"{POST}.parameters.1.required", True)]),
        ("body-became-optional", [(f"{POST}.requestBody.required", True)]),
    ],
)
def test_a_change_back_is_judged(kind: str, reverse: list[tuple[str, Any]]) -> None:
    """What was required and is not any more."""
    (change,) = diff(document(*reverse), document())
    assert change.kind == kind


def test_an_operation_that_moved_is_no_new_one() -> None:
    """The operationId finds it again, under its new address."""
    new = document()
    new["paths"]["/elsewhere/{id}"] = {"post": new["paths"]["/things/{id}"].pop("post")}
    (change,) = diff(document(), new)
    assert (change.kind, change.old, change.new) == (
        *("operation-moved", "POST /things/{id}"),
        "POST /elsewhere/{id}",
    )


def test_a_name_in_the_path_is_one_change() -> None:
    """`/things/{id}` and `/things/{thing_id}` are the same address."""
    text = json.dumps(BASE).replace("/things/{id}", "/things/{thing}")
    new = json.loads(text.replace('"name": "id"', '"name": "thing"'))
    assert {(each.operation, each.kind) for each in diff(document(), new)} == {
        (MAKE, "parameter-renamed"),
        (GET, "parameter-renamed"),
    }


def test_every_rule_of_the_policy_is_tested() -> None:
    """No kind of change exists that the tables above leave out."""
    kinds = {kind for kind, *_ in SCHEMA_CHANGES} | set(FROM_ANOTHER)
    tested = {(direction, kind) for direction in PLACES for kind in kinds}
    tested |= {("operation", kind) for kind, *_ in OPERATION_CHANGES}
    tested |= {
        ("operation", kind)
        for kind in (
            *("parameter-became-optional", "body-became-optional"),
            *("operation-moved", "parameter-renamed"),
        )
    }
    assert tested == set(RULES)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ([], "none"),
        ([(f"{POST}.description", "x")], "patch"),
        ([("components.schemas.Out.required", ["must", "may"])], "patch"),
        ([("components.schemas.In.properties.new", {})], "minor"),
        ([("components.schemas.Out.properties.kind.enum", ["a", "b", "c"])], "minor"),
        ([("components.schemas.In.properties.kind.enum", ["a"])], "major"),
    ],
)
def test_the_version_follows(changes: list[tuple[str, Any]], part: str) -> None:
    """Breaking is major, a risk or an addition minor, the rest a patch."""
    assert bump(diff(document(), document(*changes))) == part


def test_the_same_in_3_0_and_in_3_1_is_no_change() -> None:
    """Null, one value, exclusive limits and references with words beside them are said twice."""
    new = {
        "const": {"const": "x"},
        "null": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "less": {"type": "number", "exclusiveMaximum": 5},
        "ref": {"$ref": "#/components/schemas/Node"},
        "enums": {"type": "string", "enum": ["a", "b"]},
    }
    old = {
        "const": {"enum": ["x"]},
        "null": {"type": "string", "format": "date", "nullable": True},
        "less": {"type": "number", "maximum": 5, "exclusiveMaximum": True},
        "ref": {"allOf": [{"$ref": "#/components/schemas/Node"}]},
        "enums": {"oneOf": [{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b"]}]},
    }
    documents = [document(("components.schemas.Out.properties", each)) for each in (old, new)]
    assert diff(*documents) == []


def test_a_union_of_types_is_compared_by_its_types() -> None:
    """A list that joins the numbers of a union widens it, and is not another thing altogether."""
    numbers = [{"type": "boolean"}, {"type": "number"}]
    texts = {"type": "array", "items": {"type": "string"}}
    place = "components.schemas.Out.properties.must"
    old, new = (document((place, {"anyOf": each})) for each in (numbers, [*numbers, texts]))
    (change,) = diff(old, new)
    assert (change.kind, change.severity) == ("type-widened", Severity.RISK)
    assert [each.kind for each in diff(new, old)] == ["type-narrowed"]


def test_order_is_no_change() -> None:
    """Keys may stand anywhere."""
    shuffler = random.Random(1)  # noqa: S311 - a shuffle

    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            keys = list(node)
            shuffler.shuffle(keys)
            return {key: shuffled(node[key]) for key in keys}
        return [shuffled(each) for each in node] if isinstance(node, list) else node

    assert diff(document(), shuffled(document())) == []


def test_a_cycle_ends_and_is_reported_once() -> None:
    """A change in a schema that holds itself stands at its shortest place."""
    new = document(("components.schemas.Node.properties.name.type", "integer"))
    assert {(each.place, each.kind) for each in diff(document(), new)} == {
        ("request.one.name", "type-changed"),
        ("response 200.one.name", "type-changed"),
    }


def test_a_shared_schema_is_reported_for_each_operation_that_reaches_it() -> None:
    """Every caller learns of it."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Out"}}}
    shared = ("paths./things/{id}.get.responses.200.content", content)
    old = document(shared)
    new = document(shared, ("components.schemas.Out.properties.may", DELETE))
    assert {each.operation for each in diff(old, new)} == {MAKE, GET}


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("#/components/schemas/None", "points to nothing"),
        ("other.yaml#/Thing", "leaves the document"),
        ("#/components/schemas/Loop", "leads back to itself"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(reference: str, sentence: str) -> None:
    """One sentence with the reference in it, and no endless loop."""
    new = document(
        ("components.schemas.Out.properties.may", {"$ref": reference}),
        ("components.schemas.Loop", {"$ref": "#/components/schemas/Loop"}),
    )
    with pytest.raises(Refusal, match=sentence):
        diff(document(), new)


def run(tmp_path: Path, new: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    for name, content in (("old", BASE), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "old.json", tmp_path / "new.json", *options],
        capture_output=True,
        text=True,
        check=False,
    )


WIDER = [("components.schemas.Out.properties.kind.enum", ["a", "b", "c|<i>"])]


def test_the_command_says_it_in_words(tmp_path: Path) -> None:
    """A block per operation, a line per change, a summary; nothing breaks, so it exits 0."""
    done = run(tmp_path, document(*WIDER))
    assert done.stdout == (
        "Things_make\n"
        "  risk         response 200.kind: It can be c|<i> too. (enum-grew)\n"
        "\n"
        "1 change: 1 risk. Next version: minor.\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_says_it_to_programs(tmp_path: Path) -> None:
    """The JSON has the bump, the counts and each change; a break exits 1."""
    done = run(tmp_path, document((f"{POST}.requestBody", DELETE)), "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "bump": "major",
        "counts": {"breaking": 1, "risk": 0, "compatible": 0, "description": 0},
        "changes": [
            {
                "operation": MAKE,
                "place": "request",
                "kind": "body-removed",
                "severity": "breaking",
                "sentence": "No body is taken any more.",
                "old": None,
                "new": None,
            }
        ],
    }


def test_the_command_says_it_to_reviewers(tmp_path: Path) -> None:
    """Markdown goes into a file; what a document says cannot leave its cell."""
    target = tmp_path / "changes.md"
    done = run(tmp_path, document(*WIDER), "--format", "markdown", "--output", str(target))
    assert (done.returncode, done.stdout) == (0, "")
    assert "| risk | `response 200.kind` | It can be c\\|&lt;i> too. |" in target.read_text("utf-8")


def test_words_are_reported_only_if_asked_for(tmp_path: Path) -> None:
    """`--descriptions` brings them."""
    new = document((f"{POST}.description", "others"))
    assert run(tmp_path, new).stdout == "No change.\n"
    assert "The words changed." in run(tmp_path, new, "--descriptions").stdout


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Exit status 2, and the file is named."""
    done = run(tmp_path, document())
    (tmp_path / "new.json").write_text("{", "utf-8")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "old.json", tmp_path / "new.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("spec_diff: new.json")
    assert done.stderr.count("\n") == 1


def test_nothing_is_changed_by_comparing() -> None:
    """Both documents are left as they were."""
    old, new = document(), document(*WIDER)
    before = copy.deepcopy((old, new))
    diff(old, new)
    assert (old, new) == before
