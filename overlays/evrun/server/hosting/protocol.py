"""Connections without a whole request: uvicorn's protocol, with patience limited.

uvicorn closes connections that idle between requests. It waits for ever for the rest of a head, for
a body that nobody reads any more, and for a client that does not take its answer.
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

from evrun.server.api.access_log import refused
from evrun.server.api.faults.connection import protocol
from evrun.server.api.limits import ADDRESS_LIMIT, CONNECTIONS, HEAD_LIMIT, PATIENCE, SLOWEST

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from starlette.types import ASGIApp

    from evrun.server.api.access_log import Exchange

# uvicorn warns of each malformed request: a stranger could fill the log, and a full pipe behind it
# stops the server. The access log has them, and metrics count them.
_LOGGER = logging.getLogger("evrun.server.hosting.protocol")
_LOGGER.setLevel(logging.ERROR)

_LINGER = 2.0  # seconds for which a refused client's bytes are thrown away, so that it reads why
_STATUSES = {400: b"Bad Request", 408: b"Request Timeout", 414: b"URI Too Long"}
_STATUSES |= {431: b"Request Header Fields Too Large"}


@frozen(kw_only=True)
class Limits:
    """What connections may take."""

    connections: int = CONNECTIONS
    """Further ones are answered with 503."""
    patience: float = PATIENCE
    """Seconds for the head of a request, and to take some of an answer, which has to go on with
    `SLOWEST` bytes a second."""


class GuardedConfig(Config):
    """uvicorn's configuration for `GuardedProtocol`."""

    def __init__(
        self,
        app: Any,
        *,
        limits: Limits,
        busy: ASGIApp,
        headers: list[tuple[str, str]],
        observe: Callable[[Exchange], None] = lambda _: None,
        hangs_up: bool = False,
        **options: Any,
    ) -> None:
        """Take what uvicorn takes, and more.

        - `busy` answers on connections beyond the limit.
        - `headers` stand in every answer to what is no request.
        - `observe` is told of those answers.
        - With `hangs_up`, the application may close connections on purpose.
        """
        self.limits = limits
        self.busy = busy
        self.refusal_headers = [(name.encode(), value.encode()) for name, value in headers]
        self.observe = observe
        # h11 by name: what is refused, and how, must not depend on what else is installed.
        super().__init__(
            app,
            http=protocol(GuardedProtocol) if hangs_up else GuardedProtocol,
            ws="none",
            h11_max_incomplete_event_size=HEAD_LIMIT,
            server_header=False,
            access_log=False,
            **options,
        )


class GuardedProtocol(H11Protocol):
    """One connection."""

    config: GuardedConfig
    _head: asyncio.TimerHandle | None = None
    _end: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for a head."""
        super().connection_made(transport)
        self.logger = _LOGGER
        patience = self.config.limits.patience
        if len(self.connections) > self.config.limits.connections:
            self.app = cast("Any", self.config.busy)
            patience = min(patience, _LINGER)
        self._head = self.loop.call_later(patience, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        for timer in (self._head, self._end, self._stuck):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._refused:
            return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self._look()

    def timeout_keep_alive_handler(self) -> None:
        """Close what idles."""
        super().timeout_keep_alive_handler()
        self._look()

    def _look(self) -> None:
        """Arm the timer that the state of the connection asks for, and stop the other."""
        if self.transport.is_closing():
            # It is closed when all is written, which a client that reads nothing would put off.
            self._watch_writing()
            return
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun and self._head is None:
            self._head = self.loop.call_later(self.config.limits.patience, self._head_is_late)
        elif self.conn.their_state is not h11.IDLE and self._head is not None:
            self._head.cancel()
            self._head = None
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            # The answer is out, and the rest of the body is thrown away: not for ever.
            self._give(self.config.limits.patience, self.transport.close)
        elif self._end is not None:
            self._end.cancel()
            self._end = None

    def _give(self, seconds: float, then: Callable[[], None]) -> None:
        if self._end is None:
            self._end = self.loop.call_later(seconds, then)

    def _head_is_late(self) -> None:
        if self.conn.trailing_data[0]:
            seconds = f"{self.config.limits.patience:g}"
            self._refuse(408, f"The head of the request took longer than {seconds} s.")
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Watch a client that does not take its answer."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Stop watching, unless the rest is all that the connection is still there for."""
        super().resume_writing()
        if self._stuck is not None and not self.transport.is_closing():
            self._stuck.cancel()
            self._stuck = None

    def _watch_writing(self) -> None:
        """Abort unless the client takes something in time, and enough over the whole time."""
        if self._stuck is not None:
            return
        patience = self.config.limits.patience
        start = self.loop.time()
        first = before = self.transport.get_write_buffer_size()

        def look() -> None:
            nonlocal before
            left = self.transport.get_write_buffer_size()
            enough = (self.loop.time() - start - patience) * SLOWEST
            if left >= before or first - left < enough:
                self.transport.abort()
                return
            before = left
            self._stuck = self.loop.call_later(patience, look)

        self._stuck = self.loop.call_later(patience, look)

    def _should_upgrade(self) -> bool:
        return False  # and no word about it in the log

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request: uvicorn's name for it."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if hint != 431:  # noqa: PLR2004 - h11 names no other that has a meaning here
            self._refuse(400, f"This is not a valid HTTP/1.1 request: {error or msg}.")
        elif b"\n" not in self.conn.trailing_data[0][:ADDRESS_LIMIT]:
            self._refuse(414, f"The address is longer than {ADDRESS_LIMIT} bytes.")
        else:
            self._refuse(431, f"The head of the request is longer than {HEAD_LIMIT} bytes.")

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer once, without an application, and close."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            # An application waits for the rest of a body that will not come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        content = pydantic_core.to_json({"detail": sentence})
        if self.cycle is not None and self.cycle.disconnected and self.scope["method"] == "HEAD":
            content = b""  # its answer has none, also when what came behind its head is broken
        headers = [
            *self.server_state.default_headers,
            *self.config.refusal_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=_STATUSES[status]),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.config.observe(refused(self.client[0] if self.client else None, status, len(content)))
        # Closing while bytes are unread resets the connection, and the answer is lost on the way.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end = self.loop.call_later(_LINGER, self.transport.close)

    def shutdown(self) -> None:
        """Close when the answer under way is out."""
        if self._refused:
            self.transport.close()
        else:
            super().shutdown()
        self._look()
