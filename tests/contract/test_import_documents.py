"""Any OpenAPI document is imported whole or refused in one line, whoever wrote it and however."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import import_spec
from _import_spec import descriptions, discriminators, nullability, patches, slicing
from _import_spec.layout import dump
from _openapi.document import load
from _openapi.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = slicing.Selection(everything=True)
NULL = {"type": "null"}
JSON = "application/json"


def answer(schema: Any) -> dict[str, Any]:
    return {"200": {"description": "theirs", "content": {JSON: {"schema": schema}}}}


def ref(name: str, section: str = "schemas") -> dict[str, Any]:
    return {"$ref": f"#/components/{section}/{name}"}


def document() -> dict[str, Any]:
    """A document of another vendor: 3.1, shared parameters, security for all, no descriptions."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zoo", "version": "1"},
        "servers": [{"url": "https://zoo.test"}],
        "security": [{"key": []}],
        "paths": {
            "/pets/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    ref("Page", "parameters"),
                ],
                "get": {"operationId": "getPet", "tags": ["pets"], "responses": answer(ref("Pet"))},
                "delete": {
                    "operationId": "deletePet",
                    "tags": ["pets", "danger"],
                    "security": [],
                    "parameters": [{"name": "page", "in": "query", "schema": {"type": "string"}}],
                    "responses": {"204": ref("Gone", "responses")},
                },
            },
            "/owners": {
                "get": {"operationId": "listOwners", "tags": ["owners"], "responses": answer({})}
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "K"}},
            "parameters": {
                "Page": {"name": "page", "in": "query", "schema": {"type": "integer"}},
            },
            "responses": {"Gone": {"description": "theirs"}},
            "schemas": {
                "Pet": {"oneOf": [ref("Cat"), ref("Dog")]},
                "Cat": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
                },
                "Dog": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {"kind": {"type": "string", "enum": ["dog"]}},
                },
                "Unused": {"type": "object"},
            },
        },
    }


def imported(upstream: dict[str, Any], selection: slicing.Selection = EVERYTHING) -> dict[str, Any]:
    return import_spec.contract(upstream, selection, {}, {})[0]


def ids(document: dict[str, Any]) -> set[str]:
    items = document["paths"].values()
    return {operation["operationId"] for item in items for operation in item.values()}


def put(*path: Any, value: Any) -> Change:
    """Return a change that sets a value at a path."""

    def change(document: dict[str, Any]) -> None:
        node: Any = document
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "upstream").write_text(text, encoding="utf-8")
    (folder / "patches.yaml").write_text("actions: []\n", encoding="utf-8")
    named = {"--patches": folder / "patches.yaml", "--output": folder / "openapi.yaml"}
    command = [sys.executable, str(ROOT / "scripts" / "import_spec.py"), str(folder / "upstream")]
    for option, path in named.items():
        command += [option, str(path)]
    return subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--all"], {"getPet", "deletePet", "listOwners"}),
        (["--tag", "pets"], {"getPet", "deletePet"}),
        (["--tag", "danger", "--tag", "owners"], {"deletePet", "listOwners"}),
        (["--operation", "getPet"], {"getPet"}),
        (["--operation", "getPet", "--tag", "owners"], {"getPet", "listOwners"}),
    ],
)
def test_operations_are_selected_on_the_command_line(
    tmp_path: Path, options: list[str], expected: set[str]
) -> None:
    """By operationId, by tag or all; each may be given several times."""
    done = run(tmp_path, json.dumps(document()), *options)
    assert done.returncode == 0, done.stderr
    assert ids(load(tmp_path / "openapi.yaml")) == expected
    assert done.stdout.startswith(f"wrote openapi.yaml: {len(expected)} operations, ")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"operations": "all"}, {"getPet", "deletePet", "listOwners"}),
        ({"operations": ["getPet"]}, {"getPet"}),
        ({"tags": ["owners"]}, {"listOwners"}),
        ({"operations": ["getPet"], "tags": ["danger"]}, {"getPet", "deletePet"}),
    ],
)
def test_operations_are_selected_by_a_file(selection: Any, expected: set[str]) -> None:
    """As on the command line."""
    assert ids(imported(document(), slicing.Selection.read(selection))) == expected


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"operations": ["getOwner"]}, "#/paths: no operation has the id 'getOwner'"),
        ({"tags": ["cats"]}, "#/paths: no operation has the tag 'cats'"),
        ({}, "#/paths: no operation is selected"),
        ({"operations": "some"}, "#/operations: must be a list of names, or 'all'"),
        ({"tags": "pets"}, "#/tags: must be a list of names"),
        ({"operation": ["getPet"]}, "#/operation: a selection has 'operations' and 'tags'"),
    ],
)
def test_a_selection_that_selects_nothing_is_an_error(selection: Any, said: str) -> None:
    """A name that nothing has is no smaller contract."""
    with pytest.raises(Refusal) as refused:
        imported(document(), slicing.Selection.read(selection))
    assert str(refused.value) == said


