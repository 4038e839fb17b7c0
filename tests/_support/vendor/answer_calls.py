"""Run inside the vendor's environment: a call a line on stdin, its outcome a line on stdout.

{"method": "evaluations.log", "arguments": {…}} → {"raw": …, "typed": …}, as the SDK received the
answer and as its own pydantic models hold it; or {"error": status, "raw": …}.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from typing import Any

from humanloop import ApiException, Humanloop
from pydantic import BaseModel, TypeAdapter


class Recording:
    """The methods under `.raw`, one of which each typed method goes through."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.body: Any = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._raw, name)

        def call(**arguments: Any) -> Any:
            response = method(**arguments)
            self.body = response.body
            return response

        return call


def call(client: Humanloop, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of a call."""
    resource_name, _, name = method.partition(".")
    resource = getattr(client, resource_name)
    if not isinstance(resource.raw, Recording):
        resource.raw = Recording(resource.raw)
    try:
        # `validate` makes the SDK hold the answer against its own models.
        typed = getattr(resource, name)(**arguments, validate=True)
    except ApiException as error:
        return {"error": error.status, "raw": error.body}
    plain = TypeAdapter(Any).dump_python(typed, mode="json", by_alias=True, exclude_unset=True)
    return {"raw": json.loads(json.dumps(resource.raw.body, default=_nothing)), "typed": plain}


def _nothing(_: object) -> None:
    """Stand for the body of a 204, which the SDK calls unset."""


def complete_models() -> None:
    """Give the SDK's models the names that their modules forgot to import."""
    package = importlib.import_module("humanloop.pydantic")
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.iter_modules(package.__path__, "humanloop.pydantic.")
    ]
    names: dict[str, Any] = {}
    for module in modules:
        names |= {name: each for name, each in vars(module).items() if not name.startswith("_")}
    for model in list(names.values()):
        own = str(getattr(model, "__module__", "")).startswith("humanloop.pydantic.")
        if own and isinstance(model, type) and issubclass(model, BaseModel):
            model.model_rebuild(_types_namespace=names)


def main() -> None:
    """Answer calls until there are no more."""
    complete_models()
    client = Humanloop(host=sys.argv[1], api_key=sys.argv[2])
    for line in sys.stdin:
        asked = json.loads(line)
        outcome = call(client, asked["method"], asked["arguments"])
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
