"""A request carried out: whose it is, what it asks, then the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from evrun.server.api.idempotency import HEADER, read_attempt
from evrun.server.api.json_body import JsonBody
from evrun.server.api.limits import inflate
from evrun.server.api.operations import Asked
from evrun.server.api.validation import parse_parameters
from evrun.server.errors import Refusal
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


SMALL = 16 * 1024
"""Bytes of a body that is read sooner than it is handed to a thread."""


@frozen
class Performer:
    """What carrying out takes."""

    database: Database
    authenticator: Authenticator
    limiter: RateLimiter | None
    body_limit: int
    """Bytes, also after inflating."""

    def join(
        self, operation: Operation, request: Request, key: str, content: bytes
    ) -> Future[Answer] | None:
        """Carry out a request with its like, all that wait at once. None if `perform` must do it.

        It touches no database before it waits with the others, so that the event loop may call it:
        a thread, and a transaction to look whose the request is, cost more than all the rest.
        """
        asking = _Asking(self, operation, request, key, content)
        try:
            question = asking.question() if asking.joins() else None
        except Refusal:
            return None  # whoever has no key is not told what is wrong with the body
        if question is None:
            return None
        return self.database.ask(
            (operation.id, key),
            _answer_all,
            (asking, question),
            repeatable=question.attempt is not None,
        )

    def admit(self, operation: Operation, request: Request, key: str) -> None:
        """Look whether the key allows a request of which little has been read, and count it.

        It reads the database. Raises `Refusal`.
        """
        self.database.read(_Asking(self, operation, request, key, b"").scope)

    def perform(
        self, operation: Operation, request: Request, key: str, content: bytes
    ) -> Answer | Future[Answer]:
        """Carry out a request, in a worker thread. What it writes is still to be committed.

        Raises `Refusal`.
        """
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

    def joins(self) -> bool:
        """Return whether nothing needs a look at whose the request is, before it is read.

        Strangers do not take the writer's time.
        """
        return (
            self.operation.joins
            and len(self.content) <= SMALL
            and "content-encoding" not in self.request.headers
            and self._counted()
            and self.performer.authenticator.has_met(self.key)  # last: it hashes the key
        )

    def question(self) -> Asked:
        """Return what is asked. Raises `Refusal`."""
        body = JsonBody.read(self.content)
        return self._parsed(body, self._attempt(body))

    def read(self, connection: Connection) -> Answer:
        """Answer a request that changes nothing."""
        (answer,) = self.operation.handle(self.scope(connection), [self._parsed(None)])
        assert isinstance(answer, Answer)  # noqa: S101 - reads raise their refusals
        return answer

    def write(self) -> Answer | Future[Answer]:
        """Answer one that does. Who asks and what are settled before others wait for it."""
        operation, database = self.operation, self.performer.database
        organisation_id, body, attempt, earlier = database.read(self._looked_up)
        if earlier is not None:
            return earlier
        asked = self._parsed(body, attempt)

        def handle(connection: Connection, requests: Sequence[Asked]) -> Sequence[Answer | Refusal]:
            return operation.handle(Scope(connection, organisation_id), requests)

        return database.ask(None, handle, asked, repeatable=attempt is not None)

    def scope(self, connection: Connection) -> Scope:
        """Return on whose behalf it asks. Raises `Refusal` without a key for it."""
        caller = self.performer.authenticator.authenticate(connection, self.key)
        self.request.scope["evrun.caller"] = caller
        if not self._counted():
            assert self.performer.limiter is not None  # noqa: S101 - what else would count
            self.performer.limiter.take(hash_key(self.key))
            self.request.scope["evrun.counted"] = True
        caller.require(self.operation.method)
        return Scope(connection, caller.organisation_id)

    def _counted(self) -> bool:
        return self.performer.limiter is None or "evrun.counted" in self.request.scope

    def _looked_up(
        self, connection: Connection
    ) -> tuple[str, JsonBody, Attempt | None, Answer | None]:
        """Return whose request it is, its body, its attempt, and what that was answered with."""
        scope = self.scope(connection)
        # Only for those who have a key. A repeated body may be compressed otherwise.
        encoding = self.request.headers.get("content-encoding", "")
        content = b""
        if self.operation.body is not None:
            content = inflate(self.content, encoding, self.performer.body_limit)
        body = JsonBody.read(content)
        attempt = self._attempt(body)
        earlier = None if attempt is None else idempotency.recall(scope, attempt)
        return scope.organisation_id, body, attempt, earlier

    def _parsed(self, body: JsonBody | None, attempt: Attempt | None = None) -> Asked:
        operation, request = self.operation, self.request
        parameters = parse_parameters(
            operation.parameters, request.path_params, request.query_params
        )
        given = None
        if operation.body is not None and body is not None:
            given = operation.parse(operation.body, body)
        if operation.prepare is not None:
            given = operation.prepare(parameters, given, attempt)
        return Asked(parameters, given, attempt)

    def _attempt(self, body: JsonBody) -> Attempt | None:
        values = self.request.headers.getlist(HEADER)
        if self.operation.method != "POST" or not values:
            return None  # the other methods are harmless to repeat as they are
        path = self.operation.path.format(**self.request.path_params)
        query = self.request.scope["query_string"].decode("latin-1")
        return read_attempt(values, f"{path}?{query}", body.canonical())


def _answer_all(
    connection: Connection, joined: Sequence[tuple[_Asking, Asked]]
) -> Sequence[Answer | Refusal]:
    """Answer requests for one operation, that come with one key."""
    scope = joined[0][0].scope(connection)
    caller = joined[0][0].request.scope["evrun.caller"]
    for asking, _ in joined:
        asking.request.scope["evrun.caller"] = caller
    return joined[0][0].operation.handle(scope, [question for _, question in joined])
