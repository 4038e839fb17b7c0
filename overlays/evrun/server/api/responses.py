"""Responses in the contract's shape: JSON, and errors as `{"detail": …}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.server.errors import ApiError


def json_response(
    status: int, content: bytes, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response whose body is JSON already."""
    return Response(content, status, headers, media_type="application/json")


def detail_response(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that says `detail`."""
    return json_response(status, pydantic_core.to_json({"detail": detail}), headers)


def error_response(error: ApiError) -> Response:
    """Return the documented response to an error."""
    return detail_response(error.status, error.detail, error.headers)
