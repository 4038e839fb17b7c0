"""Closes a connection in the middle of a request. ASGI has no message for that.

The server offers it as an extension, in `scope["extensions"]`: the embedded server has its own, and
uvicorn gets it from the protocol class that `protocol` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

HANG_UP = "evrun.hang_up"
"""The extension: a function that closes the connection once what was written has left."""


def hang_up_of(scope: Scope) -> Callable[[], None]:
    """Return the function that closes the connection of a request."""
    offered = scope.get("extensions", {}).get(HANG_UP)
    if offered is None:
        raise RuntimeError(
            "This server cannot close connections on purpose. Run the application by "
            "`evrun serve --faults` or `evrun.testing.Server`."
        )
    return cast("Callable[[], None]", offered)


def protocol(base: Any) -> type[asyncio.Protocol]:
    """Return a subclass of `base`, an HTTP protocol of uvicorn, that offers the extension."""

    class ClosingProtocol(base):  # type: ignore[misc]
        app: ASGIApp

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            app = self.app

            async def offering(scope: Scope, receive: Receive, send: Send) -> None:
                # Not `transport.abort`: it throws away what is still to be written.
                extensions = {**scope.get("extensions", {}), HANG_UP: transport.close}
                await app({**scope, "extensions": extensions}, receive, send)

            self.app = offering

    return ClosingProtocol
