"""`scripts/import_spec.py`: each step on small documents of our own, and the command as a whole."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from _import_spec import descriptions, identifiers, nullability, patches, slicing
from _import_spec.layout import dump
from _openapi.document import load
from _openapi.refusal import Refusal

ROOT = Path(__file__).resolve().parents[2]


def upstream() -> dict[str, Any]:
    """A document as a vendor writes it: OpenAPI 3.0, ids in prose, nulls unsaid."""
    return {
        "openapi": "3.0.2",
        "info": {"title": "Vendor", "version": "9", "description": "Buy now."},
        "servers": [{"url": "https://api.example.com/v9", "description": "Production"}],
        "paths": {
            "/things/{id}": {
                "get": {
                    "operationId": "Things_get",
                    "summary": "Get",
                    "description": "The vendor's sentence.",
                    "tags": ["Things"],
                    "parameters": [
                        {
                            "name": "id",
                            "in": "path",
                            "required": True,
                            "description": "Starts with `th_`.",
                            "schema": {
                                "type": "string",
                                "title": "Id",
                                "description": "Starts with `th_`.",
                            },
                        }
                    ],
                    "responses": {
                        "200": {
                            "description": "Successful Response",
                            "content": {
                                "application/json": {
                                    "schema": {"$ref": "#/components/schemas/Thing"}
                                }
                            },
                        }
                    },
                }
            },
            "/others": {
                "get": {
                    "operationId": "Others_list",
                    "responses": {
                        "200": {
                            "description": "x",
                            "content": {
                                "application/json": {
                                    "schema": {"$ref": "#/components/schemas/Other"}
                                }
                            },
                        }
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "Thing": {
                    "type": "object",
                    "title": "Thing",
                    "required": ["id", "kind"],
                    "properties": {
                        "id": {"type": "string", "title": "Id"},
                        "kind": {"$ref": "#/components/schemas/Kind"},
                        "parent": {
                            "allOf": [{"$ref": "#/components/schemas/Thing"}],
                            "title": "Parent",
                        },
                        "type": {"type": "string", "enum": ["thing"]},
                        "description": {"type": "string", "description": "A field of that name."},
                        "made": {"type": "string", "format": "date-time"},
                        "size": {"type": "integer", "default": 3},
                    },
                },
                "Kind": {"type": "string", "enum": ["a", "b"], "description": "An enumeration."},
                "Other": {"type": "object", "properties": {}},
            },
            "securitySchemes": {"Key": {"type": "apiKey", "in": "header", "name": "X"}},
        },
    }


OVERLAY = {
    "overlay": "1.0.0",
    "info": {"title": "ours", "version": "1"},
    "actions": [
        {
            "target": "$.components.schemas.Thing.properties.id",
            "description": "Inferred from the path.",
            "update": {"x-id-prefix": "th_"},
        }
    ],
}


def run(folder: Path, document: dict[str, Any], **files: Any) -> subprocess.CompletedProcess[str]:
    """Run the script in `folder` as a person would."""
    inputs = {
        "upstream.json": json.dumps(document),
        "selection.yaml": dump({"operations": ["Things_get"]}),
        "patches.yaml": dump(OVERLAY),
        **{name.replace("_yaml", ".yaml"): dump(data) for name, data in files.items()},
    }
    for name, text in inputs.items():
        (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [
            *(sys.executable, ROOT / "scripts" / "import_spec.py", folder / "upstream.json"),
            *("--selection", folder / "selection.yaml", "--patches", folder / "patches.yaml"),
            *("--output", folder / "openapi.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_the_whole_import(tmp_path: Path) -> None:
    """From a vendor's document to ours: sliced, ids for machines, nulls, no sentence of theirs."""
    result = run(tmp_path, upstream())
    assert result.returncode == 0, result.stderr
    document = load(tmp_path / "openapi.yaml")
    assert document["openapi"] == "3.1.0"
    assert list(document["paths"]) == ["/things/{id}"]
    assert list(document["components"]["schemas"]) == ["Kind", "Thing"]
    (parameter,) = document["paths"]["/things/{id}"]["get"]["parameters"]
    site = {
        "type": "string",
        "pattern": "^th_[A-Za-z0-9_-]+$",
        "maxLength": 128,
        "x-id-prefix": "th_",
    }
    assert parameter["schema"] == site
    properties = document["components"]["schemas"]["Thing"]["properties"]
    assert {k: v for k, v in properties["id"].items() if k != "x-undescribed"} == site
    text = (tmp_path / "openapi.yaml").read_text(encoding="utf-8")
    for theirs in ("Starts with", "vendor's sentence", "Buy now", "Production", "Successful"):
        assert theirs not in text
    assert "undescribed: GET /things/{id}\n" in result.stderr
    assert "undescribed: Thing.description\n" in result.stderr


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    """The import is idempotent, byte for byte."""
    run(tmp_path, upstream())
    first = (tmp_path / "openapi.yaml").read_bytes()
    run(tmp_path, upstream())
    assert (tmp_path / "openapi.yaml").read_bytes() == first


