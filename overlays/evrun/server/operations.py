"""The routing table: which function answers which operation of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen
from pydantic import BaseModel, TypeAdapter

from evrun.server.requests import parse_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from evrun.server.store.scope import Scope

P = TypeVar("P", bound=BaseModel)

PREFIX = "/v4"
"""Stands before every path of the contract."""


class NoParameters(BaseModel):
    """The parameters of an operation that takes none."""


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
    parse: Callable[[TypeAdapter[Any], bytes], Any]
    """Returns the body. Raises `Invalid`."""
    writes: bool
    handle: Callable[[Scope, Any, Any], Any]
    """(scope, parameters, body) → the response as plain data, within one transaction."""


@frozen
class Routes:
    """The operations of one resource, filled by decorators."""

    operations: list[Operation] = field(factory=list)

    def read(
        self, operation_id: str, path: str, parameters: type[P]
    ) -> Callable[[Callable[[Scope, P], Any]], Callable[[Scope, P], Any]]:
        """Answer a GET, from one consistent state of the store."""

        def register(handler: Callable[[Scope, P], Any]) -> Callable[[Scope, P], Any]:
            self.operations.append(
                Operation(
                    id=operation_id,
                    method="GET",
                    path=path,
                    status=200,
                    parameters=parameters,
                    body=None,
                    parse=parse_body,
                    writes=False,
                    handle=lambda scope, given, _: handler(scope, given),
                )
            )
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
        parse: Callable[[TypeAdapter[Any], bytes], Any] = parse_body,
    ) -> Callable[[Callable[[Scope, P, Any], Any]], Callable[[Scope, P, Any], Any]]:
        """Answer a request that changes the store, in a transaction of its own.

        `address` is method and path: `POST /sessions`. `body` is the type of the JSON body, None
        without one, and `parse` reads it.
        """
        method, _, path = address.partition(" ")

        def register(handler: Callable[[Scope, P, Any], Any]) -> Callable[[Scope, P, Any], Any]:
            self.operations.append(
                Operation(
                    id=operation_id,
                    method=method,
                    path=path,
                    status=status,
                    parameters=parameters,
                    body=None if body is None else TypeAdapter(body),
                    parse=parse,
                    writes=True,
                    handle=handler,
                )
            )
            return handler

        return register
