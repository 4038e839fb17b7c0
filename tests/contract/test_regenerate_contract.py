"""Which documents `scripts/regenerate.py` refuses, and what it says."""

import pytest

from _openapi.refusal import Refusal
from _regenerate import contract

DOCUMENT = """\
openapi: 3.1.0
info: {title: Pets, version: "1"}
paths:
  /pets/{id}:
    get:
      operationId: Pets_get
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, default: a}}
      responses:
        200:
          description: The pet.
          content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
    delete:
      operationId: Pets_delete
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      responses: {default: {$ref: "#/components/responses/default"}}
components:
  responses:
    default: {description: Done.}
  schemas:
    Pet:
      type: object
      properties:
        $ref: {type: string}
        default: {$ref: "#/components/schemas/Name"}
        born: {type: string, example: {$ref: "#/not/a/reference"}}
    Name: {type: string}
"""


def test_reads_yaml_and_json_alike() -> None:
    """The same document in YAML and in JSON is the same contract, whatever its layout."""
    plain = contract.read(DOCUMENT, "spec.yaml")
    assert contract.read(plain.json, "spec.json").sha256 == plain.sha256
    assert contract.read(f"# A comment.\n{DOCUMENT}\n\n", "spec.yaml").sha256 == plain.sha256
    assert list(plain.document["paths"]["/pets/{id}"]["get"]["responses"]) == ["200"]


def test_the_hash_follows_content_and_order() -> None:
    """A changed value or another order is another contract: both change the output."""
    plain = contract.read(DOCUMENT, "spec.yaml").sha256
    assert contract.read(DOCUMENT.replace("The pet.", "A pet."), "spec.yaml").sha256 != plain
    name = "    Name: {type: string}\n"
    moved = DOCUMENT.replace(name, "").replace("    Pet:\n", f"{name}    Pet:\n")
    assert contract.read(moved, "spec.yaml").sha256 != plain


