"""Executes requests: authenticates the caller, parses what was sent, and calls the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from evrun._base.headers import IDEMPOTENCY_KEY
from evrun.server.api.context import RequestContext
from evrun.server.api.idempotency import read_attempt
from evrun.server.api.json_body import JsonBody
from evrun.server.api.limits import inflate
from evrun.server.api.operations import ParsedRequest
from evrun.server.api.validation import parse_parameters
from evrun.server.errors import ApiError
from evrun.server.store import idempotency
from evrun.server.store.api_keys import hash_key
from evrun.server.store.idempotency import Answer
from evrun.server.store.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection
    from starlette.requests import Request

    from evrun.server.api.limits import RateLimiter
    from evrun.server.api.operations import Operation
    from evrun.server.db.database import Database
    from evrun.server.store.api_keys import Authenticator
    from evrun.server.store.idempotency import Attempt


SMALL_BODY = 16 * 1024
"""Bytes. To parse a body up to here takes less time than to hand it to a thread."""


@frozen
class Executor:
    """Executes the requests of one application."""

    database: Database
    authenticator: Authenticator
    limiter: RateLimiter | None
    body_limit: int
    """Bytes, also after inflating."""

    def submit_jointly(
        self, operation: Operation, request: Request, key: str, content: bytes
    ) -> Future[Answer] | None:
        """Queue a request that is handled together with others that wait like it.

        Return None for a request that `execute` must handle.

        It does not touch the database itself, so the event loop may call it. A thread and a
        transaction to look up the key would cost more than all the rest.
        """
        execution = _Execution(self, operation, request, key, content)
        try:
            parsed = execution.parse() if execution.may_join() else None
        except ApiError:
            return None  # A client without a key must not learn what is wrong with the body.
        if parsed is None:
            return None
        return self.database.ask(
            (operation.id, key),
            _handle_jointly,
            (execution, parsed),
            repeatable=parsed.attempt is not None,
        )

    def authorize(self, operation: Operation, request: Request, key: str) -> None:
        """Check that the key allows the request, and count the request, before its body is read.

        It reads the database. Raises `ApiError`.
        """
        self.database.read(_Execution(self, operation, request, key, b"").authenticate)

    def execute(
        self, operation: Operation, request: Request, key: str, content: bytes
    ) -> Answer | Future[Answer]:
        """Execute a request, in a worker thread. A write returns the future of its commit.

        Raises `ApiError`.
        """
        execution = _Execution(self, operation, request, key, content)
        return execution.write() if operation.writes else self.database.read(execution.read)


@frozen(eq=False)
class _Execution:
    """The execution of one request."""

    executor: Executor
    operation: Operation
    request: Request
    key: str
    content: bytes = field(repr=False)

    @property
    def context(self) -> RequestContext:
        return RequestContext.of(self.request.scope)

    def may_join(self) -> bool:
        """Return whether the request may be parsed before its key is looked up.

        Only for keys that were good before: unknown clients must not take the writer's time.
        """
        return (
            self.operation.joins
            and len(self.content) <= SMALL_BODY
            and "content-encoding" not in self.request.headers
            and self._is_counted()
            and self.executor.authenticator.has_met(self.key)  # last: it hashes the key
        )

    def parse(self) -> ParsedRequest:
        """Return what was sent. Raises `ApiError`."""
        body = JsonBody.read(self.content)
        return self._parsed(body, self._attempt(body))

    def read(self, connection: Connection) -> Answer:
        """Answer a request that changes nothing."""
        (answer,) = self.operation.handle(self.authenticate(connection), [self._parsed(None)])
        assert isinstance(answer, Answer)  # noqa: S101 - reads raise their errors
        return answer

    def write(self) -> Answer | Future[Answer]:
        """Answer a request that changes something.

        The caller and the parsed body are known before other writers have to wait for it.
        """
        operation, database = self.operation, self.executor.database
        organisation_id, body, attempt, earlier = database.read(self._look_up)
        if earlier is not None:
            return earlier
        parsed = self._parsed(body, attempt)

        def handle(
            connection: Connection, requests: Sequence[ParsedRequest]
        ) -> Sequence[Answer | ApiError]:
            return operation.handle(Scope(connection, organisation_id), requests)

        return database.ask(None, handle, parsed, repeatable=attempt is not None)

    def authenticate(self, connection: Connection) -> Scope:
        """Return the scope of the key, and count the request. Raises `ApiError`."""
        caller = self.executor.authenticator.authenticate(connection, self.key)
        self.context.caller = caller
        if not self._is_counted():
            assert self.executor.limiter is not None  # noqa: S101 - without one, nothing is counted
            self.executor.limiter.take(hash_key(self.key))
            self.context.rate_counted = True
        caller.require(self.operation.method)
        return Scope(connection, caller.organisation_id)

    def _is_counted(self) -> bool:
        return self.executor.limiter is None or self.context.rate_counted

    def _look_up(
        self, connection: Connection
    ) -> tuple[str, JsonBody, Attempt | None, Answer | None]:
        """Return the organisation, the body, the attempt, and the answer of an earlier attempt."""
        scope = self.authenticate(connection)
        # Only after authentication. A repeated body may have another compression.
        encoding = self.request.headers.get("content-encoding", "")
        content = b""
        if self.operation.body is not None:
            content = inflate(self.content, encoding, self.executor.body_limit)
        body = JsonBody.read(content)
        attempt = self._attempt(body)
        earlier = None if attempt is None else idempotency.recall(scope, attempt)
        return scope.organisation_id, body, attempt, earlier

    def _parsed(self, body: JsonBody | None, attempt: Attempt | None = None) -> ParsedRequest:
        operation, request = self.operation, self.request
        parameters = parse_parameters(
            operation.parameters, request.path_params, request.query_params
        )
        given = None
        if operation.body is not None and body is not None:
            given = operation.parse(operation.body, body)
        if operation.prepare is not None:
            given = operation.prepare(parameters, given, attempt)
        return ParsedRequest(parameters, given, attempt)

    def _attempt(self, body: JsonBody) -> Attempt | None:
        values = self.request.headers.getlist(IDEMPOTENCY_KEY)
        if self.operation.method != "POST" or not values:
            return None  # the other methods are harmless to repeat as they are
        path = self.operation.path.format(**self.request.path_params)
        query = self.request.scope["query_string"].decode("latin-1")
        return read_attempt(values, f"{path}?{query}", body.canonical())


def _handle_jointly(
    connection: Connection, joined: Sequence[tuple[_Execution, ParsedRequest]]
) -> Sequence[Answer | ApiError]:
    """Answer requests for one operation, sent with one key."""
    first, _ = joined[0]
    scope = first.authenticate(connection)
    for execution, _ in joined:
        execution.context.caller = first.context.caller
    return first.operation.handle(scope, [parsed for _, parsed in joined])
