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

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "spec_diff.py"

SHAPE: dict[str, Any] = {
    "type": "object",
    "description": "words",
    "required": ["must"],
    "properties": {
        "must": {"type": "string"},
        "may": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a$"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "number": {"type": "integer", "minimum": 1, "default": 5, "format": "int32"},
        "null": {"type": ["string", "null"]},
        "list": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        "one": {
            "oneOf": [
                {"$ref": "#/components/schemas/Node"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "boolean"},
            ]
        },
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "servers": [{"url": "https://one.test"}],
    "paths": {
        "/things/{id}": {
            "post": {
                "operationId": "Things_make",
                "description": "words",
                "security": [{"key": []}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "q", "in": "query", "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/In"}},
                        "text/csv": {"schema": {"type": "string"}},
                    }
                },
                "responses": {
                    "200": {
                        "description": "ok",
                        "headers": {"X-One": {"schema": {"type": "string"}}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Out"}},
                            "text/csv": {"schema": {"type": "string"}},
                        },
                    },
                    "404": {"description": "none"},
                },
            },
            "get": {
                "operationId": "Things_get",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "ok"}, "201": {"description": "ok"}},
            },
        }
    },
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "K"}},
        "schemas": {
            "In": SHAPE,
            "Out": SHAPE,
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"$ref": "#/components/schemas/Node"},
                },
            },
        },
    },
}
TEXT = {"schema": {"type": "string"}}
MAKE, GET = "Things_make", "Things_get"
DELETE = object()


