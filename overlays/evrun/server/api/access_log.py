"""What is seen of every exchange, for the access log and for the metrics.

Never a payload, a key, a query or a path: a path may carry what somebody put there by mistake. The
route stands for it, as in the contract.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from attrs import asdict, frozen

from evrun.server.api.context import RequestContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Format = Literal["json", "text", "off"]

_LOGGER = logging.getLogger("evrun.server")

_ADDRESS = re.compile(r"[0-9A-Fa-f.:%]{1,64}")
_METHODS = {"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"}


@frozen(kw_only=True)
class Exchange:
    """A request and its answer, from outside."""

    time: str
    """When it came: UTC, ISO 8601."""
    request_id: str | None
    """`X-Request-ID` of the answer; None for what was no HTTP."""
    client: str | None
    """The address that it came from."""
    key: str | None
    """The id of the key, if it was a good one."""
    hint: str | None
    """The key's first characters, as `evrun keys list` shows them."""
    method: str
    """`other` for methods that no route has."""
    route: str | None
    """The path as in the contract; None for one that is none."""
    status: int
    """0 if the client went away before there was an answer."""
    seconds: float
    """From the whole head to the last byte of the answer."""
    received: int
    """Bytes of the body that was sent."""
    sent: int
    """Bytes of the answer's body."""


def refused(client: str | None, status: int, sent: int) -> Exchange:
    """Return the exchange of what never became a request."""
    return Exchange(
        time=_now(),
        request_id=None,
        client=client,
        key=None,
        hint=None,
        method="other",
        route=None,
        status=status,
        seconds=0.0,
        received=0,
        sent=sent,
    )


class Observed:
    """Tells of every exchange with an application."""

    def __init__(self, app: ASGIApp, observe: Callable[[Exchange], None]) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        at, start = _now(), time.perf_counter()
        status = received = sent = 0

        async def counted_in() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counted_out(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_in, counted_out)
        finally:
            context = RequestContext.of(scope)
            caller = context.caller
            self._observe(
                Exchange(
                    time=at,
                    request_id=context.request_id,
                    client=_address(scope),
                    key=None if caller is None else caller.key_id,
                    hint=None if caller is None else caller.hint,
                    method=scope["method"] if scope["method"] in _METHODS else "other",
                    route=context.route,
                    status=status,
                    seconds=round(time.perf_counter() - start, 6),
                    received=received,
                    sent=sent,
                )
            )


def _address(scope: Scope) -> str | None:
    # A proxy's word (X-Forwarded-For) may be its client's.
    address = str(scope["client"][0]) if scope.get("client") else ""
    return address if _ADDRESS.fullmatch(address) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AccessLog:
    """Writes a line for each exchange to standard output, by the logger `evrun.access`."""

    def __init__(self, form: Literal["json", "text"]) -> None:
        self._line = _json if form == "json" else _text
        self._logger = logging.getLogger("evrun.access")
        self._logger.propagate = False  # the root's handlers would write it a second time
        self._logger.setLevel(logging.INFO)
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
        self._logger.addHandler(_Lines(sys.stdout.fileno()))

    def __call__(self, exchange: Exchange) -> None:
        """Write the line."""
        self._logger.info("%s", self._line(exchange))


class _Lines(logging.StreamHandler[io.TextIOWrapper]):
    """Writes lines to a file while it takes them: a log that cannot be written stops no server."""

    def __init__(self, descriptor: int) -> None:
        # Unbuffered, and not `sys.stdout`: lines that were not taken would be tried again when the
        # interpreter ends, which then ends with another status.
        raw = io.FileIO(descriptor, "w", closefd=False)
        super().__init__(io.TextIOWrapper(raw, "utf-8", write_through=True))
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Say once that lines are lost: for each it would fill the other log."""
        if not self._told:
            self._told = True
            reason = sys.exc_info()[1]
            _LOGGER.warning("The access log is not written: standard output takes none: %s", reason)


def _json(exchange: Exchange) -> str:
    return json.dumps(asdict(exchange))


def _text(exchange: Exchange) -> str:
    return (
        f"{exchange.time} {exchange.client or '-'} {exchange.hint or '-'} {exchange.method} "
        f"{exchange.route or '-'} {exchange.status} {exchange.seconds * 1000:.1f} ms "
        f"in {exchange.received} B out {exchange.sent} B {exchange.request_id or '-'}"
    )
