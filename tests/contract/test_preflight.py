"""What the generators get wrong in silence is refused before they run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from openapi_python_client.strings import snake_case

from _openapi.refusal import Refusal
from _regenerate import contract, preflight

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
JSON = "application/json"


def document() -> dict[str, Any]:
    """Return a document that both generators carry."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/things/{id}": {
                "post": {
                    "operationId": "Things_make",
                    "parameters": [
                        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                    ],
                    "requestBody": {"content": {JSON: {"schema": {"type": "string"}}}},
                    "responses": {"200": {"description": ""}},
                }
            }
        },
        "components": {
            "schemas": {"Thing": {"type": "object", "properties": {"x": {"type": "string"}}}}
        },
    }


POST = "#/paths/~1things~1{id}/post"
THING = "#/components/schemas/Thing"


def operation(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"]["/things/{id}"]["post"]
    return found


def query(**parameter: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change that adds a query parameter."""
    given = {"name": "q", "in": "query", **parameter}
    return lambda document: operation(document)["parameters"].append(given)


def prop(name: str, schema: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change that adds a property."""
    return lambda document: document["components"]["schemas"]["Thing"]["properties"].update(
        {name: schema}
    )


def path(name: str, item: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change that adds a path."""
    return lambda document: document["paths"].update({name: item})


TEXT = {"type": "string"}
TEXT_OBJECT = {"type": "object"}
OK = {"200": {"description": ""}}

REFUSED: list[tuple[Any, str, str]] = [
    *(
        (prop(name, TEXT), f"{THING}/properties/{name}", f"property name {name!r}")
        for name in (
            *("d", "cls", "to_dict", "fromDict", "additionalProperties", "field_dict"),
            *("additional_keys", "model_dump", "modelValidateJson"),
        )
    ),
    (
        lambda document: [prop(name, TEXT)(document) for name in ("a-b", "a.b")],
        f"{THING}/properties/a.b",
        "the property names 'a-b' and 'a.b' become one in code",
    ),
    *(
        (query(name=name, schema=TEXT), f"{POST}/parameters/1/name", f"parameter name {name!r}")
        for name in ("params", "headers", "Cookies", "quote")
    ),
    (
        query(name="body", schema=TEXT),
        POST,
        "a parameter named 'body' beside a body; both become one argument",
    ),
    (
        lambda document: operation(document)["requestBody"]["content"].update({"text/csv": {}}),
        f"{POST}/requestBody/content",
        "several body media types (application/json, text/csv)",
    ),
    (
        query(content={JSON: {"schema": TEXT}}),
        f"{POST}/parameters/1/content",
        "a parameter with 'content'",
    ),
    (
        query(style="deepObject", schema={"type": "object"}),
        f"{POST}/parameters/1/style",
        "style 'deepObject' is ignored",
    ),
    (
        query(style="pipeDelimited", schema={"type": "array", "items": TEXT}),
        f"{POST}/parameters/1/style",
        "style 'pipeDelimited' is ignored",
    ),
    (
        query(explode=False, schema={"type": "array", "items": TEXT}),
        f"{POST}/parameters/1/explode",
        "explode: false is ignored",
    ),
    (query(schema={"type": "object"}), f"{POST}/parameters/1/schema", "an object as a query"),
    (
        prop("l", {"type": "array", "items": TEXT, "default": ["a"]}),
        f"{THING}/properties/l/default",
        "a list or an object as a default is dropped",
    ),
    (
        prop("o", {"anyOf": [{"type": "object", "default": {"a": 1}}, TEXT]}),
        f"{THING}/properties/o/anyOf/0/default",
        "a list or an object as a default is dropped",
    ),
    (
        query(schema={"type": "array", "items": TEXT, "default": []}),
        f"{POST}/parameters/1/schema/default",
        "a list or an object as a default is dropped",
    ),
    (
        path("/b", {"get": {"operationId": "Things_make", "responses": OK}}),
        "#/paths/~1b/get/operationId",
        f"operationId 'Things_make' stands at {POST} already",
    ),
    (
        path("/b", {"$ref": "#/paths/~1things~1{id}"}),
        "#/paths/~1b/$ref",
        "a path that is a $ref loses its operations",
    ),
    (prop("r", {"$ref": "#/components/schemas/None"}), f"{THING}/properties/r/$ref", "to nothing"),
    (prop("r", {"$ref": "other.yaml"}), f"{THING}/properties/r/$ref", "leaves the document"),
    (
        prop("e", {"type": "string", "enum": [str(n) for n in range(1001)]}),
        f"{THING}/properties/e",
        "an enum of 1001 values; at most 1000",
    ),
    (prop("n" * 129, TEXT), f"{THING}/properties/{'n' * 129}", "a name of 129 characters"),
]


@pytest.mark.parametrize(("change", "place", "said"), REFUSED)
def test_what_would_be_lost_is_one_line_with_its_place(change: Any, place: str, said: str) -> None:
    """The sentence says what goes wrong; the pointer says where."""
    changed = document()
    change(changed)
    with pytest.raises(Refusal) as refused:
        contract.read(json.dumps(changed), "spec.json")
    assert refused.value.pointer == place
    assert said in refused.value.message
    assert "\n" not in str(refused.value)


def test_what_is_fine_passes() -> None:
    """The document that the table changes is carried, as is ours; names may differ by case."""
    both = document()
    for name in ("name", "Name", "fooBar", "foo_bar", "a-b", "a_b"):
        prop(name, TEXT)(both)
    assert contract.read(json.dumps(both), "spec.json").operations
    assert contract.read(json.dumps(document()), "spec.json").operations
    ours = (ROOT / "openapi" / "openapi.yaml").read_text("utf-8")
    assert len(contract.read(ours, "openapi.yaml").operations) == 33


@pytest.mark.parametrize(
    "name",
    ["fooBar", "FooBAR", "HTTPServer", "x-y", "foo.bar", "IDs", "toDict", "From-Dict", "CLS"],
)
def test_names_become_what_the_generator_makes_of_them(name: str) -> None:
    """Reserved names are found however they are written."""
    assert preflight.snake(name) == snake_case(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # These the generators notice themselves, or the proof of what they wrote does.
        (
            path("/b", {"get": {"operationId": "things_make", "responses": OK}}),
            f"{POST}: operation 'Things_make' has no module in the generated client; does its",
        ),
        (
            lambda document: [query(name=name, schema=TEXT)(document) for name in ("a-b", "a.b")],
            f"{POST}: openapi-python-client: WARNING parsing POST /things/{{id}} within default.",
        ),
        (
            lambda document: document["components"]["schemas"].update(
                {"thing": {"type": "object"}}
            ),
            "#/components/schemas/thing",
        ),
    ],
)
def test_names_that_collide_by_case_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    """The whole script ends with 2 and one line, and writes nothing."""
    changed = document()
    change(changed)
    (tmp_path / "spec.json").write_text(json.dumps(changed), "utf-8")
    script, spec = ROOT / "scripts" / "regenerate.py", tmp_path / "spec.json"
    done = subprocess.run(
        [sys.executable, script, "--spec", spec, "--output", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("regenerate: ")]
    assert said in line
    assert not (tmp_path / "out").exists()
