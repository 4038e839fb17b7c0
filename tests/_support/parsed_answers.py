"""Read an answer of the server as a user would: by the generated client, then by the overlay."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

import httpx

from _summary import wiring
from evrun import results
from evrun._calls.structure import structure
from evrun.server.api.routes import OPERATIONS
from evrun_api import AuthenticatedClient
from evrun_api.models import ErrorResponse, HTTPValidationError

ROOT = Path(__file__).parents[2]
CLIENT = AuthenticatedClient(base_url="http://evrun.test/v4", token="unused")


def read(operation_id: str, status: int, content: bytes) -> Any:
    """Return what the client makes of an answer. Raises what users would get.

    A failure is an error of the generated client's; a success goes on to the overlay.
    """
    response = httpx.Response(status, content=content)
    parsed = _module(operation_id)._parse_response(client=CLIENT, response=response)
    if not response.is_success:
        assert isinstance(parsed, ErrorResponse | HTTPValidationError)
        return parsed
    return structure(_result(operation_id), parsed)


@cache
def _module(operation_id: str) -> ModuleType:
    path = _wiring()[operation_id].generated.removesuffix(".py")
    return importlib.import_module(path.replace("/", "."))


@cache
def _result(operation_id: str) -> Any:
    """Return the type that the overlay's method promises."""
    resource, _, name = _wiring()[operation_id].methods[0].partition(".")
    module = importlib.import_module(f"evrun.resources.{resource}")
    facade = getattr(module, resource.title().replace("_", ""))
    promised = getattr(facade, name).__annotations__["return"]
    kind = eval(promised, dict(vars(results)))  # noqa: S307 - an annotation of our own
    return NoneType if kind is None else kind


@cache
def _wiring() -> dict[str, wiring.Wiring]:
    return wiring.find(ROOT, list(OPERATIONS))
