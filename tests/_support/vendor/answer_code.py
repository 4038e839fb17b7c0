"""Run inside the vendor's environment: a piece of code a line on stdin, its outcome on stdout.

{"code": "client.projects.list()"} → {"value": …}, what the piece made, as JSON; or
{"raised": ["NotThere", "Exception", …], "said": "…"}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from answer_calls import complete_models
from pydantic import TypeAdapter
from statements import execute


def outcome(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a piece of code."""
    try:
        value = execute(code, names)
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises is the outcome
        classes = [f"{each.__module__}.{each.__name__}" for each in type(error).__mro__]
        return {"raised": classes, "said": str(error)}
    plain = TypeAdapter(Any).dump_python(
        value, mode="json", by_alias=True, exclude_unset=True, fallback=lambda _: None
    )
    return {"value": plain}


def main() -> None:
    """Run pieces until there are no more."""
    complete_models()
    names: dict[str, Any] = {"base_url": sys.argv[1], "key": sys.argv[2]}
    for line in sys.stdin:
        answer = outcome(json.loads(line)["code"], names)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
