"""The routing table: which function answers which operation of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic_core
from attrs import field, frozen
from pydantic import BaseModel, TypeAdapter

from evrun.server.api.idempotency import HEADER
from evrun.server.api.json_body import JsonBody
from evrun.server.api.validation import Invalid, parse_body
from evrun.server.errors import Rule
from evrun.server.store import idempotency
from evrun.server.store.idempotency import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from evrun.server.errors import Location, Refusal
    from evrun.server.store.idempotency import Attempt
    from evrun.server.store.scope import Scope

P = TypeVar("P", bound=BaseModel)
Prepare = Callable[[Any, Any, "Attempt | None"], Any]
"""Takes parameters, body and attempt."""
Parse = Callable[[TypeAdapter[Any], JsonBody], Any]
JointHandler = Callable[["Scope", "Sequence[Asked]"], "Sequence[Answer | Refusal]"]

T = TypeVar("T")

_HEADERS = {
    "idempotency_key": HEADER,
    "content_encoding": "Content-Encoding",
}
"""Fields that stand in a header."""

PREFIX = "/v4"
"""Stands before every path of the contract."""


class NoParameters(BaseModel):
    """The parameters of an operation that takes none."""


@frozen(eq=False)
class Asked:
    """What a request asks of an operation."""

    parameters: Any
    body: Any = None
    attempt: Attempt | None = None
    """None without an idempotency key."""


@frozen(kw_only=True)
class Operation:
    """One operation: how it is addressed, what it takes, and what answers it."""

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
    """Returns the body. Raises `Invalid`."""
    prepare: Prepare | None
    """What can be done without the store: others wait while one writes. The result is the body."""
    writes: bool
    joins: bool
    """Whether requests that wait together are handled at once, which is cheaper."""
    handle: JointHandler
    """Returns the answer to each, within one transaction. Several only come if it `joins`."""

    async def located(self, answer: Awaitable[T]) -> T:
        """Return the answer. Raises `Invalid` for a `Rule`: it says where the field stands."""
        try:
            return await answer
        except Rule as rule:
            raise Invalid.at(self._place(rule.loc), rule.msg, type=rule.type) from rule

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
            def handle(scope: Scope, requests: Sequence[Asked]) -> Sequence[Answer]:
                (asked,) = requests
                return [_answer(200, handler(scope, asked.parameters))]

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
        """Answer a request that changes the store, in a transaction of its own.

        `address` is method and path: `POST /sessions`. `body` is the type of the JSON body, None
        without one, `parse` reads it, and `prepare` makes of it what the handler takes.
        """

        def register(handler: Callable[[Scope, P, Any], Any]) -> Callable[[Scope, P, Any], Any]:
            def handle(scope: Scope, requests: Sequence[Asked]) -> Sequence[Answer]:
                (asked,) = requests

                def work() -> Answer:
                    return _answer(status, handler(scope, asked.parameters, asked.body))

                if asked.attempt is None:
                    return [work()]
                return [idempotency.once(scope, asked.attempt, work)]

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
        """Answer requests that change the store, all that wait together at once.

        The handler minds their idempotency keys, and a refused one must have changed nothing.
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
    if data is None:
        return Answer(status, b"")
    # Older servers kept infinities in SQLite, which no JSON can say.
    return Answer(status, pydantic_core.to_json(data, inf_nan_mode="null"))
