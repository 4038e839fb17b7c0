"""A call: one generated function, sync and async, with its arguments bound and its result named.

Everything about a call but the waiting is the same for sync and async, so it is written once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import httpx
from attrs import evolve, frozen

from evrun._calls.pages import Walk
from evrun._calls.structure import MismatchError, structure
from evrun._transport.call_state import call_state
from evrun._transport.exchange import parser_error
from evrun.errors import EvrunError, InvalidRequestError
from evrun_api.errors import UnexpectedStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from evrun._transport.settings import Query
    from evrun.results import Page
    from evrun_api.types import Response

# What generated code raises over data that it did not expect.
_GENERATED = (AttributeError, KeyError, TypeError, ValueError, UnexpectedStatus)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@frozen
class Call(Generic[R]):
    """What to call and what to make of the answer."""

    sync: Callable[..., Response[Any]]
    awaited: Callable[..., Awaitable[Response[Any]]]
    result: Any
    """R, as `structure` takes it: `tuple[X, ...]` is no `type[R]` to a checker."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    query: Query = ()
    """Query parameters that the generated function does not know."""
    compressed: bool = False
    """Whether the body is sent compressed."""
    reordered: bool = False
    """Of a list: whether what it is sorted by can change."""

    def run(self) -> R:
        """Send it. Raises `EvrunError`."""
        with self._typed_errors():
            answer = self.sync(*self.args, **self.kwargs)
            return cast("R", structure(self.result, answer.parsed))

    async def run_async(self) -> R:
        """Like `run`, awaited."""
        with self._typed_errors():
            answer = await self.awaited(*self.args, **self.kwargs)
            return cast("R", structure(self.result, answer.parsed))

    def records(self: Call[Page[T]]) -> Iterator[T]:
        """Yield the records of this page and of all after it, a request for each page."""
        walk = Walk[T](self.kwargs["page"], reordered=self.reordered)
        while walk.place is not None:
            yield from walk.take(self._at(walk.place).run())

    async def records_async(self: Call[Page[T]]) -> AsyncIterator[T]:
        """Like `records`, awaited."""
        walk = Walk[T](self.kwargs["page"], reordered=self.reordered)
        while walk.place is not None:
            for record in walk.take(await self._at(walk.place).run_async()):
                yield record

    def _at(self, place: Mapping[str, Any]) -> Call[R]:
        return evolve(self, kwargs={**self.kwargs, **place})

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        """Name what generated code and httpx raise without a name.

        Before an answer came it can only be a body that is not JSON; after that, an answer that the
        contract does not allow.
        """
        with call_state(query=self.query, compressed=self.compressed) as state:
            try:
                yield
            except EvrunError as error:
                # It was raised below httpx and generated code, whose ten frames explain nothing.
                raise error.with_traceback(None) from error.__cause__
            except httpx.InvalidURL as error:
                raise InvalidRequestError(
                    f"The request cannot be sent: {error}. Ask in parts, with fewer or shorter "
                    "values."
                ) from error
            except _GENERATED as error:
                if error is state.raised:
                    raise
                if state.received is None:
                    raise InvalidRequestError(
                        f"The request cannot be sent: {error}. Bodies are JSON: text, finite "
                        "numbers, true, false, null, lists, and mappings with text keys."
                    ) from error
                raise parser_error(_problem(error), state.received) from error


def bind(
    result: type[R],
    sync: Callable[P, Response[Any]],
    awaited: Callable[P, Awaitable[Response[Any]]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Call[R]:
    """Return the call of `sync` or `awaited`, which take the same arguments: a checker holds it."""
    return Call(sync, awaited, result, args, kwargs)


def _problem(error: Exception) -> str:
    if isinstance(error, MismatchError):
        return str(error)
    if isinstance(error, KeyError):
        return f"it lacks the field {error}"
    if isinstance(error, UnexpectedStatus):
        return "the contract has no such status for this operation"
    return f"it does not fit the contract ({type(error).__name__}: {error})"
