"""Limits of one client: bytes, time, and requests a second. No I/O but reading a body.

Each process counts for a rate limit alone: `n` workers allow `n` times the rate.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
import zlib
from typing import TYPE_CHECKING

from attrs import define, frozen
from starlette.requests import ClientDisconnect

from evrun.server.api.responses import error_response
from evrun.server.errors import (
    AddressTooLongError,
    ApiError,
    BodyTooLargeError,
    ContentEncodingError,
    DisconnectedError,
    HeadTooLargeError,
    MalformedRequestError,
    RateLimitError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

BODY_LIMIT = 10 * 1024 * 1024
"""Bytes of a request body, as sent and as inflated."""
UNAUTHENTICATED_BODY_LIMIT = 64 * 1024
"""Bytes of a body that the server reads before it has checked the key."""
ADDRESS_LIMIT = 64 * 1024
"""Bytes of path and query. It is the most that httpx sends, so that our clients never reach it."""
HEAD_LIMIT = 80 * 1024
"""Bytes of a request line and its headers."""
CLIENT_TIMEOUT = 10.0
"""Seconds, the default of the head timeout, the body timeout and the write timeout."""
MIN_BYTES_PER_SECOND = 1024
"""The rate of a body, and of an answer, over the time beyond its timeout."""
MAX_CONNECTIONS = 500

_ROUNDING = 1e-9  # a client that waited for `Retry-After` seconds passes, despite rounding


async def read_body(
    request: Request,
    limit: int,
    body_timeout: float | None,
    authorize: Callable[[], Awaitable[object]],
) -> bytes:
    """Return the body as it was sent.

    `authorize` is awaited before more than `UNAUTHENTICATED_BODY_LIMIT` bytes are kept. It raises
    for a client that may not send so much. Raises `BodyTooLargeError` before more than `limit`
    bytes are in memory, and `RequestTimeoutError` for a body that pauses or comes too slowly.
    """
    declared = request.headers.get("content-length", "")
    expected = int(declared) if declared.isdigit() else 0
    if expected > limit:
        raise _too_large(limit)
    authorized = expected > UNAUTHENTICATED_BODY_LIMIT
    if authorized:
        await authorize()
    chunks: list[bytes] = []
    length = 0
    clock = asyncio.get_running_loop().time
    start = clock()
    try:
        async with asyncio.timeout(body_timeout) as time_left:
            async for chunk in request.stream():
                length += len(chunk)
                if length > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
                if length > UNAUTHENTICATED_BODY_LIMIT and not authorized:
                    # The client declared no length. It must not pay for the time of this check.
                    time_left.reschedule(None)
                    begun = clock()
                    await authorize()
                    authorized = True
                    start += clock() - begun
                if body_timeout is not None:
                    time_left.reschedule(
                        min(clock(), start + length / MIN_BYTES_PER_SECOND) + body_timeout
                    )
    except TimeoutError as error:
        raise RequestTimeoutError(
            f"The body came too slowly: {length} bytes in {clock() - start:.0f} s. Send it at once."
        ) from error
    except ClientDisconnect as error:
        raise DisconnectedError("The connection ended before the request did.") from error
    return b"".join(chunks)


def inflate(content: bytes, encoding: str, limit: int) -> bytes:
    """Return a body without its `Content-Encoding`, of which gzip is the one that is known.

    Raises `BodyTooLargeError` before more than `limit` bytes are in memory. Raises
    `ContentEncodingError` for another encoding, and for a body that is not one whole gzip stream.
    """
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        return content
    if coding not in {"gzip", "x-gzip"}:  # aliases, RFC 9110 section 8.4.1.3
        raise ContentEncodingError(
            f"The server reads gzip and identity, and not {encoding[:40]!r}."
        )
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = stream.decompress(content, limit + 1)
    except zlib.error as error:
        raise ContentEncodingError(f"The body is not gzip: {error}.") from error
    if len(inflated) > limit:
        raise _too_large(limit)
    # Further members would be fine by RFC 1952, and cost quadratic time if there are many.
    if not stream.eof or stream.unused_data:
        raise ContentEncodingError("The body is not one whole gzip stream.")
    return inflated


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is longer than {limit} bytes. Send less in one request.")


class HeadLimits:
    """Rejects requests with an invalid head, before anything else looks at them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        error = _head_error(scope) if scope["type"] == "http" else None
        app = self._app if error is None else error_response(error)
        await app(scope, receive, send)


def _head_error(scope: Scope) -> ApiError | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > ADDRESS_LIMIT:
        return AddressTooLongError(
            f"The address is longer than {ADDRESS_LIMIT} bytes. Ask for less at once."
        )
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > HEAD_LIMIT:
        return HeadTooLargeError(f"The head of the request is longer than {HEAD_LIMIT} bytes.")
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        # Proxies and servers disagree on which counts: that is how requests are smuggled.
        return MalformedRequestError("Send Content-Length or Transfer-Encoding, not both.")
    return None


@frozen
class Rate:
    """At most `requests` in `seconds`; all of them may come at once."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate that `100/s`, `600/m` or `5000/h` means. Raises `ValueError`."""
        parsed = re.fullmatch(r"([1-9][0-9]{0,8})/([smh])", text)
        if parsed is None:
            raise ValueError(f"{text!r} is not a rate. Write 100/s, 600/m or 5000/h.")
        return cls(int(parsed[1]), {"s": 1.0, "m": 60.0, "h": 3600.0}[parsed[2]])


@define
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """A token bucket for each valid key: other keys cannot fill the memory."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Count a request. Raises `RateLimitError`."""
        per_second = self._rate.requests / self._rate.seconds
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(name, _Bucket(self._rate.requests, now))
            gained = (now - bucket.at) * per_second
            bucket.tokens = min(bucket.tokens + gained, self._rate.requests)
            bucket.at = now
            if bucket.tokens < 1 - _ROUNDING:
                wait = (1 - bucket.tokens) / per_second
                raise RateLimitError(
                    f"This key sends more than {self._rate.requests} requests in "
                    f"{self._rate.seconds:g} s. Retry-After says how long to wait.",
                    retry_after=math.ceil(wait),
                )
            bucket.tokens -= 1
