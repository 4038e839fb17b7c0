"""The records of an exported file, the same in every format.

A record maps column names to values. Its `kind` decides which columns it has. Unset values are
missing, because None and a missing field mean the same to the API. Nulls within JSON stay.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

Record = dict[str, Any]
ColumnType = Literal["text", "json", "time", "integer", "number", "flag"]

FORMAT = 1
"""The version of the records. A reader refuses a later version."""

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
"""The fields of a log that a request accepts, so an import restores them."""

READ_ONLY_FIELDS: dict[str, ColumnType] = {
    "user": "text",
    "provider_latency": "number",
    "raw_output": "text",
    "finish_reason": "text",
    "tools": "json",
    "tool_choice": "json",
}
"""The fields of a log that only the vendor's platform set. No request accepts them."""

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
"""All columns of all kinds, in the order of the tables."""

KINDS = (
    "export",  # first: the subject and the time
    "project",
    "config",
    "evaluator",
    "dataset",
    "datapoint",
    "session",
    "log",
    "result",
    "run",  # after its datapoints and logs: a new run takes the datapoints that exist then
    "end",  # last, with the number of each kind: a file without it is incomplete
)


def record(kind: str, **values: Any) -> Record:
    """Return a record without unset values. Times are in UTC."""
    said = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }
    return {"kind": kind, **said}