def test_our_descriptions_stay(tmp_path: Path) -> None:
    """What was described here is kept by its place, even when a parameter moves."""
    run(tmp_path, upstream())
    ours = load(tmp_path / "openapi.yaml")
    operation = ours["paths"]["/things/{id}"]["get"]
    operation["summary"] = "Read a thing"
    operation["description"] = "Ours."
    operation["parameters"][0]["description"] = "Which thing."
    properties = ours["components"]["schemas"]["Thing"]["properties"]
    properties["description"]["description"] = "What it is."
    (tmp_path / "openapi.yaml").write_text(dump(ours), encoding="utf-8")
    changed = upstream()
    changed["paths"]["/things/{id}"]["get"]["parameters"].insert(
        0, {"name": "full", "in": "query", "schema": {"type": "boolean"}}
    )
    result = run(tmp_path, changed)
    assert result.returncode == 0
    operation = load(tmp_path / "openapi.yaml")["paths"]["/things/{id}"]["get"]
    assert (operation["summary"], operation["description"]) == ("Read a thing", "Ours.")
    assert operation["parameters"][0]["x-undescribed"] is True
    assert operation["parameters"][1]["description"] == "Which thing."
    properties = load(tmp_path / "openapi.yaml")["components"]["schemas"]["Thing"]["properties"]
    assert properties["description"] == {"type": ["string", "null"], "description": "What it is."}


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (
            {"selection_yaml": {"operations": ["Things_make"]}},
            "#/paths: no operation has the id 'Things_make'",
        ),
        (
            {"patches_yaml": {"actions": [{"target": "$.x", "description": "y", "update": {}}]}},
            "#/actions/0: the target $.x matches nothing",
        ),
        (
            {"patches_yaml": {"actions": [{"target": "$.info", "update": {}}]}},
            "#/actions/0: an action needs a description: the reason why we differ",
        ),
    ],
)
def test_a_bad_input_is_one_line_and_leaves_the_contract_alone(
    tmp_path: Path, files: dict[str, Any], error: str
) -> None:
    """One clear error, status 2, no traceback, and the contract as it was."""
    (tmp_path / "openapi.yaml").write_text("kept: true\n", encoding="utf-8")
    result = run(tmp_path, upstream(), **files)
    assert result.returncode == 2
    assert result.stderr == f"import_spec: {error}\n"
    assert (tmp_path / "openapi.yaml").read_text(encoding="utf-8") == "kept: true\n"


