"""The ways to make a call: each client over each transport, so that a claim is tested for all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from _support.fake_api import KEY
from evrun import AsyncEvrun, Evrun

if TYPE_CHECKING:
    from collections.abc import Mapping

Method = Literal["GET", "POST"]


@frozen(kw_only=True)
class Way:
    """How a call is made: which client, over which transport."""

    kind: Literal["sync", "async"]
    transport: Literal["fast"] | None

    def __str__(self) -> str:
        return f"{self.kind} over {self.transport or 'httpx'}"

    def call(
        self,
        method: Method,
        base_url: str,
        *,
        log: Mapping[str, Any] | None = None,
        before: bool = False,
        pause: float = 0.0,
        **settings: Any,
    ) -> Any:
        """List projects, or log, through a new client.

        With `before` it lists projects first, through the same client, and pauses.
        """
        settings = {"api_key": KEY, "base_url": base_url, "transport": self.transport, **settings}
        logged: dict[str, Any] = {"datapoint_id": "1", "log": log or {}}
        if self.kind == "sync":
            with Evrun(**settings) as client:
                if before:
                    client.projects.list()
                    time.sleep(pause)
                if method == "GET":
                    return client.projects.list()
                return client.evaluations.log("evrun_1", **logged)

        async def awaited() -> Any:
            async with AsyncEvrun(**settings) as client:
                if before:
                    await client.projects.list()
                    await asyncio.sleep(pause)
                if method == "GET":
                    return await client.projects.list()
                return await client.evaluations.log("evrun_1", **logged)

        return asyncio.run(awaited())


WAYS = [
    Way(kind="sync", transport=None),
    Way(kind="async", transport=None),
    Way(kind="sync", transport="fast"),
    Way(kind="async", transport="fast"),
]
