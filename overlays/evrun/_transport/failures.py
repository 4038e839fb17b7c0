"""What an attempt came to: a success with its JSON, or a failure with its fate. No I/O."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx

from evrun._transport.parsed import ParsedResponse
from evrun._transport.retry import Failure, Fate, asked_wait, should_retry

if TYPE_CHECKING:
    from datetime import datetime

    AttemptResult = httpx.Response | httpx.HTTPError
    """What came of sending a request: the answer, or httpx's error as a value."""

_KNOWN_STATUSES: Final = frozenset(map(int, HTTPStatus))  # generated code fails on any other
UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Errors after which it is certain that nothing was sent."""

_UNTRUSTED: Final = (
    "Is this the right server? If it has a certificate of your own authority, pass "
    "its file as verify=…, or set SSL_CERT_FILE."
)
_NOT_TRUSTED_BY_IT: Final = (
    "The server asks for a client certificate that it trusts: pass cert=… (a file, or a pair of "
    "certificate and key)."
)
_NO_TLS: Final = "What listens there does not speak TLS: is it http://… instead of https://…?"

_TLS_REFUSALS: Final = (
    # As OpenSSL says it, below httpx; and rustls, below pyreqwest.
    (re.compile("CERTIFICATE_VERIFY_FAILED|invalid peer certificate"), _UNTRUSTED),
    # Alerts of the server's. In TLS 1.3 one may come after the request has left, unread for ever.
    (
        re.compile(
            r"ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)|"
            r"fatal alert: (\w*Certificate\w*|UnknownCA|AccessDenied|HandshakeFailure)"
        ),
        _NOT_TRUSTED_BY_IT,
    ),
    (
        re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|corrupt message of type"),
        _NO_TLS,
    ),
)
"""Handshakes that fail the same way each time, and what the user can do."""


def parse(response: httpx.Response) -> ParsedResponse:
    """Return a success with its JSON. Raises `ValueError` that says how it breaks the contract."""
    if response.status_code not in _KNOWN_STATUSES:
        raise ValueError(f"status {response.status_code} does not exist in HTTP")
    if response.status_code == HTTPStatus.NO_CONTENT:
        return ParsedResponse(response, None)
    try:
        return ParsedResponse(response, json.loads(response.content))
    except (ValueError, RecursionError):
        kind = response.headers.get("Content-Type", "no content type")
        raise ValueError(f"the body is not JSON ({kind}, {len(response.content)} bytes)") from None


def judge(result: AttemptResult, now: datetime) -> ParsedResponse | Failure:
    """Return the success, or what is known of the failure."""
    if isinstance(result, httpx.HTTPError):
        return Failure(fate=_transport_fate(result), reason=reason(result))
    problem = ""
    if result.is_success:
        try:
            return parse(result)
        except ValueError as error:
            problem = str(error)
    wait = asked_wait(result.headers, now)
    return Failure(
        fate=_status_fate(result.status_code, wait),
        asked_wait=wait,
        # The server carried out a request whose success cannot be read, whatever it says.
        should_retry=None if result.is_success else should_retry(result.headers),
        reason=f"status {result.status_code}",
        problem=problem,
    )


def _transport_fate(error: httpx.HTTPError) -> Fate:
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return Fate.FINAL
    if tls_advice(error):
        return Fate.FINAL
    return Fate.UNSENT if isinstance(error, UNSENT) else Fate.UNKNOWN


def tls_advice(error: httpx.HTTPError) -> str | None:
    """Return what the user can do if both sides cannot agree on TLS. A retry would not help."""
    if not isinstance(error, httpx.NetworkError):
        return None
    text = str(error)
    return next((advice for pattern, advice in _TLS_REFUSALS if pattern.search(text)), None)


def _status_fate(status: int, wait: float | None) -> Fate:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Fate.DECLINED
    if status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None:
        return Fate.DECLINED
    # 408: the server did not get the whole request in time (RFC 9110, section 15.5.9).
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Fate.UNKNOWN
    return Fate.FINAL


def reason(error: Exception) -> str:
    """Return what an error says, or else its name."""
    return str(error).rstrip(".") or type(error).__name__
