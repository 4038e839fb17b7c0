"""What a file of exported data is made of: records, the same in every format.

A record is a mapping of column names to values. Its `kind` says what it is, and which columns it
has. What was not said is not there: None and a missing field mean the same to the API. Nulls within
JSON stay.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

Record = dict[str, Any]
ColumnType = Literal["text", "json", "time", "integer", "number", "flag"]

FORMAT = 1
"""Of the records, not of a file. A reader refuses a later one."""

LOG_FIELDS: dict[str, ColumnType] = {
    "session_id": "text",
    "parent_id": "text",
    "parent_reference_id": "text",
    "inputs": "json",
    "source": "text",
    "metadata": "json",
    "save": "flag",
    "reference_id": "text",
    "messages": "json",
    "output": "text",
    "judgment": "json",
    "environment": "text",
    "feedback": "json",
    "created_at": "time",
    "error": "text",
    "stdout": "text",
    "duration": "number",
    "output_message": "json",
    "prompt_tokens": "integer",
    "output_tokens": "integer",
    "prompt_cost": "number",
    "output_cost": "number",
    "provider_request": "json",
    "provider_response": "json",
}
"""Of a log: what a request can carry, and an import therefore restores."""

READ_ONLY_FIELDS: dict[str, ColumnType] = {
    "user": "text",
    "provider_latency": "number",
    "raw_output": "text",
    "finish_reason": "text",
    "tools": "json",
    "tool_choice": "json",
}
"""Of a log: what only the vendor's platform knows. It is exported; no request can carry it back."""

COLUMNS: dict[str, ColumnType] = {
    "kind": "text",
    "id": "text",
    "project_id": "text",
    "run_id": "text",
    "dataset_id": "text",
    "datapoint_id": "text",
    "config_id": "text",
    "evaluator_ids": "json",
    "evaluator_id": "text",
    "log_id": "text",
    "name": "text",
    "description": "text",
    "status": "text",
    "arguments_type": "text",
    "return_type": "text",
    "type": "text",
    "code": "text",
    "config": "json",
    "target": "json",
    "value": "json",
    **LOG_FIELDS,
    **READ_ONLY_FIELDS,
    "format": "integer",
    "version": "text",
    "counts": "json",
}
"""Every column of every kind, in the order in which tables show them."""

KINDS = (
    "export",  # first: what this is, and when it was made
    "project",
    "config",
    "evaluator",
    "dataset",
    "datapoint",
    "session",
    "log",
    "result",
    "run",  # after its datapoints and logs: a run takes the rows that are there when it is made
    "end",  # last, with the number of each kind: a file without it was cut off
)


def record(kind: str, **values: Any) -> Record:
    """Return a record without what was not said. Instants are in UTC."""
    said = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }
    return {"kind": kind, **said}