def test_knows_the_operations() -> None:
    """Each operation has its id, its request and its place."""
    assert contract.read(DOCUMENT, "spec.yaml").operations == (
        contract.Operation("Pets_get", "get", "/pets/{id}", "#/paths/~1pets~1{id}/get"),
        contract.Operation("Pets_delete", "delete", "/pets/{id}", "#/paths/~1pets~1{id}/delete"),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "info: {",
            "info: {{",
            "spec.yaml:3: #: is not YAML: expected ',' or '}', but got '<scalar>'",
            id="syntax",
        ),
        pytest.param(
            "openapi: 3.1.0",
            "openapi: 3.1.0\nopenapi: 3.1.1",
            'spec.yaml:2: #: is not YAML: found duplicate key "openapi" with value "3.1.1"'
            ' (original value: "3.1.0")',
            id="duplicate key",
        ),
        pytest.param(
            "200:",
            "'200': {description: Again.}\n        200:",
            "spec.yaml:9: #/paths/~1pets~1{id}/get/responses: has a key twice, as a number and as a"
            " string",
            id="number and string key",
        ),
        pytest.param(
            "description: Done.",
            "description: 2024-08-05",
            "spec.yaml:20: #/components/responses/default/description: a date is no JSON value; put"
            " it in quotes",
            id="date",
        ),
        pytest.param(
            "default: a",
            "default: .nan",
            "spec.yaml:8: #/paths/~1pets~1{id}/get/parameters/0/schema/default: nan is no JSON"
            " number",
            id="nan",
        ),
        pytest.param(
            "Name: {type",
            "true: {type",
            "spec.yaml:21: #/components/schemas: the key True is no string; put it in quotes",
            id="boolean key",
        ),
        pytest.param(
            '{$ref: "#/components/schemas/Name"}',
            '{$ref: "#/components/schemas/Nmae"}',
            "spec.yaml:26: #/components/schemas/Pet/properties/default/$ref: $ref"
            " '#/components/schemas/Nmae' points to nothing",
            id="dangling reference",
        ),
        pytest.param(
            '{$ref: "#/components/schemas/Name"}',
            '{$ref: "https://example.com/name.json"}',
            "spec.yaml:26: #/components/schemas/Pet/properties/default/$ref: $ref"
            " 'https://example.com/name.json' leaves the document; only '#/…' is followed",
            id="remote reference",
        ),
        pytest.param(
            "Name: {type: string}",
            'Name: {$ref: "#/components/schemas/Name"}',
            "spec.yaml:26: #/components/schemas/Pet/properties/default/$ref: $ref"
            " '#/components/schemas/Name' leads back to itself",
            id="circular reference",
        ),
        pytest.param(
            "openapi: 3.1.0",
            "swagger: '2.0'",
            "spec.yaml: #/openapi: openapi must be 3.0.x or 3.1.x, not nothing",
            id="version",
        ),
        pytest.param(
            DOCUMENT,
            "- just\n- a list\n",
            "spec.yaml: #: holds no OpenAPI document, which is an object",
            id="list",
        ),
        pytest.param(
            DOCUMENT, "", "spec.yaml: #: holds no OpenAPI document, which is an object", id="empty"
        ),
        pytest.param(
            "description: The pet.",
            "summary: The pet.",
            "spec.yaml:10: #/paths/~1pets~1{id}/get/responses/200: is no valid OpenAPI:"
            ' "description" is a required property',
            id="invalid",
        ),
        pytest.param(
            "type: string, default: a",
            "type: string, default: 1",
            "spec.yaml:8: #/paths/~1pets~1{id}/get/parameters/0/schema/default: is no valid"
            " OpenAPI: 1 is not of type 'string'",
            id="default of another type",
        ),
        pytest.param(
            "/pets/{id}",
            "/pets/{pet}",
            "spec.yaml:5: #/paths/~1pets~1{pet}/get: is no valid OpenAPI: Path parameter 'pet' for"
            " 'get' operation in '/pets/{pet}' was not resolved",
            id="undeclared path parameter",
        ),
        pytest.param(
            "operationId: Pets_delete",
            "operationId: Pets_get",
            "spec.yaml:14: #/paths/~1pets~1{id}/delete/operationId: operationId 'Pets_get' stands"
            " at #/paths/~1pets~1{id}/get already; one would overwrite the other",
            id="duplicate operationId",
        ),
        pytest.param(
            "operationId: Pets_delete",
            "summary: Delete",
            "spec.yaml:13: #/paths/~1pets~1{id}/delete: has no operationId, which names its module",
            id="no operationId",
        ),
        pytest.param(
            "components:",
            '  /cats: {$ref: "#/paths/~1pets~1{id}"}\ncomponents:',
            "spec.yaml:18: #/paths/~1cats/$ref: a path that is a $ref loses its operations; write"
            " them here",
            id="path reference",
        ),
        pytest.param(
            DOCUMENT,
            "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths: {}\n",
            "spec.yaml:3: #/paths: has no operations",
            id="no operations",
        ),
        pytest.param(DOCUMENT, "[" * 5000, "spec.yaml: #: is nested too deeply", id="nesting"),
        pytest.param(
            DOCUMENT,
            '{"openapi": "3.1.0",\n"info" {}}',
            "spec.json:2: #: is not JSON: Expecting ':' delimiter",
            id="JSON syntax",
        ),
        pytest.param(
            DOCUMENT,
            '{"openapi": "3.1.0", "openapi": "3.0.0"}',
            'spec.json: #: is not JSON: found duplicate key "openapi"',
            id="JSON duplicate key",
        ),
    ],
)
def test_refuses_in_one_line_with_the_place(old: str, new: str, said: str) -> None:
    """What the generators could not use is named by file, line, JSON pointer and reason."""
    assert old in DOCUMENT
    name = said.partition(":")[0]
    with pytest.raises(Refusal) as refusal:
        contract.read(DOCUMENT.replace(old, new, 1), name)
    # The validator quotes in its own way where `jsonschema_rs` is installed.
    assert str(refusal.value).replace('"', "'") == said.replace('"', "'")
    assert refusal.value.pointer.startswith("#")
