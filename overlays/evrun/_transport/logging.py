"""The client's log, written to the logger `evrun`: attempts, answers, decisions and reasons.

Keys never appear. `EVRUN_LOG=debug` (or `info`) shows it on standard error; payloads appear at that
level too, cut short, unless `EVRUN_LOG_PAYLOADS=redacted`.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import httpx

from evrun._base.redaction import masked_body, masked_headers, masked_url, plain_body
from evrun._transport.retry import Wait
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evrun._transport.retry import GiveUp

LOGGER: Final = logging.getLogger("evrun")
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_HANDLER: Final = "EVRUN_LOG"
_SHOWN: Final = 2000  # characters of a payload in one line


def configure() -> bool:
    """Follow `EVRUN_LOG` and return whether payloads are shown. Raises `ConfigurationError`."""
    level = os.environ.get("EVRUN_LOG")
    if level:
        if level.lower() not in _LEVELS:
            raise ConfigurationError(f"EVRUN_LOG={level!r}: expected {', '.join(_LEVELS)}.")
        LOGGER.setLevel(_LEVELS[level.lower()])
        if not any(each.name == _HANDLER for each in LOGGER.handlers):
            handler = logging.StreamHandler()
            handler.set_name(_HANDLER)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            LOGGER.addHandler(handler)
    payloads = os.environ.get("EVRUN_LOG_PAYLOADS") or "shown"
    if payloads not in {"shown", "redacted"}:
        raise ConfigurationError(f"EVRUN_LOG_PAYLOADS={payloads!r}: expected shown or redacted.")
    return payloads == "shown"


def log_attempt(request: httpx.Request, number: int, *, payloads: bool) -> None:
    """Log the request that is about to be sent."""
    if LOGGER.isEnabledFor(logging.DEBUG):
        LOGGER.debug(
            "%s %s: attempt %d; %s; %s",
            *_of(request),
            number,
            _headers(masked_headers(request.headers)),
            _payload(plain_body(request), payloads=payloads),
        )


def log_result(
    request: httpx.Request,
    result: httpx.Response | httpx.HTTPError,
    elapsed: float,
    *,
    payloads: bool,
) -> None:
    """Log the response or error; `elapsed` is the seconds since the call began."""
    if not LOGGER.isEnabledFor(logging.DEBUG):
        return
    if isinstance(result, httpx.Response):
        LOGGER.debug(
            "%s %s: status %d after %.3f s; %s; %s",
            *_of(request),
            *(result.status_code, elapsed),
            _headers(masked_headers(result.headers)),
            _payload(result.content, payloads=payloads),
        )
    else:
        LOGGER.debug(
            "%s %s: %s after %.3f s: %s",
            *_of(request),
            *(type(result).__name__, elapsed, _plain(str(result))),
        )


def log_decision(request: httpx.Request, attempts: int, decision: Wait | GiveUp) -> None:
    """Log what follows a failed attempt, and why."""
    if isinstance(decision, Wait):
        LOGGER.info(
            "%s %s: attempt %d failed, next in %.3g s: %s",
            *_of(request),
            *(attempts, decision.seconds, _plain(decision.reason)),
        )
    else:
        LOGGER.info(
            "%s %s: gave up after attempt %d: %s",
            *_of(request),
            *(attempts, _plain(decision.reason)),
        )


def _of(request: httpx.Request) -> tuple[str, str]:
    return request.method, masked_url(request.url)


def _headers(headers: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}: {_plain(value)}" for name, value in headers)


def _plain(text: str) -> str:
    """Escape characters by which a server could control a terminal or forge a line of the log."""
    return text if text.isprintable() else repr(text)[1:-1]


def _payload(content: bytes, *, payloads: bool) -> str:
    if not content:
        return "no body"
    if not payloads:
        return f"a body of {len(content)} bytes"
    # `!r` keeps a line break in a payload from forging a line of the log.
    return repr(masked_body(content)[:_SHOWN])
