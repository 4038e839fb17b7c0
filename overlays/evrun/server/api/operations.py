"""The routing table: which function answers which operation of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic_core
from attrs import field, frozen
from pydantic import BaseModel, TypeAdapter

from evrun._base.headers import IDEMPOTENCY_KEY
from evrun.server.api.json_body import JsonBody
from evrun.server.api.validation import parse_body
from evrun.server.errors import InvalidValueError
from evrun.server.store import idempotency
from evrun.server.store.idempotency import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from evrun.server.errors import ApiError, Location
    from evrun.server.store.idempotency import Attempt
    from evrun.server.store.scope import Scope

P = TypeVar("P", bound=BaseModel)
Prepare = Callable[[Any, Any, "Attempt | None"], Any]
"""Takes parameters, body and attempt."""
Parse = Callable[[TypeAdapter[Any], JsonBody], Any]
JointHandler = Callable[["Scope", "Sequence[ParsedRequest]"], "Sequence[Answer | ApiError]"]

T = TypeVar("T")

_HEADERS = {
    "idempotency_key": IDEMPOTENCY_KEY,
    "content_encoding": "Content-Encoding",
}
"""Fields that stand in a header."""

PREFIX = "/v4"
"""The prefix of every path of the contract."""


class NoParameters(BaseModel):
    """The parameters of an operation that takes none."""


@frozen(eq=False)
class ParsedRequest:
    """A request after validation: what an operation's handler gets."""

    parameters: Any
    body: Any = None
    attempt: Attempt | None = None
    """None without an idempotency key."""


@frozen(kw_only=True)
class Operation:
    """One operation: its address, its parameters and body, and its handler."""

    id: str
    """The contract's operationId."""
    method: str
    path: str
    """As in the contract, without `PREFIX`."""
    status: int
    """Of a success."""
    parameters: type[BaseModel]
    body: TypeAdapter[Any] | None
    parse: Parse
    """Returns the body. Raises `UnprocessableError`."""
    prepare: Prepare | None
    """Work that needs no store: it runs before the request enters the writer. Returns the body."""
    writes: bool
    joins: bool
    """Whether requests that wait together are handled in one call, which is cheaper."""
    handle: JointHandler
    """Returns the answer to each, in one transaction. It gets several only if it `joins`."""

    async def located(self, answer: Awaitable[T]) -> T:
        """Return the answer. An `InvalidValueError` becomes one that says where the field is."""
        try:
            return await answer
        except InvalidValueError as error:
            raise error.located(self._place(error.loc)) from error

    def _place(self, field: Location) -> Location:
        name = field[0] if field else ""
        if name in _HEADERS:
            return ("header", _HEADERS[str(name)])
        if f"{{{name}}}" in self.path:
            return ("path", *field)
        if self.body is None or name in self.parameters.model_fields:
            return ("query", *field)
        return ("body", *field)


@frozen
class Routes:
    """The operations of one resource, filled by decorators."""

    operations: list[Operation] = field(factory=list)

    def read(
        self, operation_id: str, path: str, parameters: type[P]
    ) -> Callable[[Callable[[Scope, P], Any]], Callable[[Scope, P], Any]]:
        """Answer a GET, from one consistent state of the store."""

        def register(handler: Callable[[Scope, P], Any]) -> Callable[[Scope, P], Any]:
            def handle(scope: Scope, requests: Sequence[ParsedRequest]) -> Sequence[Answer]:
                (request,) = requests
                return [_answer(200, handler(scope, request.parameters))]

            self._add(operation_id, f"GET {path}", parameters, handle, status=200)
            return handler

        return register

    def write(
        self,
        operation_id: str,
        address: str,
        parameters: type[P],
        body: Any,
        *,
        status: int,
        parse: Parse = parse_body,
        prepare: Prepare | None = None,
    ) -> Callable[[Callable[[Scope, P, Any], Any]], Callable[[Scope, P, Any], Any]]:
        """Answer a request that changes the store, in its own transaction.

        - `address` is method and path: `POST /sessions`.
        - `body` is the type of the JSON body, None without one.
        - `parse` reads the body, and `prepare` converts it for the handler.
        """

        def register(handler: Callable[[Scope, P, Any], Any]) -> Callable[[Scope, P, Any], Any]:
            def handle(scope: Scope, requests: Sequence[ParsedRequest]) -> Sequence[Answer]:
                (request,) = requests

                def work() -> Answer:
                    return _answer(status, handler(scope, request.parameters, request.body))

                if request.attempt is None:
                    return [work()]
                return [idempotency.once(scope, request.attempt, work)]

            given = {"status": status, "body": body, "parse": parse, "prepare": prepare}
            self._add(operation_id, address, parameters, handle, **given)
            return handler

        return register

    def write_jointly(
        self,
        operation_id: str,
        address: str,
        parameters: type[BaseModel],
        body: Any,
        *,
        status: int,
        prepare: Prepare,
    ) -> Callable[[JointHandler], JointHandler]:
        """Answer requests that change the store: all that wait together, in one call.

        The handler checks their idempotency keys. A rejected request must not change anything.
        """

        def register(handler: JointHandler) -> JointHandler:
            given = {"status": status, "body": body, "prepare": prepare, "joins": True}
            self._add(operation_id, address, parameters, handler, **given)
            return handler

        return register

    def _add(
        self,
        operation_id: str,
        address: str,
        parameters: type[BaseModel],
        handle: JointHandler,
        *,
        status: int,
        body: Any = None,
        parse: Parse = parse_body,
        prepare: Prepare | None = None,
        joins: bool = False,
    ) -> None:
        method, _, path = address.partition(" ")
        self.operations.append(
            Operation(
                id=operation_id,
                method=method,
                path=path,
                status=status,
                parameters=parameters,
                body=None if body is None else TypeAdapter(body),
                parse=parse,
                prepare=prepare,
                writes=method != "GET",
                joins=joins,
                handle=handle,
            )
        )


def _answer(status: int, data: Any) -> Answer:
    return Answer(status, b"" if data is None else pydantic_core.to_json(data))
