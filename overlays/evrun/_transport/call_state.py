"""What a call and the transport tell each other.

Generated code stands between them and passes on only what OpenAPI can declare. So the state of the
current call is held by a context variable.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from evrun._transport.settings import Query


@define(eq=False)
class CallState:
    """The state of one call. The call sets the first two fields, the transport the others."""

    query: Query = ()
    """Query parameters that OpenAPI cannot declare: generated code leaves them out."""
    compressed: bool = False
    """Whether to compress the body: the server has announced that it reads such bodies."""
    received: httpx.Response | None = None
    """The success that the call got, or the last call that was made within this state."""
    raised: Exception | None = None
    """What a middleware, hook or transport of the user raised: the caller gets it as it is."""


_CURRENT: ContextVar[CallState | None] = ContextVar("evrun_call_state", default=None)


def current() -> CallState:
    """Return the state of the current call; a new one below `client.generated`."""
    return _CURRENT.get() or CallState()


@contextmanager
def call_state(*, query: Query = (), compressed: bool = False) -> Iterator[CallState]:
    """Make a new state current. The state around it learns what was received."""
    outer = _CURRENT.get()
    state = CallState(query=query, compressed=compressed)
    token = _CURRENT.set(state)
    try:
        yield state
    finally:
        _CURRENT.reset(token)
        if outer is not None:
            outer.received = state.received
