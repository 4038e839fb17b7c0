"""A request carried out: whose it is, what it asks, then the store. In a worker thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from evrun.server import idempotency
from evrun.server.authentication import hash_key
from evrun.server.idempotency import Answer
from evrun.server.limits import inflate
from evrun.server.operations import Asked
from evrun.server.refusals import Refusal
from evrun.server.requests import parse_parameters
from evrun.server.store.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection
    from starlette.requests import Request

    from evrun.server.authentication import Authenticator
    from evrun.server.database import Database
    from evrun.server.idempotency import Attempt
    from evrun.server.limits import RateLimiter
    from evrun.server.operations import Operation


@frozen
class Performer:
    """What carrying out takes."""

    database: Database
    authenticator: Authenticator
    limiter: RateLimiter | None
    body_limit: int
    """Bytes, also after inflating."""

    def perform(
        self, operation: Operation, request: Request, key: str, content: bytes
    ) -> Answer | Future[Answer]:
        """Carry out a request. What it writes is still to be committed. Raises `Refusal`."""
        asking = _Asking(self, operation, request, key, content)
        return asking.write() if operation.writes else self.database.read(asking.read)


@frozen(eq=False)
class _Asking:
    """One request."""

    performer: Performer
    operation: Operation
    request: Request
    key: str
    content: bytes = field(repr=False)

    def read(self, connection: Connection) -> Answer:
        """Answer a request that changes nothing."""
        (answer,) = self.operation.handle(self._authenticated(connection), [self._parsed(b"")])
        assert isinstance(answer, Answer)  # noqa: S101 - reads raise their refusals
        return answer

    def write(self) -> Answer | Future[Answer]:
        """Answer one that does. Who asks and what are settled before others wait for it."""
        operation, database = self.operation, self.performer.database
        organisation_id, body, attempt, earlier = database.read(self._looked_up)
        if earlier is not None:
            return earlier
        try:
            asked = self._parsed(body, attempt)
        except Refusal:
            if attempt is not None and operation.joins:
                # What cannot be read is another request than the one that the key stands for.
                database.read(lambda connection: _recall(connection, organisation_id, attempt))
            raise

        def handle(connection: Connection, requests: Sequence[Asked]) -> Sequence[Answer | Refusal]:
            return operation.handle(Scope(connection, organisation_id), requests)

        kind = (operation.id, organisation_id) if operation.joins else None
        return database.ask(kind, handle, asked)

    def _authenticated(self, connection: Connection) -> Scope:
        caller = self.performer.authenticator.authenticate(connection, self.key)
        self.request.scope["evrun.caller"] = caller
        if self.performer.limiter is not None and "evrun.counted" not in self.request.scope:
            self.performer.limiter.take(hash_key(self.key))
        caller.require(self.operation.method)
        return Scope(connection, caller.organisation_id)

    def _looked_up(
        self, connection: Connection
    ) -> tuple[str, bytes, Attempt | None, Answer | None]:
        """Return whose request it is, its body, its attempt, and what that was answered with."""
        organisation_id = self._authenticated(connection).organisation_id
        # Only for those who have a key. A repeated body may be compressed otherwise.
        encoding = self.request.headers.get("content-encoding", "")
        body = b""
        if self.operation.body is not None:
            body = inflate(self.content, encoding, self.performer.body_limit)
        attempt = self._attempt(body)
        if attempt is None or self.operation.joins:  # those look for all their keys at once
            return organisation_id, body, attempt, None
        return organisation_id, body, attempt, _recall(connection, organisation_id, attempt)

    def _parsed(self, body: bytes, attempt: Attempt | None = None) -> Asked:
        operation, request = self.operation, self.request
        parameters = parse_parameters(
            operation.parameters, request.path_params, request.query_params
        )
        given = None if operation.body is None else operation.parse(operation.body, body)
        return Asked(parameters, given, attempt)

    def _attempt(self, body: bytes) -> Attempt | None:
        if self.operation.method != "POST":
            return None  # the other methods are harmless to repeat as they are
        values = self.request.headers.getlist(idempotency.HEADER)
        path = self.operation.path.format(**self.request.path_params)
        query = self.request.scope["query_string"].decode("latin-1")
        return idempotency.read_attempt(values, "POST", f"{path}?{query}", body)


def _recall(connection: Connection, organisation_id: str, attempt: Attempt) -> Answer | None:
    return idempotency.recall(Scope(connection, organisation_id), attempt)
