"""Middleware: a function around each attempt of a request, inside the retry loop.

    def stamped(request: httpx.Request, send: Send) -> httpx.Response:
        request.headers["X-Team"] = "search"
        return send(request)

    client = Evrun(middleware=[stamped])

The first of the list is the outermost. It sees every attempt, and the answer as it came, read; it
may change the request, answer by itself (with a new response each time), or raise: an
`httpx.HTTPError` counts as the outcome of the attempt, everything else ends the call and reaches
the caller as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx

Send: TypeAlias = Callable[[httpx.Request], httpx.Response]
Middleware: TypeAlias = Callable[[httpx.Request, Send], httpx.Response]
AsyncSend: TypeAlias = Callable[[httpx.Request], Awaitable[httpx.Response]]
AsyncMiddleware: TypeAlias = Callable[[httpx.Request, AsyncSend], Awaitable[httpx.Response]]
