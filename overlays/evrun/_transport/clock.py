"""The time as the client sees it. `evrun.testing.no_waits` lets it skip waits."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Final

TIME_LEFT: Final = "evrun_time_left"
"""Extension of the request of one attempt: seconds until the deadline, if there is one. The time
limits in `timeout` are at most that long."""


SKIPPED: Final[list[list[float]]] = []
"""While waits are skipped: the seconds of each, in the last list. Each `no_waits` adds a list."""


class Clock:
    """The real one. Times are seconds. A skipped wait counts as time that passed."""

    def monotonic(self) -> float:
        """Return a time that only grows, for durations and deadlines."""
        return time.monotonic() + _skipped()

    def now(self) -> datetime:
        """Return the time of day (UTC), for dates that a server sends."""
        return datetime.now(UTC) + timedelta(seconds=_skipped())

    def jitter(self) -> float:
        """Return a random number from 0 up to 1; 1 while waits are skipped."""
        return 1.0 if SKIPPED else random.random()  # noqa: S311 - no secret

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if SKIPPED:
            SKIPPED[-1].append(seconds)
        else:
            time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Like `sleep`, awaited; on asyncio and trio."""
        if SKIPPED:
            SKIPPED[-1].append(seconds)
            return
        import anyio  # noqa: PLC0415 - httpx brings it; a client that never waits does without

        await anyio.sleep(seconds)


def _skipped() -> float:
    return sum(SKIPPED[-1]) if SKIPPED else 0.0
