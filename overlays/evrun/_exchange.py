"""One request and its answer, without any I/O.

`exchange` is a generator: it yields a request to send, is sent the outcome (a response, or httpx's
error as a value), and returns a usable response or raises a typed error. `_transport` drives it,
once for sync and once for async.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from evrun import errors
from evrun._config import DEFAULT_BASE_URL, EMBEDDED_HOST

if TYPE_CHECKING:
    from collections.abc import Generator

    Outcome = httpx.Response | httpx.HTTPError
    Exchange = Generator[httpx.Request, Outcome, httpx.Response]

RECEIVED: ContextVar[httpx.Response | None] = ContextVar("evrun_received", default=None)
"""The success that the current call got, for the error that its parser may raise."""

Query = tuple[tuple[str, str], ...]

EXTRA_QUERY: ContextVar[Query] = ContextVar("evrun_extra_query", default=())
"""Query parameters of the current call that OpenAPI cannot declare: generated code leaves them out.
"""

_BODY_LIMIT = 64 * 1024  # bytes of an answer that an error carries
_REQUEST_ID = "X-Request-ID"
_KNOWN_STATUSES = frozenset(map(int, HTTPStatus))  # generated code fails on any other

_BY_STATUS: dict[int, tuple[type[errors.StatusError], str]] = {
    400: (errors.BadRequestError, "The server could not read the request."),
    401: (
        errors.AuthenticationError,
        "Check api_key=… or EVRUN_API_KEY; `evrun keys create NAME` makes a key for your server.",
    ),
    403: (errors.PermissionDeniedError, "The key may not do this."),
    404: (
        errors.NotFoundError,
        "Check the id, and that the key belongs to the organisation that owns it.",
    ),
    409: (errors.ConflictError, "Read the current state and decide again."),
    413: (errors.ContentTooLargeError, "Send less in one request."),
    422: (errors.UnprocessableEntityError, ""),
    429: (errors.RateLimitedError, "Send fewer requests at a time, or try again later."),
}


def exchange(request: httpx.Request) -> Exchange:
    """Send `request` once. Raises `TransportError` or `ResponseError`."""
    if extra := EXTRA_QUERY.get():
        params = [*request.url.params.multi_items(), *extra]
        request.url = request.url.copy_with(params=params)
    # Retries belong here: a loop around the yield, with the decision taken by a pure policy.
    outcome = yield request
    if isinstance(outcome, httpx.HTTPError):
        raise transport_error(outcome, request) from outcome
    check(outcome, request)
    RECEIVED.set(outcome)
    return outcome


def transport_error(error: httpx.HTTPError, request: httpx.Request) -> errors.TransportError:
    """Return our error for one of httpx's."""
    where = f"{request.method} {request.url}"
    place: dict[str, Any] = {"method": request.method, "url": str(request.url)}
    if isinstance(error, httpx.PoolTimeout):
        return errors.PoolTimeoutError(
            f"{where}: no free connection within {_limit(request, 'pool')}. "
            "Nothing was sent. Use fewer threads or tasks per client, or raise its limits.",
            **place,
        )
    if isinstance(error, httpx.ConnectTimeout):
        return errors.ConnectTimeoutError(
            f"{where}: no connection within {_limit(request, 'connect')}. Nothing was sent. "
            + _who_is_there(request),
            **place,
        )
    if isinstance(error, httpx.TimeoutException):
        kind = "write" if isinstance(error, httpx.WriteTimeout) else "read"
        return errors.RequestTimeoutError(
            f"{where}: no answer within {_limit(request, kind)}. " + _outcome(request), **place
        )
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
        return errors.ConnectError(
            f"{where}: cannot connect ({_reason(error)}). Nothing was sent. "
            + _who_is_there(request),
            **place,
        )
    return errors.DisconnectedError(
        f"{where}: the connection broke ({_reason(error)}). " + _outcome(request), **place
    )


def _limit(request: httpx.Request, kind: str) -> str:
    seconds = request.extensions.get("timeout", {}).get(kind)
    return "its time limit" if seconds is None else f"{seconds:g} s"


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _outcome(request: httpx.Request) -> str:
    if request.method == "GET":
        return "It is safe to ask again."
    return "The server may have carried it out: look before you send it again."


def _who_is_there(request: httpx.Request) -> str:
    if request.url.host == EMBEDDED_HOST:
        return "Check the path that Evrun.local was given."
    if str(request.url).startswith(DEFAULT_BASE_URL):
        return (
            "If you mean a server of your own, set EVRUN_BASE_URL (or base_url=…); "
            "`evrun serve` starts one."
        )
    return "Is the server running there (`evrun serve`), and is EVRUN_BASE_URL right?"


def check(response: httpx.Response, request: httpx.Request) -> None:
    """Let a success that is JSON pass. Raises `ResponseError` for everything else."""
    status = response.status_code
    if not response.is_success:
        raise status_error(response, request)
    if status not in _KNOWN_STATUSES:
        raise decode_error(f"status {status} is none that HTTP knows", response, request)
    if status == HTTPStatus.NO_CONTENT:
        return
    try:
        json.loads(response.content)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "no content type")
        problem = f"the body is not JSON ({kind}, {len(response.content)} bytes)"
        raise decode_error(problem, response, request) from error


def status_error(response: httpx.Response, request: httpx.Request) -> errors.StatusError:
    """Return the error for a status outside 2xx."""
    status = response.status_code
    fields: tuple[errors.FieldError, ...] = ()
    detail = _detail(response)
    if isinstance(detail, list):
        fields = tuple(_field_error(item) for item in detail)
        said = "; ".join(map(str, fields))
    else:
        said = detail
    cls: type[errors.StatusError]
    if response.is_redirect:
        said = f"it points to {response.headers.get('Location', 'nowhere')}"
        cls, advice = errors.RedirectError, "Redirects are not followed; set base_url to the end."
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cls, advice = errors.ServerError, _outcome(request)
    else:
        cls, advice = _BY_STATUS.get(status, (errors.StatusError, ""))
    message = f"{request.method} {request.url} answered {status}"
    error = cls(
        " ".join(
            filter(None, (f"{message}: {_sentence(said)}" if said else f"{message}.", advice))
        ),
        **_answer(response, request),
    )
    error.retry_after = _retry_after(response)
    error.fields = fields
    return error


def decode_error(
    problem: str, response: httpx.Response, request: httpx.Request
) -> errors.DecodeError:
    """Return the error for a success that breaks the contract."""
    outcome = "" if request.method == "GET" else " The server has carried out the request."
    return errors.DecodeError(
        f"{request.method} {request.url} answered {response.status_code}, but {problem}.{outcome} "
        "Is base_url the address of a v4 API?",
        **_answer(response, request),
    )


def _answer(response: httpx.Response, request: httpx.Request) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "body": response.content[:_BODY_LIMIT].decode("utf-8", "replace"),
        "request_id": response.headers.get(_REQUEST_ID),
        "method": request.method,
        "url": str(request.url),
    }


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _detail(response: httpx.Response) -> list[Any] | str:
    """Return the documented `detail`, or the beginning of whatever came instead."""
    try:
        detail = json.loads(response.content)["detail"]
    except (ValueError, KeyError, TypeError):
        return " ".join(response.content[:200].decode("utf-8", "replace").split())
    return detail if isinstance(detail, list) else str(detail)


def _field_error(item: Any) -> errors.FieldError:
    entry = item if isinstance(item, dict) else {"msg": item}
    loc = entry.get("loc")
    return errors.FieldError(
        tuple(loc) if isinstance(loc, list) else (),
        str(entry.get("msg", "")),
        str(entry.get("type", "")),
    )


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
