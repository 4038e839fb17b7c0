"""Errors from what an attempt came to: their classes and their messages. No I/O."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx

from evrun import errors
from evrun._base.headers import CAPABILITIES, IDEMPOTENCY_KEY, REQUEST_ID
from evrun._base.redaction import BODY_LIMIT, masked_url, redacted
from evrun._transport.clock import TIME_LEFT
from evrun._transport.failures import UNSENT, reason, tls_advice
from evrun._transport.proxies import VIA
from evrun._transport.retry import asked_wait, should_retry
from evrun._transport.wording import with_calls

if TYPE_CHECKING:
    from evrun._transport.failures import AttemptResult
    from evrun._transport.proxies import Via

_OF_PROXIES: Final = frozenset({403, 407, 502, 503, 504})
"""Statuses that a proxy answers instead of the server."""

_BY_STATUS: Final[dict[int, tuple[type[errors.StatusError], str]]] = {
    400: (errors.BadRequestError, "The server could not read the request."),
    401: (errors.AuthenticationError, "Check api_key=… or EVRUN_API_KEY."),
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
"""The class of each status, and what to do if the server is not ours: ours says so itself."""

_NO_V4: Final = "Is base_url (or EVRUN_BASE_URL) right? The address of a v4 API ends in /v4."


def error(
    result: AttemptResult,
    request: httpx.Request,
    *,
    problem: str,
    ambiguous: bool,
    deadline: float | None,
    now: datetime,
) -> errors.RequestError | errors.InvalidRequestError:
    """Return the error for an attempt that did not succeed.

    - `problem`: how a success breaks the contract.
    - `ambiguous`: whether the request may have changed something.
    - `deadline`: the seconds that the call was given, if they have passed.
    """
    if isinstance(result, httpx.HTTPError):
        return _transport_error(result, request, ambiguous=ambiguous, deadline=deadline)
    if result.is_success:
        return decode_error(problem, result, request)
    return _status_error(result, request, ambiguous=ambiguous, now=now)


def _transport_error(
    error: httpx.HTTPError, request: httpx.Request, *, ambiguous: bool, deadline: float | None
) -> errors.RequestError | errors.InvalidRequestError:
    where = f"{request.method} {masked_url(request.url)}"
    what = redacted(request)
    if isinstance(error, httpx.LocalProtocolError):
        return errors.InvalidRequestError(
            f"{where} cannot be sent: {reason(error)}. Nothing was sent."
        )
    if isinstance(error, httpx.PoolTimeout):
        return errors.PoolTimeoutError(
            f"{where}: no free connection within {_limit(request, 'pool', deadline)}. "
            "Nothing was sent. Use fewer threads or tasks per client, or raise its concurrency=….",
            request=what,
        )
    if isinstance(error, httpx.ConnectTimeout):
        return errors.ConnectTimeoutError(
            f"{where}: no connection within {_limit(request, 'connect', deadline)}. "
            f"Nothing was sent. {_unreached(request)}",
            request=what,
        )
    if isinstance(error, httpx.TimeoutException):
        kind = "write" if isinstance(error, httpx.WriteTimeout) else "read"
        timeout = errors.AmbiguousTimeoutError if ambiguous else errors.RequestTimeoutError
        return timeout(
            f"{where}: no answer within {_limit(request, kind, deadline)}. "
            f"{_what_to_do(ambiguous=ambiguous)}",
            request=what,
        )
    refusal = tls_advice(error)
    if isinstance(error, UNSENT) or refusal:
        by_proxy = isinstance(error, httpx.ProxyError)
        advice = refusal or (_proxy_refused(request) if by_proxy else _unreached(request))
        return errors.ConnectError(
            f"{where}: cannot connect ({reason(error)}). Nothing was sent. {advice}",
            request=what,
        )
    broken = errors.AmbiguousDisconnectError if ambiguous else errors.DisconnectedError
    return broken(
        f"{where}: the connection broke ({reason(error)}). {_what_to_do(ambiguous=ambiguous)}",
        request=what,
    )


def _limit(request: httpx.Request, kind: str, deadline: float | None) -> str:
    if deadline is not None:
        return f"the deadline of {deadline:g} s"
    seconds = request.extensions.get("timeout", {}).get(kind)
    if seconds is None:
        return "its time limit"
    if seconds == request.extensions.get(TIME_LEFT):
        return f"the last {seconds:.3g} s before the deadline"
    return f"{seconds:g} s"


def _what_to_do(*, ambiguous: bool) -> str:
    if ambiguous:
        return "The server may have carried it out: look before you send it again."
    return "It is safe to ask again."


def _proxy_refused(request: httpx.Request) -> str:
    via: Via | None = request.extensions.get(VIA)
    if via is None:
        return "The proxy refused: check it where your http_client or transport is set up."
    return (
        f"The proxy {via.proxy.url} of {via.source} refused: check it, and the user and password "
        "in it."
    )


def _unreached(request: httpx.Request) -> str:
    if (via := request.extensions.get(VIA)) is not None:
        return str(via.unreached(request.url.host))
    return "Is the server running there (`evrun serve`), and is EVRUN_BASE_URL right?"


def _status_error(
    response: httpx.Response, request: httpx.Request, *, ambiguous: bool, now: datetime
) -> errors.StatusError:
    status = response.status_code
    fields: tuple[errors.FieldError, ...] = ()
    detail = _detail(response)
    if isinstance(detail, list):
        fields = tuple(_field_error(item) for item in detail)
        said = with_calls("; ".join(map(str, fields)))
    else:
        said = with_calls(detail)
    cls: type[errors.StatusError]
    if response.is_redirect:
        said = f"it points to {masked_url(response.headers.get('Location', 'nowhere'))}"
        cls = errors.RedirectError
        advice = "Redirects are not followed. Set base_url to the address that they lead to."
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cls = errors.AmbiguousServerError if ambiguous else errors.ServerError
        in_vain = should_retry(response.headers) is False and not ambiguous
        advice = "" if in_vain else _advice(response, _what_to_do(ambiguous=ambiguous))
    else:
        cls, usual = _BY_STATUS.get(status, (errors.StatusError, ""))
        advice = _advice(response, usual)
        if status == HTTPStatus.NOT_FOUND and "/v4/" not in request.url.path:
            advice = _NO_V4
    if status in _OF_PROXIES and (via := request.extensions.get(VIA)) is not None:
        advice = f"{advice} {via.answered(request.url.host)}".strip()
    message = f"{request.method} {masked_url(request.url)} answered {status}"
    error = cls(
        " ".join(
            filter(None, (f"{message}: {_sentence(said)}" if said else f"{message}.", advice))
        ),
        **_attributes(response, request),
    )
    error.retry_after = asked_wait(response.headers, now)
    error.fields = fields
    return error


def _advice(response: httpx.Response, usual: str) -> str:
    """Return what to do, beside what the server says of it."""
    # Ours says it all, except where this client has its key from.
    if CAPABILITIES in response.headers and response.status_code != HTTPStatus.UNAUTHORIZED:
        return ""
    return usual


def decode_error(
    problem: str, response: httpx.Response, request: httpx.Request
) -> errors.DecodeError:
    """Return the error for a success that breaks the contract."""
    work = "" if request.method == "GET" else " The server has carried out the request."
    return errors.DecodeError(
        f"{request.method} {masked_url(request.url)} answered {response.status_code}, "
        f"but {problem}.{work} Is base_url the address of a v4 API?",
        **_attributes(response, request),
    )


def part_error(
    status: int, detail: Any, response: httpx.Response, part: dict[str, Any], name: str
) -> errors.StatusError:
    """Return the error for a part of a request that was refused, while the whole is a success.

    `part` is a body that holds this part alone: what was sent of it. `name` says which it is.
    """
    request = response.request
    # Of the whole request, not of this part.
    dropped = ("content-encoding", "content-length", IDEMPOTENCY_KEY.lower())
    alone = httpx.Request(
        request.method,
        request.url,
        headers={each: value for each, value in request.headers.items() if each not in dropped},
        content=json.dumps(part, ensure_ascii=False).encode(),
    )
    refusal = httpx.Response(
        status,
        json={"detail": detail},
        headers={
            each: response.headers[each]
            for each in (REQUEST_ID, CAPABILITIES)
            if each in response.headers
        },
        request=alone,
    )
    error = _status_error(refusal, alone, ambiguous=False, now=datetime.fromtimestamp(0, UTC))
    error.args = (f"{name}: {error}",)
    return error


def _attributes(response: httpx.Response, request: httpx.Request) -> dict[str, Any]:
    return {
        "request": redacted(request),
        "status": response.status_code,
        "body": response.content[:BODY_LIMIT].decode("utf-8", "replace"),
        "request_id": response.headers.get(REQUEST_ID),
    }


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _detail(response: httpx.Response) -> list[Any] | str:
    """Return the documented `detail`, or the beginning of whatever came instead."""
    try:
        detail = json.loads(response.content)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
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
