"""A document, and changes planted in it: one of every kind that a diff can find."""

from __future__ import annotations

import json
from typing import Any

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


def schema_document(schema: str, changes: list[tuple[str, Any]]) -> dict[str, Any]:
    return document(*((f"components.schemas.{schema}.{path}", value) for path, value in changes))
