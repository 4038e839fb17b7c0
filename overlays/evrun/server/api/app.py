"""The ASGI application: a request in, the contract's answer or its documented error out.

The event loop reads and writes sockets, and validates requests that are committed together. Worker
threads do the rest.
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

from evrun._base.headers import (
    API_KEY,
    CAPABILITIES,
    IDEMPOTENCY_KEY,
    IDEMPOTENT_REPLAYED,
    REQUEST_ID,
)
from evrun._version import __version__
from evrun.server import errors
from evrun.server.api import unserved
from evrun.server.api.batches import MOST_LOGS
from evrun.server.api.context import RequestContext
from evrun.server.api.executor import Executor
from evrun.server.api.faults.injection import FaultMiddleware
from evrun.server.api.lifecycle import Lifecycle
from evrun.server.api.limits import BODY_LIMIT, HeadLimits, RateLimiter, read_body
from evrun.server.api.operations import PREFIX
from evrun.server.api.responses import detail_response, error_response, json_response
from evrun.server.api.routes import OPERATIONS
from evrun.server.db import organisations
from evrun.server.db.ids import new_id
from evrun.server.db.threads import Threads
from evrun.server.store import idempotency
from evrun.server.store.api_keys import Authenticator, hash_key
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

THREADS = 32
READINESS_TIMEOUT = 2.0
"""Seconds that the database has for `/readyz`."""
ANNOUNCED = f"idempotency={int(idempotency.LIFETIME.total_seconds())}, batch={MOST_LOGS}"
"""The value of `Evrun-Capabilities`: what clients may rely on."""

_LOGGER = logging.getLogger("evrun.server")
_RETRY_OR_LOOK = f"Send the request again under the same {IDEMPOTENCY_KEY}, or look."
_REQUEST_ID_BYTES = REQUEST_ID.lower().encode()
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def create_app(
    database: Database,
    *,
    local_key: str | None = None,
    body_limit: int = BODY_LIMIT,
    body_timeout: float | None = None,
    rate: Rate | None = None,
    lifecycle: Lifecycle | None = None,
    metrics: Metrics | None = None,
    faults: Faults | None = None,
) -> Starlette:
    """Return the application over `database`, which its lifespan opens and closes.

    - `local_key` is accepted besides the stored keys and acts for the default organisation.
    - `body_timeout`: seconds that a body may pause; without it, for ever.
    - `rate` limits the requests of each key.
    - `lifecycle` says when no more requests are taken.
    - `metrics` are shown at `/metrics`.
    - With `faults` requests fail on purpose, and `/healthz` says so.
    """
    server = _Server(
        database,
        Authenticator(local_key),
        body_limit=body_limit,
        body_timeout=body_timeout,
        limiter=None if rate is None else RateLimiter(rate),
        lifecycle=lifecycle or Lifecycle(),
        faults=faults,
    )
    routes = server.routes()
    if metrics is not None:
        routes.append(Route("/metrics", metrics.endpoint))
    injection = [] if faults is None else [Middleware(FaultMiddleware, faults)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_ResponseHeaders), Middleware(HeadLimits), *injection],
        exception_handlers={HTTPException: _http_error},
        lifespan=server.lifespan,
    )
    # A redirect would send the key to the address that it names.
    app.router.redirect_slashes = False
    return app


class _Server:
    """The state that all routes share."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        *,
        body_limit: int,
        body_timeout: float | None,
        limiter: RateLimiter | None,
        lifecycle: Lifecycle,
        faults: Faults | None,
    ) -> None:
        self._database = database
        self._body_limit = body_limit
        self._body_timeout = body_timeout
        self._limiter = limiter
        self._executor = Executor(database, authenticator, limiter, body_limit)
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
            context = RequestContext.of(request.scope)
            operation = operations[request.method]
            context.route = PREFIX + operation.path
            answer = operation.located(self._answer(operation, request))
            return await self._or_error(answer, request)

        return endpoint

    async def _or_error(self, answer: Awaitable[Response], request: Request) -> Response:
        """Return the answer, or the response to the error that it raises."""
        context = RequestContext.of(request.scope)
        try:
            return await answer
        except errors.ApiError as error:
            return error_response(error)
        except asyncio.CancelledError:
            if not self._lifecycle.draining:
                raise
            if not context.change_begun:
                return error_response(errors.ShuttingDownError())
            return error_response(
                errors.InterruptedRequestError(
                    "The server was stopped before this was done, and it may be done all the "
                    f"same. {_RETRY_OR_LOOK}"
                )
            )
        except Exception:
            request_id = context.request_id
            # The route and not the path, which may hold anything, line breaks too.
            _LOGGER.exception("%s %s failed: request %s", request.method, context.route, request_id)
            outcome = f" The change may be stored. {_RETRY_OR_LOOK}" if context.change_begun else ""
            return error_response(
                errors.InternalError(
                    "The server failed; this is a defect. Its log has the details under "
                    f"{request_id}.{outcome}"
                )
            )

    async def _answer(self, operation: Operation, request: Request) -> Response:
        if self._lifecycle.draining:
            raise errors.ShuttingDownError
        context = RequestContext.of(request.scope)
        key = request.headers.get(API_KEY)
        if not key:
            raise errors.UnauthenticatedError(
                f"Send your key in the {API_KEY} header. `evrun keys create NAME` makes one."
            )
        if self._limiter is not None and self._executor.authenticator.has_met(key):
            self._limiter.take(hash_key(key))
            context.rate_counted = True
        content = b""
        if operation.body:
            admit = partial(self._in_thread, self._executor.authorize, operation, request, key)
            content = await read_body(request, self._body_limit, self._body_timeout, admit)
        arguments = (operation, request, key, content)
        context.change_begun = operation.writes  # a read may be cut off at any time
        pending = self._executor.submit_jointly(*arguments)
        if pending is None:
            pending = await self._in_thread(self._executor.execute, *arguments)
        # Not in a worker thread: requests that wait for a commit would occupy all of them.
        answer = pending if isinstance(pending, Answer) else await asyncio.wrap_future(pending)
        headers = {IDEMPOTENT_REPLAYED: "true"} if answer.replayed else None
        if not answer.content:
            return Response(status_code=answer.status, headers=headers)
        return json_response(answer.status, answer.content, headers)

    async def _health(self, request: Request) -> Response:
        """Return the version and the contract, without a key and without the database."""
        RequestContext.of(request.scope).route = "/healthz"
        health: dict[str, Any] = {"status": "ok", "version": __version__, "contract": SHA256}
        if self._faults is not None:
            health["faults"] = self._faults.described()
        return json_response(200, pydantic_core.to_json(health))

    async def _ready(self, request: Request) -> Response:
        """Say whether the server takes requests: not while it stops, nor without the database."""
        RequestContext.of(request.scope).route = "/readyz"
        return await self._or_error(self._readiness(), request)

    async def _readiness(self) -> Response:
        if self._lifecycle.draining:
            raise errors.ShuttingDownError
        try:
            async with asyncio.timeout(READINESS_TIMEOUT):
                await self._in_thread(self._database.read, organisations.find_default)
        except TimeoutError:
            raise errors.UnavailableError("The database does not answer in time.") from None
        return json_response(200, pydantic_core.to_json({"status": "ready"}))

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._threads is None:
            # Not anyio's threads: idle ones keep the interpreter from exiting.
            self._threads = Threads(THREADS, "evrun-server")
        try:
            pending = self._threads.submit(function, *arguments)
        except RuntimeError:  # no thread can be started
            return function(*arguments)
        return await asyncio.wrap_future(pending)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer 404 and 405 of the router."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    sentences = {
        404: f"There is nothing here. Paths start with {PREFIX}/, as in {PREFIX}/evaluations.",
        405: "This path does not take this method; Allow names those that it takes.",
    }
    sentence = unserved.sentence(request.method, request.url.path)
    return detail_response(
        error.status_code, sentence or sentences.get(error.status_code, error.detail), error.headers
    )


async def connection_limit_reached(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Answer 503 to every request: the application for connections beyond the limit."""
    error = errors.ConnectionLimitError("The server has too many connections open. Try again.")
    await error_response(error)(scope, receive, send)


def with_response_headers(app: ASGIApp) -> ASGIApp:
    """Return `app` with the headers that every answer of the server has."""
    return _ResponseHeaders(app)


class _ResponseHeaders:
    """Adds `X-Request-ID` and `Evrun-Capabilities` to every answer.

    The id is the one that the client sent, if it is valid, else a new one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next(
            (v.decode("latin-1") for k, v in scope["headers"] if k == _REQUEST_ID_BYTES), ""
        )
        request_id = sent if _VALID_ID.fullmatch(sent) else new_id("req_")
        RequestContext.of(scope).request_id = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers[CAPABILITIES] = ANNOUNCED
            await send(message)

        await self._app(scope, receive, send_with_headers)
