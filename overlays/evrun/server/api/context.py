"""What the server knows of one request, besides what the ASGI scope says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from starlette.types import Scope

    from evrun.server.store.api_keys import Caller

KEY = "evrun.context"
"""The key of the context in an ASGI scope."""


@define
class RequestContext:
    """The state of one request: middleware, executor and access log share it."""

    request_id: str | None = None
    """`X-Request-ID` of the answer."""
    route: str | None = None
    """The path as in the contract; None for an unknown path, or a method that it does not take."""
    caller: Caller | None = None
    """Whose key it is; None until the key is known to be good."""
    rate_counted: bool = False
    """Whether the rate limit has counted the request."""
    change_begun: bool = False
    """Whether the database may change for this request from now on."""

    @classmethod
    def of(cls, scope: Scope) -> RequestContext:
        """Return the context of a request, a new one at the first call."""
        context: RequestContext = scope.setdefault(KEY, cls())
        return context