def test_the_layout_of_a_document_means_nothing(tmp_path: Path) -> None:
    """JSON or YAML, and in any order: the same bytes come out, and again."""
    texts = [json.dumps(document()), dump(document()), json.dumps(shuffled(document()))]
    written = set()
    for text in [*texts, texts[0]]:
        assert run(tmp_path, text, "--all").returncode == 0
        written.add((tmp_path / "openapi.yaml").read_bytes())
    (tmp_path / "openapi.yaml").unlink()
    assert run(tmp_path, texts[2], "--all").returncode == 0
    written.add((tmp_path / "openapi.yaml").read_bytes())
    assert len(written) == 1


def shuffled(node: Any) -> Any:
    """Return the same document with its keys in another order."""
    if isinstance(node, list):
        return [shuffled(each) for each in node]
    if not isinstance(node, dict):
        return node
    keys = list(node)
    random.Random(7).shuffle(keys)  # noqa: S311 -- any other order will do
    return {key: shuffled(node[key]) for key in keys}


def test_paths_stand_where_they_stood(tmp_path: Path) -> None:
    """A new path comes after those that our contract has, whose order upstream cannot change."""
    assert run(tmp_path, json.dumps(document()), "--operation", "getPet").returncode == 0
    assert run(tmp_path, json.dumps(document()), "--all").returncode == 0
    assert list(load(tmp_path / "openapi.yaml")["paths"]) == ["/pets/{id}", "/owners"]


def test_version_3_0_and_3_1_say_the_same() -> None:
    """What 3.0 says in its own way comes out as from 3.1."""
    newer, older = document(), document()
    older["openapi"] = "3.0.3"
    schemas: dict[str, dict[str, Any]] = {
        "a": {"type": "string", "nullable": True},
        "b": {"type": "number", "minimum": 1, "exclusiveMinimum": True},
        "c": {"type": "string", "enum": ["x", "y", None], "nullable": True},
        "d": {"allOf": [ref("Dog")], "nullable": True},
        "title": {"type": "string", "title": "Title"},
    }
    older["components"]["schemas"]["Cat"]["properties"] |= schemas
    older["components"]["schemas"]["Cat"]["properties"]["kind"] = {"enum": ["cat"]}
    newer["components"]["schemas"]["Cat"]["properties"] |= {
        "a": {"type": ["string", "null"]},
        "b": {"type": "number", "exclusiveMinimum": 1},
        "c": {"anyOf": [{"type": "string", "enum": ["x", "y"]}, NULL]},
        "d": {"anyOf": [ref("Dog"), NULL]},
        "title": {"type": "string"},
    }
    newer["components"]["schemas"]["Cat"]["properties"]["kind"] = {"enum": ["cat"]}
    assert imported(older) == imported(newer)


def test_what_a_path_or_document_says_for_all_stands_on_each() -> None:
    """Shared parameters and security are written out; what an operation says itself counts."""
    pet = imported(document())["paths"]["/pets/{id}"]
    (first, second) = pet["get"]["parameters"]
    assert (first["name"], second) == ("id", ref("Page", "parameters"))
    assert [each["name"] for each in pet["delete"]["parameters"]] == ["id", "page"]
    assert pet["delete"]["parameters"][1]["schema"] == {"type": "string"}
    assert (pet["get"]["security"], pet["delete"]["security"]) == ([{"key": []}], [])


def test_only_what_is_reached_comes_along() -> None:
    """Components that no selected operation needs stay behind; those that a tag names do not."""
    upstream = document()
    schemas = upstream["components"]["schemas"]
    schemas["Pet"]["discriminator"] = {"propertyName": "kind", "mapping": {"cat": "Cat"}}
    assert sorted(imported(upstream)["components"]["schemas"]) == ["Cat", "Dog", "Pet"]
    schemas["Pet"]["oneOf"].pop()
    schemas["Pet"]["discriminator"]["mapping"]["unused"] = "#/components/schemas/Unused"
    cut = slicing.select(upstream, EVERYTHING)
    assert sorted(cut["components"]["schemas"]) == ["Cat", "Pet", "Unused"]
    assert cut["components"]["schemas"]["Pet"]["discriminator"]["mapping"] == {
        "cat": "#/components/schemas/Cat",
        "unused": "#/components/schemas/Unused",
    }


