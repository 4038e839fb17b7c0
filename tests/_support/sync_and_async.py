"""The same call through `Evrun` or `AsyncEvrun`, so that a claim is tested for both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from _support.fake_api import KEY
from evrun import AsyncEvrun, Evrun

if TYPE_CHECKING:
    from evrun.results import CreatedLog

Kind = Literal["sync", "async", "sync over fast", "async over fast"]


def ask(kind: Kind, base_url: str, **settings: Any) -> int:
    """Send a GET through a new client and return the total that it is told."""
    kind, settings = _over(kind, settings)
    if kind == "sync":
        with Evrun(api_key=KEY, base_url=base_url, **settings) as client:
            return client.projects.list().total

    async def awaited() -> int:
        async with AsyncEvrun(api_key=KEY, base_url=base_url, **settings) as client:
            return (await client.projects.list()).total

    return asyncio.run(awaited())


def log(kind: Kind, base_url: str, **settings: Any) -> CreatedLog:
    """Send a POST through a new client."""
    kind, settings = _over(kind, settings)
    if kind == "sync":
        with Evrun(api_key=KEY, base_url=base_url, **settings) as client:
            return client.evaluations.log("evrun_1", datapoint_id="1", log={})

    async def awaited() -> CreatedLog:
        async with AsyncEvrun(api_key=KEY, base_url=base_url, **settings) as client:
            return await client.evaluations.log("evrun_1", datapoint_id="1", log={})

    return asyncio.run(awaited())


def _over(kind: Kind, settings: dict[str, Any]) -> tuple[Literal["sync", "async"], dict[str, Any]]:
    over = {"transport": "fast"} if kind.endswith("fast") else {}
    return ("async" if kind.startswith("async") else "sync"), {**over, **settings}
