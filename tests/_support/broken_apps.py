"""Ways to break the application, each of which a check of schemathesis is there to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


def answer_what_is_not_documented(app: ASGIApp) -> ASGIApp:
    """Change a status and the name of a field."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 404:
                message = {**message, "status": 418}
            if message["type"] == "http.response.body":
                body = message["body"].replace(b'"total":', b'"count":')
                message = {**message, "body": body}
            await send(message)

        await app(scope, receive, changed)

    return broken


def accept_anything(app: ASGIApp) -> ASGIApp:
    """Answer 200 to what is invalid."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 422:
                message = {**message, "status": 200}
            await send(message)

        await app(scope, receive, changed)

    return broken


def let_anybody_in(app: ASGIApp, key: str) -> ASGIApp:
    """Answer whoever asks as if they had sent `key`."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            MutableHeaders(scope=scope)["X-API-KEY"] = key
        await app(scope, receive, send)

    return broken


def lose_what_was_made(app: ASGIApp) -> ASGIApp:
    """Look for each object under another id."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and "_" in scope["path"]:
            scope = {**scope, "path": f"{scope['path']}-lost"}
        await app(scope, receive, send)

    return broken


def keep_what_was_deleted(app: ASGIApp) -> ASGIApp:
    """Look at what is to be deleted, and say that it is."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        there = False

        async def changed(message: Message) -> None:
            nonlocal there
            if message["type"] == "http.response.start" and message["status"] == 200:
                there = True
                kept = [each for each in message["headers"] if not each[0].startswith(b"content-")]
                message = {**message, "status": 204, "headers": kept}
            elif there:
                message = {**message, "body": b""}
            await send(message)

        if scope["type"] == "http" and scope["method"] == "DELETE":
            await app({**scope, "method": "GET"}, receive, changed)
        else:
            await app(scope, receive, send)

    return broken
