"""Makes requests fail as a schedule says: a middleware around the API.

It leaves `/healthz`, `/readyz` and `/metrics` alone.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from attrs import evolve
from starlette.responses import Response

from evrun.server.api.context import KEY, RequestContext
from evrun.server.api.faults.connection import hang_up_of
from evrun.server.api.faults.schedule import Delay, Drop, Duplicate, Status, Truncate
from evrun.server.api.operations import PREFIX

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from evrun.server.api.faults.plan import Faults

MARK = "Evrun-Fault"
"""The header of an injected answer."""


class FaultMiddleware:
    """Makes requests of the API fail on purpose."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or fail it."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return
        match self._faults.next(scope["method"], scope["path"]):
            case None:
                await self._app(scope, receive, send)
            case Status() as fault:
                await self._carry_out(fault.when == "after", scope, receive)
                await _injected(fault)(scope, receive, send)
            case Drop(when=when):
                await self._carry_out(when == "after", scope, receive)
                await _hang_up(scope, receive)
            case Delay() as fault:
                await self._late(fault, scope, receive, send)
            case Duplicate():
                await self._twice(scope, receive, send)
            case Truncate() as fault:
                await self._truncated(fault, scope, receive, send)

    async def _carry_out(self, really: bool, scope: Scope, receive: Receive) -> None:  # noqa: FBT001 - reads well
        """Receive the whole request. Execute it without an answer if `really`."""
        if really:
            await self._app(scope, receive, _discard)
            return
        await _whole(receive)

    async def _late(self, fault: Delay, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.when == "before":
            # The request is executed also if the client disconnects meanwhile.
            arriving = await _whole(receive)
            await asyncio.sleep(fault.seconds)
            await self._app(scope, _again(arriving, receive), send)
            return

        async def late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(fault.seconds)
            await send(message)

        await self._app(scope, receive, late)

    async def _twice(self, scope: Scope, receive: Receive, send: Send) -> None:
        arriving = await _whole(receive)
        # The application writes into the scope and the context that it is given.
        first = {**scope, KEY: evolve(RequestContext.of(scope))}
        await self._app(first, _again(arriving, receive), _discard)
        await self._app(scope, _again(arriving, receive), send)

    async def _truncated(self, fault: Truncate, scope: Scope, receive: Receive, send: Send) -> None:
        answer: list[Message] = []

        async def kept(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, kept)
        body = b"".join(message.get("body", b"") for message in answer)
        if body:
            most = len(body) - 1
            keep = len(body) // 2 if fault.keep is None else min(fault.keep, most)
            # The start has the Content-Length of the whole body.
            await send(answer[0])
            await send({"type": "http.response.body", "body": body[:keep], "more_body": True})
        await _hang_up(scope, receive)


async def _whole(receive: Receive) -> list[Message]:
    """Return all messages of a request."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that delivers `messages`, and then what comes after them."""
    left = list(messages)

    async def delivered() -> Message:
        return left.pop(0) if left else await receive()

    return delivered


async def _discard(_: Message) -> None:
    """Discard a message."""


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection, and return when it is closed: else uvicorn logs a missing answer."""
    hang_up_of(scope)()
    while (await receive())["type"] != "http.disconnect":
        pass


def _injected(fault: Status) -> Response:
    headers = {MARK: "status"}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    detail = {"detail": f"A fault on purpose: {fault}."}
    return Response(
        json.dumps(detail), fault.status, headers=headers, media_type="application/json"
    )