def test_a_document_that_is_none_is_one_line(tmp_path: Path) -> None:
    """A file that cannot be read, or is no document, is named."""
    for text, error in [
        ("- a\n", "x.yaml: holds no object, and so no OpenAPI document"),
        ("a: [", "x.yaml:1: is not YAML: expected the node content"),
        ("{oops", "x.yaml:1: is not JSON: Expecting property name"),
        ("a: 1\na: 2\n", "x.yaml:2: is not YAML: found duplicate key"),
    ]:
        (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(Refusal, match=error):
            load(tmp_path / "x.yaml")
    with pytest.raises(Refusal, match="missing.yaml: cannot be read: No such file"):
        load(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("#/components/schemas/Gone", "points to nothing"),
        ("#/definitions/X", "points to nothing"),
        ("other.yaml#/X", "leaves the document"),
        ("https://example.com/x.json", "leaves the document"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error(reference: str, said: str) -> None:
    """A dangling or remote reference is named with its place, and never dropped."""
    document = upstream()
    document["components"]["schemas"]["Thing"]["properties"]["kind"] = {"$ref": reference}
    with pytest.raises(Refusal, match=said) as caught:
        slicing.select(document, slicing.Selection(("Things_get",)))
    assert caught.value.pointer == "#/components/schemas/Thing/properties/kind/$ref"
    assert repr(reference) in caught.value.message


@pytest.mark.parametrize(
    ("prose", "prefixes"),
    [
        ("Starts with `pr_`.", ["pr_"]),
        ('The ID of the tool. Starts with "oc_"', ["oc_"]),
        ("IDs start with 'evfn_'", ["evfn_"]),
        ("starts with usr_.", ["usr_"]),
        ("Starts with either `config_` or `oc_`.", ["config_", "oc_"]),
        ("Starts with `a_`, `b_` or `c_`.", ["a_", "b_", "c_"]),
        ("Starts with `ann_`, short for annotation.", ["ann_"]),
        ("Must start\nwith `a_`/`b_`.", ["a_", "b_"]),
        ("The key, starting with “sk-live-”.", ["sk-live-"]),
        ("Begins with **x_y_**.", ["x_y_"]),
        ("Prefixed with <code>a1_</code>.", ["a1_"]),
        ("Starts with one of: `a_`, `b_`, or `c_`", ["a_", "b_", "c_"]),
        ("IDs start with `a_` and `b_`.", ["a_", "b_"]),
        ("Starts with `evrun_…`", ["evrun_"]),
        ("Starts with `a_`. Once more: it starts with a_.", ["a_"]),
    ],
)
def test_prose_becomes_prefixes(prose: str, prefixes: list[str]) -> None:
    """Each usual way of saying a prefix in prose is understood."""
    document, undecided = identifiers.mark({"x": {"type": "string", "description": prose}})
    site = document["x"]
    assert [site["x-id-prefix"], *site.get("x-id-prefix-also", [])] == prefixes
    assert undecided == []


@pytest.mark.parametrize(
    "prose", ["Restarts with a_b.", "Page to fetch. Starts from 1.", "Start it.", "snake_case_"]
)
def test_other_prose_stays_prose(prose: str) -> None:
    """A sentence that names no prefix marks nothing, and nothing is asked about it."""
    document, undecided = identifiers.mark({"x": {"type": "string", "description": prose}})
    assert (document["x"], undecided) == ({"type": "string", "description": prose}, [])


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "description": "Starts with a letter."}, "'Starts with a letter.'"),
        ({"type": "string", "description": "Starts with a_b."}, "no prefix in 'Starts with a_b.'"),
        ({"type": "string", "description": "Does not start with `x_`."}, "no prefix in 'start"),
        (
            {"type": "string", "description": "Starts with `a_`. Old ones start with `b_`."},
            "no prefix in 'start with `b_`.'",
        ),
        ({"type": "integer", "description": "Starts with `a_`."}, "a_ is said of no string"),
        ({"type": "object", "description": "Its id starts with a_."}, "a_ is said of no string"),
        (
            {"type": "string", "pattern": "^[a-z_]+$", "description": "Starts with a_."},
            "a_ is not seen in the pattern ^[a-z_]+$",
        ),
    ],
)
def test_prose_that_gives_no_prefix_is_left_to_a_person(schema: dict[str, Any], said: str) -> None:
    """It is listed with its place until a patch gives the site a pattern; never passed over."""
    document, (doubt,) = identifiers.mark({"x": copy.deepcopy(schema)})
    assert doubt.path == ("x",)
    assert said in doubt.said
    document = identifiers.expand(document)
    assert list(identifiers.undecided(document, [doubt])) == [f"#/x: {doubt.said}"]
    document["x"] = {"type": "string", "pattern": "^a"}
    assert list(identifiers.undecided(document, [doubt])) == []


