"""The time, as the client sees it. Tests hand in a clock of their own."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Final

TIME_LEFT: Final = "evrun_time_left"
"""Extension of the request of one attempt: seconds until the deadline, if there is one. The time
limits in `timeout` are no longer than that."""


class Clock:
    """The real one. Times are seconds."""

    def monotonic(self) -> float:
        """Return a time that only grows, for durations and deadlines."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day (UTC), for dates that a server sends."""
        return datetime.now(UTC)

    def jitter(self) -> float:
        """Return a random number from 0 up to 1."""
        return random.random()  # noqa: S311 - no secret

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Like `sleep`, awaited; on asyncio and trio."""
        import anyio  # noqa: PLC0415 - httpx brings it; a client that never waits does without

        await anyio.sleep(seconds)
