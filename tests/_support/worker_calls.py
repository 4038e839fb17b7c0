"""What worker processes do with a client. A module of its own, because they import it by name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evrun import AsyncEvrun, Evrun


def total(client: Evrun) -> int:
    """Send a GET."""
    return client.projects.list().total


def total_async(client: AsyncEvrun) -> int:
    """Send a GET in an event loop of its own, and close the client."""

    async def ask() -> int:
        async with client:
            return (await client.projects.list()).total

    return asyncio.run(ask())


def log(client: Evrun) -> str:
    """Send a POST."""
    return client.evaluations.log("evrun_1", datapoint_id="1", log={}).id