ID = {"type": "string", "x-id-prefix": "a_"}


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ({"type": "array", "items": {"type": "string"}}, {"type": "array", "items": ID}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"anyOf": [ID, {"type": "null"}]},
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            {"oneOf": [ID, {"type": "array", "items": ID}]},
        ),
        ({"type": ["string", "null"]}, {"type": ["string", "null"], "x-id-prefix": "a_"}),
        ({"allOf": [{"$ref": "#/name"}]}, {"allOf": [{**ID, "maxLength": 9}]}),
    ],
    ids=["array", "or null", "one or many", "type list", "reference"],
)
def test_the_prefix_stands_on_each_string(site: dict[str, Any], expected: dict[str, Any]) -> None:
    """On the items of a list, on the alternatives, and not on a string that others refer to."""
    prose = {"description": "IDs start with `a_`"}
    name = {"type": "string", "maxLength": 9}
    document, undecided = identifiers.mark({"x": {**site, **prose}, "name": dict(name)})
    assert document == {"x": {**expected, **prose}, "name": name}
    assert undecided == []


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"type": "string", "description": "Starts with `b_`."},
            "the prose names both a_ and b_",
        ),
        (
            {"type": "string", "pattern": "^b_[a-z]+$"},
            "the prose names a_, but the pattern is ^b_[a-z]+$",
        ),
        (
            {"type": "string", "pattern": "^(a_|b_)[a-z]+$"},
            "the prose names a_, but the pattern is ^(a_|b_)[a-z]+$",
        ),
    ],
)
def test_prose_that_is_contradicted_is_an_error(schema: dict[str, Any], said: str) -> None:
    """Two prefixes, or a prefix and a pattern, for one site are an error and no choice of ours."""
    parameter = {"schema": schema, "description": "Starts with `a_`."}
    with pytest.raises(Refusal) as refused:
        identifiers.mark({"x": parameter})
    assert refused.value.message == said
    assert refused.value.pointer in {"#/x", "#/x/schema"}


@pytest.mark.parametrize("pattern", ["^a_[0-9]{4}$", "^(?:a_|b_)[a-z]+$", "^a_v1_.+$"])
def test_a_pattern_that_agrees_is_kept(pattern: str) -> None:
    """Upstream's own pattern is the narrower fact."""
    prose = "Starts with `a_` or `b_`."
    document, undecided = identifiers.mark(
        {"x": {"type": "string", "pattern": pattern, "description": prose}}
    )
    assert identifiers.expand(document)["x"]["pattern"] == pattern
    assert undecided == []


def test_a_patch_may_set_the_pattern_itself() -> None:
    """Expanding keeps what a patch said, and knows several prefixes."""
    assert identifiers.expand({"x-id-prefix": "a_", "pattern": "^(a_x)?$"}) == {
        "x-id-prefix": "a_",
        "pattern": "^(a_x)?$",
        "maxLength": 128,
    }
    both = identifiers.expand({"x-id-prefix": "a_", "x-id-prefix-also": ["b_"]})
    assert both["pattern"] == "^(a_|b_)[A-Za-z0-9_-]+$"


NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": "integer", "default": 3}, {"type": ["integer", "null"], "default": 3}),
        (
            {"type": "string", "format": "date-time"},
            {"anyOf": [{"type": "string", "format": "date-time"}, NULL]},
        ),
        (
            {"type": "string", "enum": ["a", "b"], "description": "d"},
            {"description": "d", "anyOf": [{"type": "string", "enum": ["a", "b"]}, NULL]},
        ),
        ({"type": "array", "items": {}}, {"anyOf": [{"type": "array", "items": {}}, NULL]}),
        ({"$ref": "#/x"}, {"anyOf": [{"$ref": "#/x"}, NULL]}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, NULL]}),
        ({"oneOf": [{"$ref": "#/x"}]}, {"anyOf": [{"oneOf": [{"$ref": "#/x"}]}, NULL]}),
        ({}, {}),
        ({"description": "anything"}, {"description": "anything"}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"anyOf": [{"type": "string"}, NULL]}, {"anyOf": [{"type": "string"}, NULL]}),
    ],
    ids=str,
)
def test_null_is_allowed_in_the_form_that_generators_carry(
    schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Each kind of schema gets null in its own way, once."""
    assert nullability.nullable(schema) == expected
    assert nullability.nullable(expected) == expected


def test_optional_properties_are_nullable_but_tags_are_not() -> None:
    """What may be left out may be null; a discriminator's tag keeps its one value."""
    document = nullability.optional_properties(nullability.to_3_1(upstream()))
    properties = document["components"]["schemas"]["Thing"]["properties"]
    assert properties["id"] == {"type": "string"}
    assert properties["kind"] == {"$ref": "#/components/schemas/Kind"}
    assert properties["parent"] == {"anyOf": [{"$ref": "#/components/schemas/Thing"}, NULL]}
    assert properties["type"] == {"type": "string", "enum": ["thing"]}
    assert properties["size"] == {"type": ["integer", "null"], "default": 3}


def test_an_enum_of_a_response_is_open() -> None:
    """A value that a later server adds must not break a client that reads it."""
    document = nullability.open_response_enums(nullability.to_3_1(upstream()))
    properties = document["components"]["schemas"]["Thing"]["properties"]
    kind = [{"$ref": "#/components/schemas/Kind"}, {"type": "string"}]
    assert properties["kind"] == {"anyOf": kind}
    assert properties["type"] == {"type": "string", "enum": ["thing"]}
    again = nullability.open_response_enums(copy.deepcopy(document))
    assert again == document


def test_an_enum_of_a_request_stays_closed() -> None:
    """What is sent must be one of the documented values."""
    document = upstream()
    operation = document["paths"]["/things/{id}"]["get"]
    operation["requestBody"] = operation.pop("responses")["200"]
    operation["responses"] = {}
    opened = nullability.open_response_enums(document)
    assert opened["components"]["schemas"]["Thing"]["properties"]["kind"] == {
        "$ref": "#/components/schemas/Kind"
    }


def test_version_3_0_becomes_3_1() -> None:
    """`nullable`, one-element `allOf` and titles go; a property called title stays."""
    assert nullability.to_3_1(
        {
            "title": "T",
            "properties": {
                "title": {"type": "string", "nullable": True},
                "a": {"allOf": [{"$ref": "#/x"}], "description": "d"},
                "b": {"type": "string", "nullable": False},
            },
        }
    ) == {
        "properties": {
            "title": {"type": ["string", "null"]},
            "a": {"$ref": "#/x", "description": "d"},
            "b": {"type": "string"},
        }
    }


def test_dropping_prose_keeps_names() -> None:
    """A schema's description goes, a property called description stays."""
    document = {
        "description": "theirs",
        "properties": {"description": {"description": "theirs", "type": "string"}},
        "examples": [1],
    }
    assert descriptions.drop(document) == {"properties": {"description": {"type": "string"}}}


def test_a_patch_applies_to_every_match() -> None:
    """A target may name many places."""
    document: dict[str, Any] = {"paths": {"/a": {"get": {"x": {}}}, "/b": {"post": {"x": {}}}}}
    action = {"target": "$.paths.*.*.x", "description": "why", "update": {"y": 1}}
    patched = patches.apply(document, {"actions": [action]})
    assert patched == {"paths": {"/a": {"get": {"x": {"y": 1}}}, "/b": {"post": {"x": {"y": 1}}}}}


def test_a_later_patch_changes_what_it_names_and_nothing_else() -> None:
    """Places that an earlier one updated alike stay places of their own."""
    document: dict[str, Any] = {"a": {}, "b": {}}
    actions = [
        {"target": "$.*", "description": "why", "update": {"x": {"y": 1}}},
        {"target": "$.a", "description": "why", "update": {"x": {"z": 2}}},
    ]
    patched = patches.apply(document, {"actions": actions})
    assert patched == {"a": {"x": {"y": 1, "z": 2}}, "b": {"x": {"y": 1}}}


def test_what_is_shared_needs_a_description_where_it_stands() -> None:
    """A parameter or header in components is asked for once, its references never."""
    shared = {"K": {"name": "K", "in": "header"}}
    operation = {"description": "d", "parameters": [{"$ref": "#/K"}], "responses": {}}
    document = {
        "paths": {"/a": {"post": operation}},
        "components": {"parameters": shared, "headers": {"H": {}}},
    }
    assert descriptions.mark_missing(document)[1] == ["parameters.K", "headers.H"]
