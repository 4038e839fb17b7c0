"""The ASGI application: a request in, the contract's answer or its documented error out.

The event loop reads and writes, and validates what joins others at the store; all else runs in
worker threads.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pydantic_core
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from evrun._version import __version__
from evrun.server import errors
from evrun.server.api import unserved
from evrun.server.api.batches import MOST_LOGS
from evrun.server.api.executor import Performer
from evrun.server.api.faults.injection import Injection
from evrun.server.api.idempotency import REPLAYED
from evrun.server.api.lifecycle import Lifecycle
from evrun.server.api.limits import BODY_LIMIT, Gone, Heads, RateLimiter, read_body
from evrun.server.api.operations import PREFIX
from evrun.server.api.routes import OPERATIONS
from evrun.server.api.validation import Invalid
from evrun.server.db import organisations
from evrun.server.db.ids import new_id
from evrun.server.db.threads import Threads
from evrun.server.store import idempotency
from evrun.server.store.api_keys import HEADER, Authenticator, Unauthenticated, hash_key
from evrun.server.store.idempotency import Answer
from evrun_models.contract import SHA256

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from evrun.server.api.faults import Faults
    from evrun.server.api.limits import Rate
    from evrun.server.api.metrics import Metrics
    from evrun.server.api.operations import Operation
    from evrun.server.db.database import Database
    from evrun.server.errors import Refusal

THREADS = 32
READINESS = 2.0
"""Seconds in which the database has to answer `/readyz`."""
CAPABILITIES = f"idempotency={int(idempotency.LIFETIME.total_seconds())}, batch={MOST_LOGS}"
"""What clients may rely on, in every answer: a dictionary of RFC 9651."""

_LOGGER = logging.getLogger("evrun.server")
_REQUEST_ID = "X-Request-ID"
_ANNOUNCEMENT = "Evrun-Capabilities"
_LOOK = "Send the request again under the same Idempotency-Key, or look."
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def create_app(
    database: Database,
    *,
    local_key: str | None = None,
    body_limit: int = BODY_LIMIT,
    patience: float | None = None,
    rate: Rate | None = None,
    lifecycle: Lifecycle | None = None,
    metrics: Metrics | None = None,
    faults: Faults | None = None,
) -> Starlette:
    """Return the application over `database`, which its lifespan opens and closes.

    - `local_key` is accepted besides the stored keys and acts for the default organisation.
    - `patience`: seconds that a body may pause or drip; for ever without.
    - `rate` limits the requests of each key.
    - `lifecycle` says when no more requests are taken.
    - `metrics` are shown at `/metrics`.
    - With `faults` requests fail on purpose, and `/healthz` says so.
    """
    server = _Server(
        database,
        Authenticator(local_key),
        body_limit=body_limit,
        patience=patience,
        limiter=None if rate is None else RateLimiter(rate),
        lifecycle=lifecycle or Lifecycle(),
        faults=faults,
    )
    routes = server.routes()
    if metrics is not None:
        routes.append(Route("/metrics", metrics.endpoint))
    injection = [] if faults is None else [Middleware(Injection, faults)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Envelope), Middleware(Heads, refuse=_refusing), *injection],
        exception_handlers={HTTPException: _http_error},
        lifespan=server.lifespan,
    )
    # A redirect would carry the key to wherever it points.
    app.router.redirect_slashes = False
    return app


class _Server:
    """What all routes share."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        *,
        body_limit: int,
        patience: float | None,
        limiter: RateLimiter | None,
        lifecycle: Lifecycle,
        faults: Faults | None,
    ) -> None:
        self._database = database
        self._body_limit = body_limit
        self._patience = patience
        self._limiter = limiter
        self._performer = Performer(database, authenticator, limiter, body_limit)
        self._lifecycle = lifecycle
        self._faults = faults
        self._threads: Threads | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._in_thread(self._database.open)
        try:
            yield
        finally:
            # On the loop: at the interpreter's exit there are no new threads any more.
            if self._threads is not None:
                self._threads.shutdown()
                self._threads = None
            self._database.close()

    def routes(self) -> list[Route]:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS.values():
            by_path.setdefault(operation.path, {})[operation.method] = operation
        # One route per path, so that a 405 names every method that there is.
        routes = [Route("/healthz", self._health), Route("/readyz", self._ready)]
        for path, operations in by_path.items():
            route = Route(PREFIX + path, self._endpoint(operations), methods=list(operations))
            route.methods = set(operations)  # Starlette adds HEAD, which the contract does not
            routes.append(route)
        return routes

    def _endpoint(
        self, operations: Mapping[str, Operation]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            operation = operations[request.method]
            request.scope["evrun.route"] = PREFIX + operation.path
            answer = operation.located(self._answer(operation, request))
            return await self._or_refusal(answer, request)

        return endpoint

    async def _or_refusal(self, answer: Awaitable[Response], request: Request) -> Response:
        """Return the answer, or that to what it raises."""
        try:
            return await answer
        except errors.Refusal as refusal:
            return _refused(refusal)
        except asyncio.CancelledError:
            if not self._lifecycle.draining:
                raise
            if not request.scope.get("evrun.begun"):
                return _refused(errors.Stopping())
            return error_answer(
                500,
                "The server was stopped before this was done, and it may be done all the same. "
                f"{_LOOK}",
                {"Connection": "close"},
            )
        except Exception:
            request_id = request.scope["evrun.request_id"]
            route = request.scope["evrun.route"]  # a path may hold anything, line breaks too
            _LOGGER.exception("%s %s failed: request %s", request.method, route, request_id)
            begun = request.scope.get("evrun.begun")
            outcome = f" The change may be stored. {_LOOK}" if begun else ""
            return error_answer(
                500,
                "The server failed; this is a defect. Its log has the details under "
                f"{request_id}.{outcome}",
            )

    async def _answer(self, operation: Operation, request: Request) -> Response:
        if self._lifecycle.draining:
            raise errors.Stopping
        key = request.headers.get(HEADER)
        if not key:
            raise Unauthenticated(
                f"Send your key in the {HEADER} header. `evrun keys create NAME` makes one."
            )
        if self._limiter is not None and self._performer.authenticator.has_met(key):
            self._limiter.take(hash_key(key))
            request.scope["evrun.counted"] = True
        content = b""
        if operation.body:
            admit = partial(self._in_thread, self._performer.admit, operation, request, key)
            content = await read_body(request, self._body_limit, self._patience, admit)
        asked = (operation, request, key, content)
        request.scope["evrun.begun"] = operation.writes  # what reads may be cut off at any time
        pending = self._performer.join(*asked)
        if pending is None:
            pending = await self._in_thread(self._performer.perform, *asked)
        # Not in a thread of ours: what waits there would keep others from waiting with it.
        answer = pending if isinstance(pending, Answer) else await asyncio.wrap_future(pending)
        headers = {REPLAYED: "true"} if answer.replayed else None
        if not answer.content:
            return Response(status_code=answer.status, headers=headers)
        return _json(answer.status, answer.content, headers)

    async def _health(self, request: Request) -> Response:
        """Say that the server is there, and which. It needs no key and touches no database."""
        request.scope["evrun.route"] = "/healthz"
        health: dict[str, Any] = {"status": "ok", "version": __version__, "contract": SHA256}
        if self._faults is not None:
            health["faults"] = self._faults.described()
        return _json(200, pydantic_core.to_json(health))

    async def _ready(self, request: Request) -> Response:
        """Say whether requests are answered: not while stopping, nor without the database."""
        request.scope["evrun.route"] = "/readyz"
        return await self._or_refusal(self._readiness(), request)

    async def _readiness(self) -> Response:
        if self._lifecycle.draining:
            raise errors.Stopping
        try:
            async with asyncio.timeout(READINESS):
                await self._in_thread(self._database.read, organisations.find_default)
        except TimeoutError:
            raise errors.Unavailable("The database does not answer in time.") from None
        return _json(200, pydantic_core.to_json({"status": "ready"}))

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._threads is None:
            # Not anyio's threads: idle ones keep the interpreter from exiting.
            self._threads = Threads(THREADS, "evrun-server")
        try:
            pending = self._threads.submit(function, *arguments)
        except RuntimeError:  # no thread can be started
            return function(*arguments)
        return await asyncio.wrap_future(pending)


_STATUSES: dict[type[errors.Refusal], int] = {
    Gone: 400,
    Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.TooSlow: 408,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.OutcomeUnknown: 500,
    errors.Unavailable: 503,
    errors.OutOfOrder: 503,
    errors.Stopping: 503,
}


def _refused(refusal: Refusal) -> Response:
    """Return the documented answer to a refused request."""
    if isinstance(refusal, Invalid):
        return _json(422, pydantic_core.to_json({"detail": refusal.details}))
    headers: dict[str, str] = {}
    if isinstance(refusal, Unauthenticated):
        headers["WWW-Authenticate"] = "ApiKey"
    if isinstance(refusal, errors.TooSlow | errors.Stopping):
        headers["Connection"] = "close"
    if isinstance(refusal, errors.Unavailable | errors.TooMany):
        headers["Retry-After"] = str(refusal.retry_after)
    if isinstance(refusal, errors.OutOfOrder):
        headers["X-Should-Retry"] = "false"  # our clients heed it, and so do other SDKs
    return error_answer(_STATUSES[type(refusal)], str(refusal), headers)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    sentences = {
        404: f"There is nothing here. Paths start with {PREFIX}/, as in {PREFIX}/evaluations.",
        405: "This path does not take this method; Allow names those that it takes.",
    }
    said = unserved.sentence(request.method, request.url.path)
    return error_answer(
        error.status_code, said or sentences.get(error.status_code, error.detail), error.headers
    )


def _refusing(status: int, sentence: str) -> ASGIApp:
    """Return an application that answers everything like this, and reads no more."""
    return error_answer(status, sentence, {"Connection": "close"})


async def busy(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Answer on a connection beyond the limit."""
    refusal = errors.Unavailable("The server has too many connections open. Try again.")
    answer = _refused(refusal)
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def announced(app: ASGIApp) -> ASGIApp:
    """Return `app` with the headers that every answer of the server has."""
    return _Envelope(app)


def error_answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in the contract's shape."""
    return _json(status, pydantic_core.to_json({"detail": sentence}), headers)


def _json(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, headers, media_type="application/json")


class _Envelope:
    """Names every exchange, and announces what the server can do.

    The name is the caller's own id if it is a sane one, else a new one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        request_id = given if _SANE_ID.fullmatch(given) else new_id("req_")
        scope["evrun.request_id"] = request_id

        async def addressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[_REQUEST_ID] = request_id
                headers[_ANNOUNCEMENT] = CAPABILITIES
            await send(message)

        await self._app(scope, receive, addressed)