def test_deep_references_are_written_out() -> None:
    """Generators follow references to components alone; the others are replaced by their target."""
    upstream = document()
    upstream["paths"]["/owners"]["post"] = {
        "operationId": "addOwner",
        "requestBody": {
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/Cat/properties/lives"}},
            }
        },
        "responses": {"200": {"$ref": "#/paths/~1pets~1{id}/get/responses/200"}},
    }
    upstream["paths"]["/again"] = {"$ref": "#/components/pathItems/again"}
    again = copy.deepcopy(upstream["paths"]["/owners"]["get"]) | {"operationId": "again"}
    upstream["components"]["pathItems"] = {"again": {"get": again}}
    made = imported(upstream)
    post = made["paths"]["/owners"]["post"]
    assert post["requestBody"]["content"][JSON]["schema"]["type"] == "integer"
    assert post["responses"]["200"]["content"][JSON]["schema"] == ref("Pet")
    assert made["paths"]["/again"]["get"]["operationId"] == "again"


CAT = ("components", "schemas", "Cat")
GET = ("paths", "/pets/{id}", "get")


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        (put("openapi", value="2.0"), "#/openapi", "openapi must be 3.0.x or 3.1.x, not 2.0"),
        (put("paths", value=[]), "#/paths", "is no object"),
        (put("paths", "/owners", value=3), "#/paths/~1owners", "is no object"),
        (put(*GET, value="x"), "#/paths/~1pets~1{id}/get", "is no object"),
        (put("components", value=[]), "#/components", "is no object"),
        (
            put(*GET, "operationId", value=""),
            "#/paths/~1pets~1{id}/get",
            "has no operationId, by which everything here is named",
        ),
        (
            put(*GET, "operationId", value="deletePet"),
            "#/paths/~1pets~1{id}/delete",
            "operationId 'deletePet' stands at #/paths/~1pets~1{id}/get already",
        ),
        (
            put(*CAT, value={"allOf": [ref("Cat"), {"type": "object"}]}),
            "#/components/schemas/Cat/allOf/0/$ref",
            "#/components/schemas/Cat is all of itself",
        ),
        (
            put(*CAT, value={"allOf": [{"allOf": [ref("Dog")]}], "x": 1}),
            "",
            "",
        ),
        (
            put(*CAT, value=ref("Cat")),
            "#/components/schemas/Cat/$ref",
            "$ref '#/components/schemas/Cat' leads back to itself",
        ),
        (
            put(*CAT, "properties", "x", value={"$ref": "#/components/schemas/Cat/properties"}),
            "#/components/schemas/Cat/properties/x/x/$ref",
            "$ref '#/components/schemas/Cat/properties' contains itself; make it a component",
        ),
        (
            put(*CAT, "properties", "x", value={"type": "text"}),
            "#/components/schemas/Cat/properties/x",
            "is no valid OpenAPI: ",
        ),
        (
            put("components", "parameters", "Page", value=ref("Page", "parameters")),
            "#/paths/~1pets~1{id}/parameters",
            "$ref '#/components/parameters/Page' leads back to itself",
        ),
        (
            lambda document: document["components"]["schemas"].update(
                Cat=variant(kind=ref("Bark")), Bark=ref("Woof"), Woof=ref("Bark")
            ),
            "#/components/schemas/Bark/$ref",
            "leads back to itself",
        ),
        (
            put("paths", "/owners", value={"$ref": "other.yaml"}),
            "#/paths/~1owners/$ref",
            "$ref 'other.yaml' leaves the document; only '#/…' is followed",
        ),
    ],
)
def test_an_unusable_document_is_one_clear_error(change: Change, place: str, said: str) -> None:
    """With the place, whatever is wrong; what is only unusual is imported."""
    upstream = document()
    change(upstream)
    if not said:
        assert imported(upstream)["components"]["schemas"]["Cat"]
        return
    with pytest.raises(Refusal) as refused:
        imported(upstream)
    assert refused.value.pointer.startswith(place)
    assert said in refused.value.message
    assert "\n" not in str(refused.value)


