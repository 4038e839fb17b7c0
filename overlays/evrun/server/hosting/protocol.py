"""Limits of one connection: uvicorn's protocol, with timeouts and errors in the contract's shape.

uvicorn closes connections that idle between requests. It waits for ever for the rest of a head, for
the rest of a body after the answer, and for a client that does not take its answer.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, cast

import h11
import pydantic_core
from attrs import frozen
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from evrun.server.api.access_log import rejected
from evrun.server.api.faults.connection import protocol
from evrun.server.api.limits import (
    ADDRESS_LIMIT,
    CLIENT_TIMEOUT,
    HEAD_LIMIT,
    MAX_CONNECTIONS,
    MIN_BYTES_PER_SECOND,
)
from evrun.server.errors import (
    AddressTooLongError,
    HeadTooLargeError,
    MalformedRequestError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from starlette.types import ASGIApp

    from evrun.server.api.access_log import AccessRecord
    from evrun.server.errors import ApiError

# uvicorn warns of each malformed request: a client could fill the log, and a full pipe behind the
# log stops the server. The access log has these requests, and the metrics count them.
_LOGGER = logging.getLogger("evrun.server.hosting.protocol")
_LOGGER.setLevel(logging.ERROR)

_LINGERING_TIMEOUT = 2.0
"""Seconds in which the bytes of a rejected client are discarded, so that it reads the answer."""
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 414: b"URI Too Long"}
_REASONS |= {431: b"Request Header Fields Too Large"}


@frozen(kw_only=True)
class ConnectionLimits:
    """The limits of connections. Times are seconds."""

    max_connections: int = MAX_CONNECTIONS
    """The server answers 503 on further ones."""
    head_timeout: float = CLIENT_TIMEOUT
    """For the head of a request."""
    body_timeout: float = CLIENT_TIMEOUT
    """For a pause within a body, and beyond the time that `MIN_BYTES_PER_SECOND` allows for it."""
    write_timeout: float = CLIENT_TIMEOUT
    """The same, for a client that takes an answer."""


class GuardedConfig(Config):
    """uvicorn's configuration for `GuardedProtocol`."""

    def __init__(
        self,
        app: Any,
        *,
        limits: ConnectionLimits,
        over_limit: ASGIApp,
        headers: list[tuple[str, str]],
        record: Callable[[AccessRecord], None] = lambda _: None,
        closes_on_purpose: bool = False,
        **options: Any,
    ) -> None:
        """Take uvicorn's options, and more.

        - `over_limit` is the application for connections beyond `max_connections`.
        - `headers` are sent in every answer to invalid HTTP.
        - `record` gets the access record of those answers.
        - With `closes_on_purpose`, the application may close connections.
        """
        self.limits = limits
        self.over_limit = over_limit
        self.error_headers = [(name.encode(), value.encode()) for name, value in headers]
        self.record = record
        # h11 by name: which requests are valid must not depend on the packages installed.
        super().__init__(
            app,
            http=protocol(GuardedProtocol) if closes_on_purpose else GuardedProtocol,
            ws="none",
            h11_max_incomplete_event_size=HEAD_LIMIT,
            server_header=False,
            access_log=False,
            **options,
        )


class GuardedProtocol(H11Protocol):
    """One connection."""

    config: GuardedConfig
    _head_timer: asyncio.TimerHandle | None = None
    _close_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for a head."""
        super().connection_made(transport)
        self.logger = _LOGGER
        seconds = self.config.limits.head_timeout
        if len(self.connections) > self.config.limits.max_connections:
            self.app = cast("Any", self.config.over_limit)
            seconds = min(seconds, _LINGERING_TIMEOUT)
        self._head_timer = self.loop.call_later(seconds, self._head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        for timer in (self._head_timer, self._close_timer, self._write_timer):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        if self._rejected:
            return
        super().data_received(data)
        self._update_timers()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self._update_timers()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._update_timers()

    def _update_timers(self) -> None:
        """Start and stop timers, as the state of the connection demands."""
        if self.transport.is_closing():
            # It closes when all is written. A client that reads nothing would delay that for ever.
            self._watch_writing()
            return
        limits = self.config.limits
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun and self._head_timer is None:
            self._head_timer = self.loop.call_later(limits.head_timeout, self._head_timed_out)
        elif self.conn.their_state is not h11.IDLE and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            # The answer is sent. The rest of the body is discarded, for a limited time.
            if self._close_timer is None:
                self._close_timer = self.loop.call_later(limits.body_timeout, self.transport.close)
        elif self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def _head_timed_out(self) -> None:
        if self.conn.trailing_data[0]:
            seconds = f"{self.config.limits.head_timeout:g}"
            self._reject(
                RequestTimeoutError(f"The head of the request took longer than {seconds} s.")
            )
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Watch a client that does not take its answer."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Stop watching, unless the connection only stays open to write the rest."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def _watch_writing(self) -> None:
        """Abort unless the client takes something in time, and enough over the whole time."""
        if self._write_timer is not None:
            return
        timeout = self.config.limits.write_timeout
        start = self.loop.time()
        first = before = self.transport.get_write_buffer_size()

        def look() -> None:
            nonlocal before
            left = self.transport.get_write_buffer_size()
            enough = (self.loop.time() - start - timeout) * MIN_BYTES_PER_SECOND
            if left >= before or first - left < enough:
                self.transport.abort()
                return
            before = left
            self._write_timer = self.loop.call_later(timeout, look)

        self._write_timer = self.loop.call_later(timeout, look)

    def _should_upgrade(self) -> bool:
        return False  # uvicorn's own method would log it

    def send_400_response(self, msg: str) -> None:
        """Reject invalid HTTP. The name is uvicorn's."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if hint != 431:  # noqa: PLR2004 - h11 names no other that has a meaning here
            self._reject(
                MalformedRequestError(f"This is not a valid HTTP/1.1 request: {error or msg}.")
            )
        elif b"\n" not in self.conn.trailing_data[0][:ADDRESS_LIMIT]:
            self._reject(AddressTooLongError(f"The address is longer than {ADDRESS_LIMIT} bytes."))
        else:
            self._reject(
                HeadTooLargeError(f"The head of the request is longer than {HEAD_LIMIT} bytes.")
            )

    def _reject(self, error: ApiError) -> None:
        """Answer once, without an application, and close."""
        self._rejected = True
        if self.cycle is not None and not self.cycle.response_complete:
            # The application waits for the rest of a body, which does not come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        content = pydantic_core.to_json({"detail": error.detail})
        if self.cycle is not None and self.cycle.disconnected and self.scope["method"] == "HEAD":
            content = b""  # HEAD has no body, also if the bytes behind its head are invalid
        headers = [
            *self.server_state.default_headers,
            *self.config.error_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
        ]
        for event in (
            h11.Response(status_code=error.status, headers=headers, reason=_REASONS[error.status]),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        client = self.client[0] if self.client else None
        self.config.record(rejected(client, error.status, len(content)))
        # To close while bytes are unread resets the connection, and the client loses the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._close_timer = self.loop.call_later(_LINGERING_TIMEOUT, self.transport.close)

    def shutdown(self) -> None:
        """Close after the current answer."""
        if self._rejected:
            self.transport.close()
        else:
            super().shutdown()
        self._update_timers()
