"""The access log, and the record of each request that it and the metrics get.

A record never has a payload, a key, a query or a path: people put secrets into paths by mistake. It
has the route of the contract instead.
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

_LOGGER = logging.getLogger("evrun.server")

_ADDRESS = re.compile(r"[0-9A-Fa-f.:%]{1,64}")
_METHODS = {"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"}


@frozen(kw_only=True)
class AccessRecord:
    """One request and its answer."""

    time: str
    """When the request came: UTC, ISO 8601."""
    request_id: str | None
    """`X-Request-ID` of the answer; None for invalid HTTP."""
    client: str | None
    """The client's address."""
    key: str | None
    """The id of the key, if it is valid."""
    hint: str | None
    """The key's first characters, as `evrun keys list` shows them."""
    method: str
    """`other` for methods that no route has."""
    route: str | None
    """The path as in the contract; None for an unknown path, or a method that it does not take."""
    status: int
    """0 if the client went away before the answer."""
    seconds: float
    """From the end of the head to the last byte of the answer."""
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the answer's body."""


def rejected(client: str | None, status: int, sent: int) -> AccessRecord:
    """Return the record of an answer to invalid HTTP."""
    return AccessRecord(
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


class AccessMiddleware:
    """Makes a record of every request of an application."""

    def __init__(self, app: ASGIApp, record: Callable[[AccessRecord], None]) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        at, start = _now(), time.perf_counter()
        status = received = sent = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counting_receive, counting_send)
        finally:
            context = RequestContext.of(scope)
            caller = context.caller
            self._record(
                AccessRecord(
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
    # Not X-Forwarded-For: a client may have written it.
    address = str(scope["client"][0]) if scope.get("client") else ""
    return address if _ADDRESS.fullmatch(address) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AccessLog:
    """Writes a line for each record to standard output, by the logger `evrun.access`."""

    def __init__(self, form: Literal["json", "text"]) -> None:
        self._format = _json if form == "json" else _text
        self._logger = logging.getLogger("evrun.access")
        self._logger.propagate = False  # the root's handlers would write it a second time
        self._logger.setLevel(logging.INFO)
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
        self._logger.addHandler(_LineHandler(sys.stdout.fileno()))

    def __call__(self, record: AccessRecord) -> None:
        """Write the line."""
        self._logger.info("%s", self._format(record))


class _LineHandler(logging.StreamHandler[io.TextIOWrapper]):
    """Writes lines to a file. A failure to write does not stop the server."""

    def __init__(self, descriptor: int) -> None:
        # Unbuffered, and not `sys.stdout`: the interpreter would write unwritten lines again at its
        # exit, and then end with another status.
        raw = io.FileIO(descriptor, "w", closefd=False)
        super().__init__(io.TextIOWrapper(raw, "utf-8", write_through=True))
        self._warned = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Warn once that lines are lost: a warning for each would fill the other log."""
        if not self._warned:
            self._warned = True
            reason = sys.exc_info()[1]
            _LOGGER.warning("The access log is not written: standard output takes none: %s", reason)


def _json(record: AccessRecord) -> str:
    return json.dumps(asdict(record))


def _text(record: AccessRecord) -> str:
    return (
        f"{record.time} {record.client or '-'} {record.hint or '-'} {record.method} "
        f"{record.route or '-'} {record.status} {record.seconds * 1000:.1f} ms "
        f"in {record.received} B out {record.sent} B {record.request_id or '-'}"
    )
