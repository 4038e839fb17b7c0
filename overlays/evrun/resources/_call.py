"""A call: one generated function, sync and async, with its arguments bound and its result named.

Everything about a call but the waiting is the same for sync and async, so it is written once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from attrs import frozen

from evrun._exchange import RECEIVED, decode_error
from evrun.errors import ConfigurationError, EvrunError, InvalidRequestError
from evrun.resources._structure import MismatchError, structure
from evrun_api.errors import UnexpectedStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from evrun_api.types import Response

# What generated code raises over data that it did not expect.
_GENERATED = (AttributeError, KeyError, TypeError, ValueError, UnexpectedStatus)

P = ParamSpec("P")
R = TypeVar("R")


@frozen
class Call(Generic[R]):
    """What to call and what to make of the answer."""

    sync: Callable[[], Response[Any]]
    awaited: Callable[[], Awaitable[Response[Any]]]
    result: Any
    """R, as `structure` takes it: `tuple[X, ...]` is no `type[R]` to a checker."""

    def run(self) -> R:
        """Send it. Raises `EvrunError`."""
        with _typed_errors():
            return cast("R", structure(self.result, self.sync().parsed))

    async def run_async(self) -> R:
        """Like `run`, awaited."""
        with _typed_errors():
            return cast("R", structure(self.result, (await self.awaited()).parsed))


def bind(
    result: type[R],
    sync: Callable[P, Response[Any]],
    awaited: Callable[P, Awaitable[Response[Any]]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Call[R]:
    """Return the call of `sync` or `awaited`, which take the same arguments: a checker holds it."""
    return Call(lambda: sync(*args, **kwargs), lambda: awaited(*args, **kwargs), result)


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Name what generated code and httpx raise without a name.

    Before an answer came it can only be a body that is not JSON; after that, an answer that the
    contract does not allow.
    """
    token = RECEIVED.set(None)
    try:
        yield
    except EvrunError as error:
        # It was raised below httpx and generated code, whose ten frames explain nothing.
        raise error.with_traceback(None) from error.__cause__
    except (*_GENERATED, RuntimeError) as error:
        received = RECEIVED.get()
        if isinstance(error, RuntimeError):
            raise ConfigurationError(f"This client cannot send: {error}") from error
        if received is None:
            raise InvalidRequestError(
                f"The request cannot be sent: {error}. Bodies are JSON: text, finite numbers, "
                "true, false, null, lists, and mappings with text keys."
            ) from error
        raise decode_error(_problem(error), received, received.request) from error
    finally:
        RECEIVED.reset(token)


def _problem(error: Exception) -> str:
    if isinstance(error, MismatchError):
        return str(error)
    if isinstance(error, KeyError):
        return f"it lacks the field {error}"
    if isinstance(error, UnexpectedStatus):
        return "the contract has no such status for this operation"
    return f"it does not fit the contract ({type(error).__name__}: {error})"