def test_two_schemas_that_are_all_of_each_other_are_an_error() -> None:
    """A cycle through several is found too; one through a property is a tree, and fine."""
    upstream = document()
    upstream["components"]["schemas"] |= {
        "Cat": {"allOf": [ref("Dog"), {"type": "object"}]},
        "Dog": {"allOf": [{"type": "object"}, ref("Cat")]},
    }
    with pytest.raises(Refusal, match="is all of itself"):
        imported(upstream)
    upstream["components"]["schemas"]["Dog"] = {"properties": {"child": ref("Cat")}}
    assert imported(upstream)["components"]["schemas"]["Dog"]


def variant(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def text(value: str) -> dict[str, Any]:
    return {"type": "string", "enum": [value]}


def mapping(name: str, **tags: str) -> dict[str, Any]:
    return {
        "propertyName": name,
        "mapping": {tag: f"#/components/schemas/{schema}" for tag, schema in tags.items()},
    }


@pytest.mark.parametrize(
    ("schemas", "union", "expected"),
    [
        pytest.param(
            {"A": variant(t=text("a")), "B": variant(t={"const": "b"})},
            {"oneOf": [ref("A"), ref("B")]},
            {"oneOf": [ref("A"), ref("B")], "discriminator": mapping("t", a="A", b="B")},
            id="each has its own tag",
        ),
        pytest.param(
            {"A": variant(t=text("a")), "B": variant(t=text("b"))},
            {"anyOf": [ref("A"), ref("B"), NULL]},
            {
                "anyOf": [
                    {"anyOf": [ref("A"), ref("B")], "discriminator": mapping("t", a="A", b="B")},
                    NULL,
                ]
            },
            id="null has none, and stands outside",
        ),
        pytest.param(
            {"A": variant(t=text("a")), "B": variant(t=text("a"))},
            {"oneOf": [ref("A"), ref("B")], "discriminator": mapping("t", a="A", b="B")},
            {"oneOf": [ref("A"), ref("B")]},
            id="two have the same tag",
        ),
        pytest.param(
            {"A": variant(t=text("a")), "B": variant(u=text("b"))},
            {"oneOf": [ref("A"), ref("B")], "discriminator": mapping("t", a="A", b="B")},
            {"oneOf": [ref("A"), ref("B")]},
            id="one has no tag",
        ),
        pytest.param(
            {"A": variant(t=text("a")), "B": variant(t={"type": "string", "enum": ["b", "c"]})},
            {"oneOf": [ref("A"), ref("B")]},
            {"oneOf": [ref("A"), ref("B")]},
            id="one has two values",
        ),
        pytest.param(
            {"A": variant(t=text("a"), s=text("x")), "B": variant(t=text("b"), s=text("y"))},
            {"oneOf": [ref("A"), ref("B")], "discriminator": {"propertyName": "t"}},
            {"oneOf": [ref("A"), ref("B")], "discriminator": mapping("t", a="A", b="B")},
            id="upstream chooses the property",
        ),
        pytest.param(
            {
                "A": {"type": "object", "properties": {"t": text("a")}},
                "B": {"type": "object", "properties": {"t": text("b")}},
            },
            {"oneOf": [ref("A"), ref("B")]},
            {"oneOf": [ref("A"), ref("B")]},
            id="an optional tag is not ours to choose",
        ),
        pytest.param(
            {"A": variant(t=text("a"))},
            {"oneOf": [ref("A"), {"type": "string"}]},
            {"oneOf": [ref("A"), {"type": "string"}]},
            id="one is no object",
        ),
        pytest.param(
            {"A": variant(t=text("a"))},
            {"anyOf": [ref("A"), NULL]},
            {"anyOf": [ref("A"), NULL]},
            id="one alone",
        ),
    ],
)
def test_unions_are_told_apart_by_tags(
    schemas: dict[str, Any], union: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A discriminator stands where every variant has a distinct tag, and nowhere else."""
    made = discriminators.write({"components": {"schemas": {**schemas, "U": union}}})
    assert made["components"]["schemas"]["U"] == expected


def test_a_tag_is_said_in_the_variant_and_never_null() -> None:
    """A referenced tag is written out; later steps leave it its one value."""
    upstream = document()
    schemas = upstream["components"]["schemas"]
    schemas["Bark"] = text("dog")
    schemas["Dog"]["properties"]["kind"] = ref("Bark")
    made = imported(upstream)["components"]["schemas"]
    assert made["Pet"]["discriminator"] == mapping("kind", cat="Cat", dog="Dog")
    kinds = [made[name]["properties"]["kind"] for name in ("Cat", "Dog")]
    assert [{k: v for k, v in each.items() if k != "x-undescribed"} for each in kinds] == [
        {"const": "cat"},
        text("dog"),
    ]


def test_null_and_open_enums_reach_inline_schemas() -> None:
    """Also what has no name of its own is nullable where optional, and open where read."""
    kind = {"type": "string", "enum": ["a", "b"]}
    inline = {"type": "object", "properties": {"kind": kind, "tag": {"const": "x"}}}
    upstream = document()
    upstream["paths"]["/owners"]["get"]["responses"] = answer({"type": "array", "items": inline})
    items = imported(upstream)["paths"]["/owners"]["get"]["responses"]["200"]
    assert items["content"][JSON]["schema"]["items"]["properties"] == {
        "kind": {"anyOf": [kind, {"type": "string"}, NULL]},
        "tag": {"const": "x"},
    }


def test_data_is_no_schema() -> None:
    """What looks like a keyword inside a default, an enum or a name stays as it is."""
    data = {"title": "t", "nullable": True, "description": "d", "allOf": [{}]}
    schema = {"properties": {"title": {"default": data}, "nullable": {"const": data}}}
    assert nullability.to_3_1(schema) == schema
    assert descriptions.drop(schema) == schema


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"target": "$.info"}, "an action needs a description: the reason why we differ"),
        ({"description": "d", "update": {}}, "an action needs a target: a JSONPath"),
        ("$.info", "an action needs a target: a JSONPath"),
        ({"target": "$.x", "description": "d", "update": {}}, "the target $.x matches nothing"),
        ({"target": "$.x[", "description": "d", "update": {}}, "$.x[ is no JSONPath: "),
        ({"target": "$.info", "description": "d"}, "an action does one of remove, update"),
        (
            {"target": "$.info", "description": "d", "update": {}, "remove": True},
            "an action does one of remove, update",
        ),
        ({"target": "$.info", "description": "d", "udpate": {}}, "an action has no 'udpate'"),
        ({"target": "$", "description": "d", "update": 3}, "cannot be applied to $: "),
    ],
)
def test_a_patch_that_does_nothing_is_an_error(action: Any, said: str) -> None:
    """Strictly: each action has a reason, a place and an effect."""
    with pytest.raises(Refusal) as refused:
        patches.apply(document(), {"actions": [action]})
    assert refused.value.pointer == "#/actions/0"
    assert refused.value.message.startswith(said)


def test_new_places_are_marked_until_described(tmp_path: Path) -> None:
    """Also shared parameters and responses; a response has the text that it must have: none."""
    done = run(tmp_path, json.dumps(document()), "--operation", "deletePet")
    assert done.stderr.splitlines() == [
        "undescribed: DELETE /pets/{id}",
        "undescribed: DELETE /pets/{id} id",
        "undescribed: DELETE /pets/{id} page",
        "undescribed: responses.Gone",
    ]
    made = load(tmp_path / "openapi.yaml")
    assert made["components"]["responses"]["Gone"] == {"description": "", "x-undescribed": True}
    made["components"]["responses"]["Gone"] = {"description": "It is no more."}
    (tmp_path / "openapi.yaml").write_text(dump(made), encoding="utf-8")
    done = run(tmp_path, json.dumps(document()), "--operation", "deletePet")
    assert "responses.Gone" not in done.stderr
    again = load(tmp_path / "openapi.yaml")["components"]["responses"]["Gone"]
    assert again == {"description": "It is no more."}


def test_what_was_imported_can_be_generated(tmp_path: Path) -> None:
    """The whole way: a document of another vendor becomes two packages that import."""
    upstream = document()
    upstream["components"]["schemas"]["Cat"]["properties"]["owner"] = {
        "type": "string",
        "description": "The owner. Starts with `own_`.",
    }
    assert run(tmp_path, json.dumps(upstream), "--all").returncode == 0
    script, spec = ROOT / "scripts" / "regenerate.py", tmp_path / "openapi.yaml"
    done = subprocess.run(
        [sys.executable, script, "--spec", spec, "--output", tmp_path / "generated"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    models = (tmp_path / "generated" / "evrun_models" / "__init__.py").read_text("utf-8")
    assert 'pattern="^own_[A-Za-z0-9_-]+$"' in models
    assert 'discriminator="kind"' in models
