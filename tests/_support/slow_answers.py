"""Log answers that are made one by one, and none after them: started as a process by its test."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from evrun import AsyncEvrun, Evrun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

kind, base_url, key, run_id, datapoint_id, number = sys.argv[1:]


def answers() -> Iterator[Any]:
    for n in range(int(number)):
        yield {"datapoint_id": datapoint_id, "log": {"output": str(n)}}
    time.sleep(60)


async def awaited_answers() -> AsyncIterator[Any]:
    for n in range(int(number)):
        yield {"datapoint_id": datapoint_id, "log": {"output": str(n)}}
    await asyncio.sleep(60)


async def main() -> None:
    async with AsyncEvrun(api_key=key, base_url=base_url) as client:
        await client.run(run_id).log_many(awaited_answers())


if kind == "sync":
    with Evrun(api_key=key, base_url=base_url) as client:
        client.run(run_id).log_many(answers())
else:
    asyncio.run(main())