def document(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Return the base with values put at dotted paths (`/` in keys is fine)."""
    changed: dict[str, Any] = json.loads(json.dumps(BASE))
    for path, value in changes:
        *above, last = path.split(".")
        node: Any = changed
        for part in above:
            node = node[int(part) if isinstance(node, list) else part]
        key: Any = int(last) if isinstance(node, list) else last
        if value is DELETE:
            del node[key]
        elif isinstance(node, list) and key == len(node):
            node.append(value)
        else:
            node[key] = value
    return changed


POST = "paths./things/{id}.post"
PLACES = {"request": ("In", "request"), "response": ("Out", "response 200")}

# kind → (path below the schema, the new value, place below the body); both directions in turn.
SCHEMA_CHANGES: list[tuple[str, list[tuple[str, Any]], str]] = [
    ("property-removed", [("properties.may", DELETE)], ".may"),
    ("property-added", [("properties.new", {"type": "string"})], ".new"),
    (
        "property-added-required",
        [("properties.new", {"type": "string"}), ("required", ["must", "new"])],
        ".new",
    ),
    ("became-required", [("required", ["must", "may"])], ".may"),
    ("became-optional", [("required", [])], ".must"),
    ("type-changed", [("properties.must", {"type": "boolean"})], ".must"),
    ("type-widened", [("properties.must", {"type": ["string", "integer"]})], ".must"),
    ("type-widened", [("properties.map.additionalProperties.type", "number")], ".map.*"),
    ("became-nullable", [("properties.must.type", ["string", "null"])], ".must"),
    ("no-longer-nullable", [("properties.null.type", "string")], ".null"),
    ("enum-grew", [("properties.kind.enum", ["a", "b", "c"])], ".kind"),
    ("enum-shrank", [("properties.kind.enum", ["a"])], ".kind"),
    ("enum-introduced", [("properties.must.enum", ["x"])], ".must"),
    ("enum-lifted", [("properties.kind.enum", DELETE)], ".kind"),
    ("pattern-added", [("properties.must.pattern", "^x")], ".must"),
    ("pattern-removed", [("properties.may.pattern", DELETE)], ".may"),
    ("pattern-changed", [("properties.may.pattern", "^b$")], ".may"),
    ("limit-tightened", [("properties.may.maxLength", 5)], ".may"),
    ("limit-tightened", [("properties.may.minLength", 2)], ".may"),
    ("limit-tightened", [("properties.must.maxLength", 5)], ".must"),
    ("limit-loosened", [("properties.may.minLength", DELETE)], ".may"),
    ("limit-loosened", [("properties.number.minimum", 0)], ".number"),
    ("format-changed", [("properties.number.format", "int64")], ".number"),
    ("default-changed", [("properties.number.default", 6)], ".number"),
    ("default-changed", [("properties.number.default", DELETE)], ".number"),
    ("further-fields-refused", [("additionalProperties", False)], ""),
    ("variant-removed", [("properties.one.oneOf.0", DELETE)], ".one"),
    ("variant-added", [("properties.one.oneOf.3", {"type": "object", "title": "x"})], ".one"),
    ("deprecated", [("properties.may.deprecated", True)], ".may"),
    ("description", [("description", "other words")], ""),
]
# Only from a base of its own does a type become narrower, or a field that was refused allowed.
FROM_ANOTHER: dict[str, tuple[list[tuple[str, Any]], list[tuple[str, Any]], str]] = {
    "type-narrowed": (
        [("properties.must", {"type": ["string", "integer"]})],
        [("properties.must", {"type": "string"})],
        ".must",
    ),
    "further-fields-allowed": (
        [("additionalProperties", False)],
        [("additionalProperties", True)],
        "",
    ),
}

OPERATION_CHANGES: list[tuple[str, list[tuple[str, Any]], str, str]] = [
    ("operation-removed", [("paths./things/{id}.get", DELETE)], GET, "GET /things/{id}"),
    (
        "operation-added",
        [("paths./new", {"get": {"operationId": "New", "responses": {}}})],
        "New",
        "GET /new",
    ),
    ("operation-renamed", [(f"{POST}.operationId", "Made")], "Made", "POST /things/{id}"),
    ("deprecated", [(f"{POST}.deprecated", True)], MAKE, "POST /things/{id}"),
    ("deprecated", [(f"{POST}.parameters.1.deprecated", True)], MAKE, "query q"),
    ("security-changed", [(f"{POST}.security", [{"key": [], "two": []}])], MAKE, "security"),
    ("security-widened", [(f"{POST}.security", [{"key": []}, {"two": []}])], MAKE, "security"),
    ("security-changed", [("security", [{"key": []}])], GET, "security"),
    ("parameter-removed", [(f"{POST}.parameters.1", DELETE)], MAKE, "query q"),
    ("parameter-added", [(f"{POST}.parameters.2", {"name": "p", "in": "query"})], MAKE, "query p"),
    (
        "parameter-added-required",
        [(f"{POST}.parameters.2", {"name": "p", "in": "query", "required": True})],
        MAKE,
        "query p",
    ),
    ("parameter-became-required", [(f"{POST}.parameters.1.required", True)], MAKE, "query q"),
    ("parameter-style", [(f"{POST}.parameters.1.explode", False)], MAKE, "query q"),
    (
        "parameter-style",
        [(f"{POST}.parameters.1", {"name": "q", "in": "query", "content": {"text/x": TEXT}})],
        MAKE,
        "query q",
    ),
    ("body-removed", [(f"{POST}.requestBody", DELETE)], MAKE, "request"),
    ("body-added", [("paths./things/{id}.get.requestBody", {"content": {}})], GET, "request"),
    (
        "body-added-required",
        [("paths./things/{id}.get.requestBody", {"content": {}, "required": True})],
        GET,
        "request",
    ),
    ("body-became-required", [(f"{POST}.requestBody.required", True)], MAKE, "request"),
    ("request-media-removed", [(f"{POST}.requestBody.content.text/csv", DELETE)], MAKE, "request"),
    ("request-media-added", [(f"{POST}.requestBody.content.text/x", {})], MAKE, "request"),
    (
        "response-media-removed",
        [(f"{POST}.responses.200.content.text/csv", DELETE)],
        MAKE,
        "response 200",
    ),
    (
        "response-media-added",
        [(f"{POST}.responses.200.content.text/x", {})],
        MAKE,
        "response 200",
    ),
    ("response-added", [(f"{POST}.responses.409", {"description": ""})], MAKE, "response 409"),
    ("response-removed", [(f"{POST}.responses.404", DELETE)], MAKE, "response 404"),
    ("success-added", [(f"{POST}.responses.204", {"description": ""})], MAKE, "response 204"),
    ("success-removed", [("paths./things/{id}.get.responses.201", DELETE)], GET, "response 201"),
    (
        "header-removed",
        [(f"{POST}.responses.200.headers.X-One", DELETE)],
        MAKE,
        "response 200",
    ),
    ("header-added", [(f"{POST}.responses.200.headers.X-2", {})], MAKE, "response 200"),
    ("servers-changed", [("servers.0.url", "https://two.test")], "(document)", "servers"),
    ("description", [(f"{POST}.description", "others")], MAKE, "POST /things/{id}"),
]


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
    assert found(document(), _schema_document(schema, changes)) == {expected}


def _schema_document(schema: str, changes: list[tuple[str, Any]]) -> dict[str, Any]:
    return document(*((f"components.schemas.{schema}.{path}", value) for path, value in changes))


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize("kind", FROM_ANOTHER)
def test_a_change_from_another_base_is_judged(direction: Any, kind: str) -> None:
    """As above, where the base has nothing to change."""
    schema, where = PLACES[direction]
    before, after, place = FROM_ANOTHER[kind]
    old, new = _schema_document(schema, before), _schema_document(schema, after)
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
