"""`openapi/llms.txt`: the whole API on a few pages of plain text, for a reader in a hurry.

The form is that of https://llmstxt.org: a title, a summary in a quote, then sections of lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _openapi.walk import operations

if TYPE_CHECKING:
    from collections.abc import Iterator


ERRORS = (
    'Errors are `{"detail": "…"}`; 422 has a list of `{"loc", "msg", "type"}` instead. Optional '
    "fields are marked `?` and may be null. `pr_…` is an id with its prefix."
)


def render(document: dict[str, Any]) -> str:
    """Return the summary of a contract."""
    info = document["info"]
    lines = [
        f"# {info['title']} {info['version']}",
        "",
        f"> {_flat(info['summary'])}",
        "",
        *_paragraphs(info["description"]),
        "",
        ERRORS,
    ]
    for tag in document["tags"]:
        lines += ["", f"## {tag['name']}", "", _flat(tag["description"]), ""]
        for path, method, operation in operations(document):
            if tag["name"] in operation["tags"]:
                lines += _operation(path, method, operation)
    lines += ["", "## Objects", ""]
    for name, schema in document["components"]["schemas"].items():
        lines.append(f"- {name}: {_flat(schema['description'])} {_shape(schema)}".rstrip())
    return "\n".join(lines) + "\n"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    deprecated = " (deprecated)" if operation.get("deprecated") else ""
    yield (
        f"- `{method.upper()} {path}` {operation['operationId']}{deprecated}: "
        f"{_flat(operation['description'])}"
    )
    parameters = [p for p in operation.get("parameters", ()) if p.get("in") == "query"]
    if parameters:
        yield f"  - query: {', '.join(map(_parameter, parameters))}"
    body = operation.get("requestBody")
    if body:
        yield f"  - body: {_type(body['content']['application/json']['schema'])}"
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            content = response.get("content", {}).get("application/json")
            yield f"  - {status}: {_type(content['schema']) if content else 'no content'}"
    failures = [status for status in operation["responses"] if not status.startswith("2")]
    yield f"  - errors: {', '.join(failures)}"


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    default = f" = {schema['default']}" if "default" in schema else ""
    mark = "" if parameter["required"] else "?"
    return f"{parameter['name']}{mark}: {_type(schema)}{default}"


def _shape(schema: dict[str, Any]) -> str:
    properties = schema.get("properties")
    if not properties:
        return f"`{_type(schema)}`"
    required = schema.get("required", ())
    fields = (
        f"{name}{'' if name in required else '?'}: {_type(each)}"
        for name, each in properties.items()
    )
    return "`{" + ", ".join(fields) + "}`"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "x-id-prefix" in schema:
        return f"{schema['x-id-prefix']}…"
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            # Null is said by the question mark.
            return " | ".join(_type(each) for each in schema[key] if each.get("type") != "null")
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        kind = " | ".join(each for each in kind if each != "null")
    if kind == "array":
        return f"[{_type(schema['items'])}]"
    return str(schema.get("format", kind))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _paragraphs(text: str) -> Iterator[str]:
    for index, paragraph in enumerate(text.split("\n\n")):
        if index:
            yield ""
        yield _flat(paragraph)
